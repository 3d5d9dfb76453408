// SPDX-License-Identifier: MIT
// A crowd that comes in one instant, and one that comes bit by bit.
#include <algorithm>

#include "tests/unit/admission_fixture.h"

namespace spillway {
namespace {

using State = AdmissionTicket::State;

// One slot, many who wait for it, and an answer each 10 ms.
class CrowdTest : public AdmissionTest {
 protected:
  void Come(int people, std::uint64_t client = 0) {
    for (int i = 0; i < people; ++i) {
      AdmissionTicket& one = Ask(TrafficClass::kCritical, client);
      if (one.state == State::kAdmitted) at_the_server_ = &one;
    }
  }
  // Until so long after the beginning; what became of those who waited, in their order.
  void LiveUntil(Duration end) {
    while (now_ < TimePoint(1h) + end) {
      now_ += 10ms;
      if (at_the_server_ != nullptr) Answer(*std::exchange(at_the_server_, nullptr));
      for (AdmissionTicket* one : Told()) {
        if (one->state == State::kAdmitted) at_the_server_ = one, served_.push_back(one);
        if (one->state == State::kShed) told_.emplace_back(one, now_ - one->entered);
      }
    }
  }
  // Six times as many as are answered, for a second: no instant.
  void ComeBitByBit() {
    for (int i = 0; i < 100; ++i) {
      Come(6);
      LiveUntil(now_ - TimePoint(1h) + 10ms);
    }
  }
  AdmissionTicket* at_the_server_ = nullptr;
  std::vector<AdmissionTicket*> served_;
  std::vector<std::pair<AdmissionTicket*, Duration>> told_;
};

TEST_F(CrowdTest, WhoWaitedWhenTheOverloadBeganIsServedInTheOrderInWhichHeCame) {
  Begin(Fixed(1));
  for (int i = 0; i < 450; ++i) {
    now_ += 1ms;
    Come(1, 5);
  }
  LiveUntil(1s);
  EXPECT_TRUE(View().pressed);
  LiveUntil(5s);
  ASSERT_EQ(served_.size(), 449U);
  for (std::size_t i = 1; i < served_.size(); ++i)
    EXPECT_GT(served_[i]->entered, served_[i - 1]->entered);
}

TEST_F(CrowdTest, WhoCannotBeServedInTimeIsToldLongBeforeTheTimeout) {
  Begin(Fixed(1, 5000));
  Come(2000);  // five hundred can be answered in 5 s
  LiveUntil(6500ms);
  EXPECT_GE(served_.size(), 490U);
  EXPECT_EQ(served_.size() + told_.size(), 1999U);
  for (const auto& [ticket, age] : told_) {
    EXPECT_EQ(ticket->reason, ShedReason::kQueueTimeout);
    ASSERT_LE(age, 2510ms);
  }
}

TEST_F(CrowdTest, WhoWasNotToldIsServedThoughTheServerBecomesSlower) {
  Begin(Fixed(1, 5000));
  Come(2000);
  LiveUntil(2500ms);
  const std::size_t left = View().queued[1], told = told_.size();
  now_ += 500ms;
  LiveUntil(6500ms);
  EXPECT_EQ(told_.size(), told);
  EXPECT_GE(served_.size(), 250 + left);
}

TEST_F(CrowdTest, APromiseIsKeptThoughOneClientAsksManyTimesAtOnce) {
  Begin(Fixed(1, 5000));
  Come(2000);
  LiveUntil(2500ms);
  const std::size_t told = told_.size();
  now_ += 500ms;
  LiveUntil(5200ms);
  ASSERT_GT(View().queued[1], 5U);
  Come(15, 5);
  LiveUntil(6500ms);
  for (std::size_t i = told; i < told_.size(); ++i) EXPECT_EQ(told_[i].first->ask.client, 5U);
}

TEST_F(CrowdTest, AClassThatIsRefusedAsAWholeDoesNotGatherBeforeTheCritical) {
  Begin(Fixed(1, 5000));
  for (int i = 0; i < 18; ++i) {
    Come(200);
    LiveUntil(now_ - TimePoint(1h) + 100ms);
  }
  Come(200);  // it is an instant still
  ASSERT_EQ(View().lowest, TrafficClass::kCritical);
  int waiting = 0;
  for (int i = 0; i < 100; ++i) {
    waiting += Ask(TrafficClass::kSheddable).state == State::kQueued ? 1 : 0;
  }
  EXPECT_LE(waiting, 1);  // for a slot that is free just now
}

TEST_F(CrowdTest, IsToldEarlyThoughTheLimitStillOpens) {
  AdmissionConfig config = Fixed(1, 5000);
  config.limit = AdmissionConfig::Limit::kAdaptive;
  config.min = config.initial = config.max = 1;
  Begin(config);
  for (int i = 0; i < 20; ++i) {  // it opens as long as answers are quick
    AdmissionTicket& one = Ask();
    now_ += 10ms;
    Answer(one);
  }
  const TimePoint came = now_;
  Come(2000);
  LiveUntil(came - TimePoint(1h) + 3500ms);
  EXPECT_GT(told_.size(), 1000U);
}

TEST_F(CrowdTest, IsToldThoughNothingHappensAnyMore) {
  Begin(Fixed(1, 5000));
  Come(1000);
  LiveUntil(1s);
  ASSERT_TRUE(View().pressed);
  std::size_t told = 0;
  for (auto wakeup = admission_->wakeup(); wakeup && *wakeup <= TimePoint(1h + 2500ms);
       wakeup = admission_->wakeup()) {  // the server hangs, nobody comes
    now_ = std::max(now_, *wakeup) + Duration(1);
    told += Told().size();
  }
  EXPECT_GT(told, 850U);
  EXPECT_LE(View().queued[1], 10U);  // as the rate fades, but is not nothing yet
}

TEST_F(CrowdTest, ThatGoesOnComingIsGatheredForTwoSecondsThoughTheOverloadHasBegun) {
  Begin(Fixed(1, 5000));
  Come(600);
  LiveUntil(700ms);
  ASSERT_TRUE(View().pressed);
  const std::size_t before = View().queued[1];
  Come(200);
  EXPECT_GT(View().queued[1], before + 190);
  for (int i = 0; i < 25; ++i) {
    Come(200);
    LiveUntil(now_ - TimePoint(1h) + 100ms);
  }
  const std::size_t later = View().queued[1];
  Come(200);
  EXPECT_LT(View().queued[1], later + 10);  // it is no instant
}

TEST_F(CrowdTest, ThatIsOverGetsAllSlotsThoughAFewGoOnComing) {
  Begin(Fixed(1, 5000));
  Come(600);
  LiveUntil(1s);
  ASSERT_TRUE(View().pressed);
  const std::size_t before = served_.size();
  for (int i = 0; i < 25; ++i) {
    Come(1);
    LiveUntil(now_ - TimePoint(1h) + 40ms);
  }
  EXPECT_GE(served_.size() - before, 95U);
}

TEST_F(CrowdTest, ThatCameBitByBitIsToldBetween54And60PercentOfTheTimeout) {
  Begin(Fixed(1, 5000));
  ComeBitByBit();
  ASSERT_TRUE(View().pressed);
  LiveUntil(6s);
  ASSERT_FALSE(told_.empty());
  for (const auto& [ticket, age] : told_) {
    EXPECT_GE(age, 2690ms);
    EXPECT_LE(age, 3010ms);
  }
}

TEST_F(CrowdTest, ThatCameBitByBitWaitsNoLongerThanTheTimeout) {
  Begin(Fixed(1, 5000));
  ComeBitByBit();
  LiveUntil(4s);
  at_the_server_ = nullptr;  // it hangs
  told_.clear();
  LiveUntil(8s);
  ASSERT_FALSE(told_.empty());
  for (const auto& [ticket, age] : told_) EXPECT_LE(age, 5110ms);
}

TEST_F(CrowdTest, ThatGoesOnComingIsToldAtAQuarterOfTheTimeout) {
  Begin(Fixed(1, 5000));
  Come(400);
  while (now_ < TimePoint(1h) + 2500ms) {
    Come(5);  // five times as many as are answered
    LiveUntil(now_ - TimePoint(1h) + 10ms);
  }
  ASSERT_FALSE(told_.empty());
  EXPECT_LE(std::ranges::min(told_, {}, &std::pair<AdmissionTicket*, Duration>::second).second,
            1800ms);
}

TEST_F(CrowdTest, IsToldInTimeWhereTheTimeoutIsShorterThanATick) {
  Begin(Fixed(1, 5000, 50ms));
  Come(2000);
  LiveUntil(1s);
  EXPECT_EQ(served_.size() + told_.size(), 1999U);
  for (const auto& [ticket, age] : told_) EXPECT_LE(age, 110ms);
}

// A server of one place, a queue of two, and somebody who is turned away now and then.
class TurnedAwayTest : public AdmissionTest {
 protected:
  TurnedAwayTest() {
    Begin(Fixed(1, 2, 1min));
    for (int i = 0; i < 3; ++i) Ask();
  }
  void Elapse(Duration time) {
    for (const TimePoint until = now_ + time; now_ < until; now_ += 100ms) Told();
  }
};

TEST_F(TurnedAwayTest, OneIsNoOverload) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Ask().state, State::kShed);
  Elapse(5s);
  EXPECT_FALSE(View().pressed);
  EXPECT_EQ(Ask().state, State::kShed);  // long after the others
  Elapse(5s);
  EXPECT_FALSE(View().pressed);
}

TEST_F(TurnedAwayTest, OneAfterTheOtherAreThoughNotInEachTick) {
  for (int i = 0; i < 4; ++i) {
    Ask();
    Elapse(700ms);
  }
  EXPECT_TRUE(View().pressed);
}

}  // namespace
}  // namespace spillway
