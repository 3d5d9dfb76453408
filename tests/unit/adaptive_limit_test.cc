// SPDX-License-Identifier: MIT
// The limits that are found.
#include "rules/adaptive_limit.h"

#include <gtest/gtest.h>

namespace spillway {
namespace {

constexpr TimePoint kBegin{1h};

class LimitTest : public testing::TestWithParam<AdmissionConfig::Algorithm> {
 protected:
  using End = LimitSample::End;
  // So many answers, each so many times what is usual, with so many in flight.
  void Answer(int count, double times, std::uint32_t in_flight, End end = End::kAnswer) {
    const bool bound = waits_ || in_flight >= limit_->limit() - 1;
    const LimitScene scene{in_flight, 0, bound, true, 0, novel_};
    for (int i = 0; i < count; ++i) {
      const std::uint32_t cohort = limit_->Admitted(in_flight, now_);
      now_ += 5ms;
      limit_->Sample({now_, cohort, std::chrono::duration_cast<Duration>(10ms * times),
                      std::log(times) - moved_, true, in_flight, end},
                     scene);
      moved_ += limit_->TakeCorrection();
    }
  }
  // Servers with so many workers, and all the slots in use.
  void Serve(int count, double workers) {
    for (int i = 0; i < count; ++i) {
      const auto in_flight = static_cast<std::uint32_t>(limit_->limit());
      Answer(1, std::max(1.0, in_flight / workers), in_flight);
    }
  }

