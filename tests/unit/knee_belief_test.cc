// SPDX-License-Identifier: MIT
#include "rules/knee_belief.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/surge/origin.h"

namespace spillway {
namespace {

using surge::Chance;

constexpr double kSpread = 0.6;
constexpr double kAnswers = 80;  // in a cohort

// Servers of which so many answer at once, `slower` than was usual (a logarithm).
struct Servers {
  double workers = 30, slower = 0;
  KneeBelief::Seen With(double in_flight, Chance* chance) const {
    const double ratio = std::max(in_flight / workers, 1.0);
    const double error = kSpread / std::sqrt(kAnswers);
    const double waits = std::log(ratio) + 0.2 * kSpread * (1 - std::exp(-4 * (ratio - 1)));
    return {in_flight, std::min(slower + waits + error * chance->Normal(), 1.1), error, kSpread};
  }
};

class KneeBeliefTest : public testing::TestWithParam<std::uint64_t> {
 protected:
  // So many cohorts, a quarter of a second each, with what is likely for the knee in flight, by steps
  // that servers can bear; and every other one low where it is doubtful what is usual.
  void Watch(const Servers& servers, int cohorts) {
    for (int i = 0; i < cohorts; ++i) {
      const bool low = i % 2 == 0 && belief_.norm_doubt() > 0.04;
      const double likely = belief_.Quantile(low ? 0.1 : 0.1 + 0.8 * chance_.Uniform());
      in_flight_ = std::clamp(likely, in_flight_ * 0.4, in_flight_ * 1.35);
      now_ += std::chrono::milliseconds(250);
      belief_.Learn(servers.With(in_flight_, &chance_), now_);
    }
  }
  Chance chance_{GetParam()};
  TimePoint now_{};
  double in_flight_ = 30;
  KneeBelief belief_;
};
INSTANTIATE_TEST_SUITE_P(Chances, KneeBeliefTest, testing::Range<std::uint64_t>(1, 21));

TEST_P(KneeBeliefTest, FindsTheWorkers) {
  for (const double workers : {12.0, 30.0, 60.0}) {
    belief_.Begin(30, 0.05 * 0.05, now_);
    Watch({workers}, 40);
    EXPECT_NEAR(std::log(belief_.Quantile(0.5)), std::log(workers), 0.12) << workers;
    EXPECT_LT(belief_.Quantile(0.1), workers * 1.04);
  }
}

TEST_P(KneeBeliefTest, TellsFewerWorkersFromSlowerOnes) {
  belief_.Begin(30, 0.05 * 0.05, now_);
  Watch({30}, 30);
  const KneeBelief before = belief_;
  Watch({12}, 30);
  EXPECT_NEAR(std::log(belief_.Quantile(0.5)), std::log(12), 0.15);
  EXPECT_NEAR(belief_.norm(), 0, 0.15);
  belief_ = before;
  Watch({30, 0.8}, 30);
  EXPECT_NEAR(std::log(belief_.Quantile(0.5)), std::log(30), 0.3);
  EXPECT_NEAR(belief_.norm(), 0.8, 0.15);
}

TEST_P(KneeBeliefTest, ComesNearThemThoughNothingWasUsualYet) {
  belief_.Begin(40, 1, now_);
  Watch({10, -1}, 60);  // what was taken for usual was overload
  EXPECT_LT(belief_.Quantile(0.5), 24);
  EXPECT_GT(belief_.Quantile(0.5), 8);
}

TEST_P(KneeBeliefTest, AShiftChangesTheNormAndNothingElse) {
  belief_.Begin(30, 0.05 * 0.05, now_);
  Watch({20, 0.5}, 30);
  const double knee = belief_.Quantile(0.5), norm = belief_.norm(), doubt = belief_.norm_doubt();
  const double expected = belief_.Expected(18, kSpread);
  belief_.ShiftNorm(0.5);
  EXPECT_EQ(belief_.Quantile(0.5), knee);
  EXPECT_NEAR(belief_.norm(), norm - 0.5, 1e-9);
  EXPECT_NEAR(belief_.norm_doubt(), doubt, 1e-9);
  EXPECT_NEAR(belief_.Expected(18, kSpread), expected - 0.5, 0.01);
}

// Half of the cohort's times are of before then: what they say together is true of neither. Where that was not thought
// of, nearly all were believed to be ten that had become slower.
TEST(KneeBelief, OftenFindsAKneeThatFellWhileACohortWasInFlight) {
  int found = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Chance chance(seed);
    TimePoint now{};
    KneeBelief belief;
    const auto learn = [&](double in_flight, double workers) {
      now += std::chrono::milliseconds(450);
      belief.Learn(Servers{workers}.With(in_flight, &chance), now);
    };
    belief.Begin(10, 0.05 * 0.05, now);
    for (int i = 0; i < 30; ++i) learn(8 + i % 5, 10);
    learn(10, 5.5);  // by the mean of its times
    for (const double in_flight : {6.0, 6.0, 4.0}) learn(in_flight, 3);
    found += belief.Quantile(0.5) < 5.5 ? 1 : 0;
  }
  EXPECT_GT(found, 80);
}

TEST(KneeBelief, ErrorsSayThatItWasAboveTheKneeAndNothingOfTimes) {
  KneeBelief belief;
  TimePoint now{};
  belief.Begin(40, 0.05 * 0.05, now);
  for (int i = 0; i < 5; ++i) {
    now += std::chrono::milliseconds(10);
    belief.Learn({40, 0.3, 0.05, kSpread, true}, now);
  }
  EXPECT_LT(belief.Quantile(0.9), 40);
  EXPECT_GT(belief.Quantile(0.5), 15);  // it may be a little above as well as far
  for (const double in_flight : {20.0, 10.0, 5.0, 3.0, 2.0}) {
    now += std::chrono::milliseconds(10);
    belief.Learn({in_flight, 0.3, 0.05, kSpread, true}, now);
  }
  EXPECT_NEAR(belief.norm(), 0, 0.02);
}

TEST(KneeBelief, IsAProbabilityWhateverItIsTold) {
  KneeBelief belief;
  Chance chance(7);
  TimePoint now{};
  belief.Begin(1, 4, now);
  for (int i = 0; i < 3000; ++i) {
    now += std::chrono::milliseconds(chance.Below(8000));
    belief.Learn({chance.Scaled(1, 1e6), chance.Between(-4, 1.1), chance.Scaled(1e-4, 3),
                  chance.Scaled(0.03, 3), chance.Below(4) == 0},
                 now);
    double last = 0;
    for (const double part : {0.0, 0.05, 0.5, 0.95, 1.0}) {
      const double knee = belief.Quantile(part);
      ASSERT_TRUE(std::isfinite(knee) && knee > 0 && knee >= last) << i;
      last = knee;
    }
    ASSERT_TRUE(belief.Above(1e-9) > 0.999 && belief.Above(1e300) == 0) << i;
    ASSERT_TRUE(std::isfinite(belief.norm()) && belief.norm_doubt() >= 0) << i;
  }
}

}  // namespace
}  // namespace spillway
