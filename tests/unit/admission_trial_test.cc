// SPDX-License-Identifier: MIT
// Routes that have never answered, of which a few requests go first.
#include "tests/unit/admission_fixture.h"

namespace spillway {
namespace {

using State = AdmissionTicket::State;

constexpr std::uint64_t kNewRoute = 9;

class AdmissionTrialTest : public AdmissionTest {
 protected:
  // A pool that answers, and is at work.
  void BeginBusy() {
    Begin(Fixed(16));
    AnswerPages(100);
    at_work_ = {&Ask(), &Ask()};
  }
  void AnswerPages(int count) {
    for (int i = 0; i < count; ++i) {
      AdmissionTicket& page = Ask();
      now_ += 10ms;
      Answer(page);
    }
  }
  AdmissionTicket& AskNew(TrafficClass traffic_class = TrafficClass::kCritical) {
    return Ask(traffic_class, 0, kNewRoute);
  }
  std::vector<AdmissionTicket*> at_work_;
};

TEST_F(AdmissionTrialTest, OneGoesFirstAndTheOthersFollowOnceItHasAnswered) {
  BeginBusy();
  AdmissionTicket& first = AskNew();
  AdmissionTicket& second = AskNew();
  AdmissionTicket& third = AskNew();
  EXPECT_EQ(first.state, State::kAdmitted);
  EXPECT_EQ(second.state, State::kQueued);
  EXPECT_EQ(View().queued[1], 2U);
  AdmissionTicket& page = Ask();
  EXPECT_EQ(page.state, State::kAdmitted);  // who asks for what answers does not wait behind them
  Answer(page);
  EXPECT_TRUE(Told().empty());
  admission_->FirstByte(&first, 10ms, now_);
  EXPECT_EQ(Told(), (std::vector{&second, &third}));
  EXPECT_EQ(third.state, State::kAdmitted);
  EXPECT_EQ(View().queued[1], 0U);
  EXPECT_EQ(AskNew().state, State::kAdmitted);
}

TEST_F(AdmissionTrialTest, AnErrorIsAnAnswer) {
  BeginBusy();
  AdmissionTicket& first = AskNew();
  AdmissionTicket& second = AskNew();
  Answer(first, 10ms, AdmissionEnd::kError);
  EXPECT_EQ(Told(), std::vector{&second});
  EXPECT_EQ(AskNew().state, State::kAdmitted);
}

TEST_F(AdmissionTrialTest, AnErrorThatNobodyWaitedForIsNone) {
  BeginBusy();
  AdmissionTicket& first = AskNew();
  AdmissionTicket& second = AskNew();
  first.left = now_ + 1s;
  AnswerPages(300);
  Answer(first, 3s, AdmissionEnd::kError);
  EXPECT_EQ(Told(), std::vector{&second});  // one at a time still
  EXPECT_EQ(AskNew().state, State::kQueued);
}

TEST_F(AdmissionTrialTest, OfALargePoolOneInSixteenGoesFirst) {
  Begin(Fixed(64));
  AnswerPages(100);
  for (int i = 0; i < 8; ++i) Ask();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(AskNew().state, State::kAdmitted) << i;
  EXPECT_EQ(AskNew().state, State::kQueued);
}

TEST_F(AdmissionTrialTest, WhoWaitsInVainIsToldSoWhenHisTimeIsOver) {
  BeginBusy();
  AskNew();
  const TimePoint asked = now_;
  AdmissionTicket& second = AskNew();
  AnswerPages(100);
  AdmissionTicket& third = AskNew();
  EXPECT_LE(admission_->wakeup(), now_ + 100ms);
  for (; now_ < asked + 5s; now_ += 10ms) {
    Answer(Ask());
    ASSERT_TRUE(Told().empty());
  }
  EXPECT_EQ(Told(), std::vector{&second});
  EXPECT_EQ(second.state, State::kShed);
  EXPECT_EQ(second.reason, ShedReason::kRoute);
  EXPECT_EQ(third.state, State::kQueued);
  admission_->Leave(&second, AdmissionEnd::kUnmeasured, now_);
  EXPECT_LE(admission_->wakeup(), now_ + 100ms);
}

TEST_F(AdmissionTrialTest, ADeadlineThatPassesMeanwhileIsTold) {
  BeginBusy();
  AskNew();
  AdmissionTicket& second = tickets_.emplace_back();
  second.ask.traffic_class = TrafficClass::kCritical;
  second.ask.client = 77;
  second.ask.route = {kNewRoute, 1};
  second.ask.deadline = now_ + 300ms;
  admission_->Enter(&second, now_);
  EXPECT_EQ(second.state, State::kQueued);
  EXPECT_LE(admission_->wakeup(), now_ + 100ms);
  now_ += 300ms;
  EXPECT_EQ(Told(), std::vector{&second});
  EXPECT_EQ(second.reason, ShedReason::kDeadline);
}

TEST_F(AdmissionTrialTest, WhoLeavesIsNotToldOfIt) {
  BeginBusy();
  AdmissionTicket& first = AskNew();
  AdmissionTicket& second = AskNew();
  AdmissionTicket& third = AskNew();
  admission_->Leave(&second, AdmissionEnd::kUnmeasured, now_);
  EXPECT_EQ(View().queued[1], 1U);
  Answer(first);
  EXPECT_EQ(Told(), std::vector{&third});
}

// Its server may be at it still, though nobody waits for that.
TEST_F(AdmissionTrialTest, OneThatWasGivenUpIsTriedAgainOnlyAfterAWhile) {
  BeginBusy();
  AdmissionTicket& first = AskNew();
  AdmissionTicket& second = AskNew();
  now_ += 2s;
  admission_->Leave(&first, AdmissionEnd::kUnmeasured, now_);
  AnswerPages(10);
  EXPECT_TRUE(Told().empty());
  admission_->Leave(&second, AdmissionEnd::kUnmeasured, now_);
  AnswerPages(3000);
  EXPECT_EQ(AskNew().state, State::kAdmitted);
}

TEST_F(AdmissionTrialTest, WhatMattersMostDoesNotWaitForOthersToShowIt) {
  BeginBusy();
  AskNew();
  EXPECT_EQ(AskNew(TrafficClass::kCriticalPlus).state, State::kAdmitted);
}

TEST_F(AdmissionTrialTest, NobodyWaitsWhereLittleIsKnownYetNorWhereMostSlotsAreFree) {
  Begin(Fixed(16));
  at_work_ = {&Ask(), &Ask()};
  AnswerPages(20);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(AskNew().state, State::kAdmitted) << i;

  Begin(Fixed(1000));
  AnswerPages(100);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(AskNew().state, State::kAdmitted) << i;
}

TEST_F(AdmissionTrialTest, OnlySoManyWaitAndTheOthersAreJudgedAsEver) {
  BeginBusy();
  AskNew();
  for (int i = 0; i < 64; ++i) EXPECT_EQ(AskNew().state, State::kQueued) << i;
  EXPECT_EQ(AskNew().state, State::kAdmitted);
}

// All fall silent while one waits: nothing but time tells.
TEST_F(AdmissionTrialTest, WhoWaitsGoesWhenNobodyElseIsAnsweredAnyMore) {
  BeginBusy();
  AskNew();
  AdmissionTicket& second = AskNew();
  for (int i = 0; i < 5 && second.state == State::kQueued; ++i) {
    const auto wakeup = admission_->wakeup();
    ASSERT_TRUE(wakeup);
    now_ = *wakeup;
    Told();
  }
  EXPECT_EQ(second.state, State::kAdmitted);
}

// The queue's own time begins then.
TEST_F(AdmissionTrialTest, WhoIsReleasedLateWaitsForASlotLikeAnyOther) {
  BeginBusy();
  AdmissionTicket& first = AskNew();
  AdmissionTicket& second = AskNew();
  AnswerPages(450);
  while (View().in_flight < 16) at_work_.push_back(&Ask());
  AdmissionTicket& waits = Ask();
  ASSERT_EQ(waits.state, State::kQueued);
  admission_->FirstByte(&first, 4500ms, now_);
  EXPECT_TRUE(Told().empty());
  EXPECT_EQ(second.state, State::kQueued);
  now_ += 4s;
  EXPECT_TRUE(Told().empty());
  EXPECT_EQ(second.state, State::kQueued);
  Answer(*at_work_[0]);
  Answer(*at_work_[1]);
  EXPECT_THAT(Told(), testing::UnorderedElementsAre(&waits, &second));
  EXPECT_EQ(second.state, State::kAdmitted);
}

TEST_F(AdmissionTrialTest, NobodyWaitsWhereThereIsNoQueue) {
  Begin(Fixed(16, 0));
  AnswerPages(100);
  at_work_ = {&Ask(), &Ask()};
  AskNew();
  EXPECT_EQ(AskNew().state, State::kAdmitted);
}

// In an outage no route is to blame.
TEST_F(AdmissionTrialTest, WhereNobodyAnswersNobodyWaitsForOneRoute) {
  BeginBusy();
  now_ += 2s;
  AskNew();
  EXPECT_EQ(AskNew().state, State::kAdmitted);
}

}  // namespace
}  // namespace spillway