  TimePoint now_ = kBegin;
  double moved_ = 0;
  bool novel_ = false;  // nobody has seen them at rest
  bool waits_ = false;  // somebody waits, though slots may be free
  std::unique_ptr<AdaptiveLimit> limit_ = MakeAdaptiveLimit(GetParam(), {4, 1000, 100});
};

TEST_P(LimitTest, GrowsWhereMoreInFlightIsNoSlower) {
  Serve(8000, 1e6);
  EXPECT_GT(limit_->limit(), 105);
}

TEST_P(LimitTest, DoesNotGrowWhereItIsNotUsed) {
  Answer(3000, 1, 20);
  EXPECT_LE(limit_->limit(), 101);
}

// The knee tries, and goes back when it has not helped: the others only shrink.
TEST_P(LimitTest, DoesNotGrowWhereMostAreDropped) {
  double least = 100;
  for (int i = 0; i < 2000; ++i)
    Answer(1, 1, 100, End::kDrop), least = std::min(least, limit_->limit());
  EXPECT_LE(limit_->limit(), 100);
  EXPECT_LT(least, 90);
}

TEST_P(LimitTest, StaysInItsRangeWhateverIsAnswered) {
  for (int i = 0; i < 50; ++i) {
    Answer(100, i % 3 == 0 ? 50 : 0.2, i % 2 == 0 ? 1000 : 4,
           i % 7 == 0 ? End::kDrop : End::kAnswer);
    EXPECT_GE(limit_->limit(), 4);
    EXPECT_LE(limit_->limit(), 1000);
  }
}

INSTANTIATE_TEST_SUITE_P(All, LimitTest,
                         testing::Values(AdmissionConfig::Algorithm::kKnee,
                                         AdmissionConfig::Algorithm::kGradient2,
                                         AdmissionConfig::Algorithm::kVegas,
                                         AdmissionConfig::Algorithm::kAimd));

using KneeTest = LimitTest;
INSTANTIATE_TEST_SUITE_P(Knee, KneeTest, testing::Values(AdmissionConfig::Algorithm::kKnee));

TEST_P(KneeTest, FindsTheWorkersFromFarAbove) {
  Serve(6000, 40);
  EXPECT_NEAR(limit_->limit(), 40, 8);
}

TEST_P(KneeTest, FindsTheWorkersFromFarBelow) {
  limit_ = MakeAdaptiveLimit(GetParam(), {4, 1000, 10});
  Serve(12000, 40);
  EXPECT_NEAR(limit_->limit(), 40, 8);
}

TEST_P(KneeTest, OpensAnewWhenItIsToldThatWhatWasLearntIsInDoubt) {
  Serve(4000, 40);
  ASSERT_FALSE(limit_->opening());
  Answer(400, 20, 40);  // all was busy with something else
  const double cut = limit_->limit();
  ASSERT_LT(cut, 30);
  limit_->Reopen();
  EXPECT_TRUE(limit_->opening());
  moved_ = 0;
  for (int i = 0; i < 40; ++i) Answer(1, 1, static_cast<std::uint32_t>(limit_->limit()));
  EXPECT_GT(limit_->limit(), cut + 15);
}

TEST_P(KneeTest, TakesServersThatBecameSlowerForWhatTheyAre) {
  Serve(4000, 40);
  const double before = limit_->limit();
  for (int i = 0; i < 6000; ++i) {  // three times as slow, and as many of them
    const auto in_flight = static_cast<std::uint32_t>(limit_->limit());
    Answer(1, 3 * std::max(1.0, in_flight / 40.0), in_flight);
  }
  EXPECT_NEAR(limit_->limit(), before, before / 3);
}

TEST_P(KneeTest, FindsFewWorkersThoughNobodySawThemAtRest) {
  limit_ = MakeAdaptiveLimit(GetParam(), {1, 1000, 12});
  novel_ = true;
  double most = 0;
  for (int i = 0; i < 300; ++i) Serve(1, 4), most = std::max(most, limit_->limit());
  EXPECT_LE(most, 13);
  EXPECT_LT(limit_->limit(), 10);
}

TEST_P(KneeTest, ComesUpFromOneWhereAllBecameManyTimesAsSlow) {
  limit_ = MakeAdaptiveLimit(GetParam(), {1, 1000, 1});
  for (int i = 0; i < 2000; ++i) {
    const auto in_flight = static_cast<std::uint32_t>(limit_->limit());
    Answer(1, 20 * std::max(1.0, in_flight / 10.0), in_flight);
  }
  EXPECT_GT(limit_->limit(), 5);
}

TEST_P(KneeTest, ClimbsByLargerStepsTheFartherItHasToGo) {
  Serve(3000, 40);
  int answers = 0;
  for (; limit_->limit() < 900 && answers < 5000; ++answers) Serve(1, 1200);
  EXPECT_LT(answers, 190);
}

TEST_P(KneeTest, IsBackSoonWhereFewWorkersBecomeNineTimesAsMany) {
  limit_ = MakeAdaptiveLimit(GetParam(), {1, 1000, 4});
  const auto serve = [&](double workers) { now_ += 20ms, Serve(1, workers); };
  for (int i = 0; i < 1000; ++i) serve(3);
  int answers = 0;
  for (; limit_->limit() < 24 && answers < 5000; ++answers) serve(27);
  EXPECT_LT(answers, 90);
}

// Each probe is half as many again here. The more often it tries, the longer all take.
TEST_P(KneeTest, TriesOneMoreThanTwoWorkersNowAndThenOnly) {
  limit_ = MakeAdaptiveLimit(GetParam(), {1, 1000, 4});
  const auto serve = [&] { now_ += 20ms, Serve(1, 2); };
  for (int i = 0; i < 1000; ++i) serve();
  int above = 0, below = 0;
  for (int i = 0; i < 2000; ++i) {
    serve();
    above += std::lround(limit_->limit()) > 2 ? 1 : 0;
    below += std::lround(limit_->limit()) < 2 ? 1 : 0;
  }
  EXPECT_LT(above, 350);
  EXPECT_GT(above, 50);  // more workers would not show otherwise
  EXPECT_LT(below, 300);
}

// What is vital has a second slot there.
TEST_P(KneeTest, TwoAtOneWorkerAreNotUsualThoughTheLimitIsOne) {
  limit_ = MakeAdaptiveLimit(GetParam(), {1, 1000, 1});
  waits_ = true;
  int above = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto in_flight = 1 + static_cast<std::uint32_t>(std::lround(limit_->limit()));
    Answer(1, in_flight, in_flight);
    above += std::lround(limit_->limit()) > 1 ? 1 : 0;
  }
  EXPECT_LT(above, 300);
}

TEST_P(KneeTest, TellsNothingOfALimitThatItMayNotHave) {
  limit_ = MakeAdaptiveLimit(GetParam(), {20, 1000, 20});
  for (int i = 0; i < 4000; ++i) {
    Serve(1, 6);
    EXPECT_GE(limit_->gradient(), limit_->limit() > 20 ? 0 : 0.7) << i;
  }
}

// The line lets in as many as keep four slots in five busy, where one in flight more would not be slower.
TEST_P(KneeTest, GrowsThoughNotAllSlotsAreInUse) {
  Serve(2000, 40);
  waits_ = true;
  for (int i = 0; i < 4000; ++i) Answer(1, 1, static_cast<std::uint32_t>(0.8 * limit_->limit()));
  EXPECT_GT(limit_->limit(), 80);
}

TEST_P(KneeTest, KeepsNearWhereErrorsBegin) {
  limit_ = MakeAdaptiveLimit(GetParam(), {1, 1000, 20});
  double sum = 0;
  for (int i = 0; i < 20000; ++i) {
    const auto in_flight = static_cast<std::uint32_t>(limit_->limit());
    Answer(1, 1, in_flight, in_flight > 40 ? End::kError : End::kAnswer);
    sum += limit_->limit() / 20000;
  }
  EXPECT_NEAR(sum, 38, 4);
}

TEST_P(KneeTest, CorrectsWhatIsUsualOnceForThoseWhoWereAnsweredMeanwhile) {
  limit_ = MakeAdaptiveLimit(GetParam(), {1, 1000, 12});
  const LimitScene scene{12, 100, true, true, 0, true};
  const auto answer = [&](std::uint32_t cohort) {
    limit_->Sample({now_, cohort, 10ms, -1.0 - moved_, true, 12}, scene);
    moved_ += limit_->TakeCorrection();
  };
  std::vector<std::uint32_t> cohorts;
  for (int i = 0; i < 24 + 12; ++i) cohorts.push_back(limit_->Admitted(12, now_));
  now_ += 10ms;
  for (int i = 24; i < 36; ++i) answer(cohorts[static_cast<std::size_t>(i)]);
  for (int i = 0; i < 24; ++i) answer(cohorts[static_cast<std::size_t>(i)]);
  ASSERT_NEAR(moved_, -1, 0.01);
  now_ += 1s;
  answer(limit_->Admitted(12, now_));
  EXPECT_NEAR(moved_, -1, 0.2);
}

}  // namespace
}  // namespace spillway
