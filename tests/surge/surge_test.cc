// SPDX-License-Identifier: MIT
// A small sample of the trials, so that a change for the worse is seen. The large one is surge_sim.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/surge/trials.h"

namespace spillway::surge {
namespace {

// The medians of a trial's figures over some seeds.
Figures Medians(const char* name, std::uint64_t runs) {
  for (const Trial& trial : Trials()) {
    if (std::string(trial.name) != name) continue;
    std::vector<Figures> all;
    for (std::uint64_t seed = 1; seed <= runs; ++seed) all.push_back(trial.run(seed, Way{}));
    Figures medians = all[0];
    for (std::size_t i = 0; i < medians.size(); ++i) {
      std::vector<double> values;
      for (const Figures& one : all) values.push_back(one[i].value);
      std::sort(values.begin(), values.end());
      medians[i].value = values[values.size() / 2];
    }
    return medians;
  }
  return {};
}

class Trial : public testing::TestWithParam<const char*> {};

// The median keeps its target, with a little room for what chance does in so few runs.
TEST_P(Trial, KeepsItsTargetsInTheMedian) {
  for (const Figure& figure : Medians(GetParam(), 13)) {
    if (figure.at_most) {
      EXPECT_LE(figure.value, figure.target * 1.1) << figure.name;
    } else {
      EXPECT_GE(figure.value, figure.target * 0.96) << figure.name;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Surge, Trial,
                         testing::Values("T1", "T2", "T3", "T4", "T5", "T10", "T11", "T12"));

TEST(HangingPathTest, TakesFewOfTheOthersWithItOnWhateverServers) {
  int well = 0;
  for (std::uint64_t seed = 1; seed <= 14; ++seed) {
    const Scenario scenario = HangingPath(seed);
    const Record record = Play(scenario);
    const double success = Success(record, {scenario.hanging.from, scenario.seconds - 8});
    EXPECT_GE(success, 0.7) << seed;
    well += success >= 0.85 ? 1 : 0;
  }
  EXPECT_GE(well, 13);
}

TEST(QuietDay, ShedsNobodyAndHoldsNobodyBackFromAWorkerThatIsIdle) {
  for (const double load : {0.3, 0.6, 0.8}) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      const Record record = Play(QuietDay(seed, load, 240));
      for (const auto& reasons : record.last.shed) {
        for (const std::uint64_t count : reasons) EXPECT_EQ(count, 0U) << seed << " at " << load;
      }
      EXPECT_EQ(record.held, 0U) << seed << " at " << load;
    }
  }
}

TEST(World, IsTheSameEachTime) {
  const Record one = Play(PlainSurge(5)), other = Play(PlainSurge(5));
  ASSERT_EQ(one.outcomes.size(), other.outcomes.size());
  for (std::size_t i = 0; i < one.outcomes.size(); ++i) {
    ASSERT_EQ(one.outcomes[i].took, other.outcomes[i].took);
  }
}

TEST(World, AnOriginAloneAtThirtyPerCentAnswersAll) {
  Scenario scenario = QuietDay(3, 0.3, 60);
  scenario.admission.limit = AdmissionConfig::Limit::kOff;
  const Record record = Play(scenario);
  EXPECT_GT(record.asks, 100U);
  EXPECT_EQ(Success(record, {}), 1);
}

// The scenarios that went worst when they were many; each with the least that it must come to, which is
// little (docs/overload.md): whoever mends one writes more here.
struct Worst {
  std::uint64_t seed;
  double last;
};
class AnyDayTest : public testing::TestWithParam<Worst> {};
TEST_P(AnyDayTest, DoesNotBecomeWorse) {
  EXPECT_GE(Steady(AnyDay(GetParam().seed)).last, GetParam().last)
      << Describe(AnyDay(GetParam().seed));
}
INSTANTIATE_TEST_SUITE_P(Worst, AnyDayTest,
                         testing::Values(Worst{85, 0.5}, Worst{1063, 0.6}, Worst{257, 0.7},
                                         Worst{124, 0.6}, Worst{1420, 0.6}, Worst{1769, 0.8},
                                         Worst{2607, 0.5}, Worst{2236, 0.5}, Worst{8, 0.8},
                                         Worst{119, 0.6}, Worst{5233, 0.6}, Worst{5637, 0.7},
                                         Worst{5854, 0.7}));
// Databases that refuse: as many connections as workers, or fewer.
INSTANTIATE_TEST_SUITE_P(Database, AnyDayTest,
                         testing::Values(Worst{3712, 0.8}, Worst{5291, 0.7}, Worst{2298, 0.8},
                                         Worst{1566, 0.8}, Worst{277, 0.8}));
// Four or five workers, and a fresh process that overload comes to.
INSTANTIATE_TEST_SUITE_P(Few, AnyDayTest,
                         testing::Values(Worst{198, 0.8}, Worst{4316, 0.8}, Worst{2992, 0.8},
                                         Worst{4610, 0.8}));

// What is slow to be found may take its time, but is found.
class AnyLongDayTest : public testing::TestWithParam<Worst> {};
TEST_P(AnyLongDayTest, Recovers) {
  Scenario scenario = AnyDay(GetParam().seed);
  scenario.seconds = 120;
  EXPECT_GE(Steady(scenario).last, GetParam().last) << Describe(scenario);
}
// Fewer came in each tenth of a second than it takes to see that people are turned away lastingly; answers that took ten
// times as long while fewer waited than a crowd.
INSTANTIATE_TEST_SUITE_P(FewWorkersFewVisitors, AnyLongDayTest,
                         testing::Values(Worst{32006, 0.8}, Worst{8227, 0.5}));
// 36 s were not enough for these.
INSTANTIATE_TEST_SUITE_P(Slow, AnyLongDayTest,
                         testing::Values(Worst{46270, 0.8}, Worst{17780, 0.5}, Worst{19592, 0.8},
                                         Worst{31748, 0.8}));

TEST(AnyDay, NineOfTenEndWithFourFifthsOfWhatIsPossible) {
  int well = 0;
  for (std::uint64_t seed = 1000; seed < 1020; ++seed)
    well += Steady(AnyDay(seed)).last >= 0.8 ? 1 : 0;
  EXPECT_GE(well, 16);
}

}  // namespace
}  // namespace spillway::surge
