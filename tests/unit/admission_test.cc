// SPDX-License-Identifier: MIT
#include "spillway/admission.h"

#include "spillway/refused_route.h"
#include "tests/unit/admission_fixture.h"

namespace spillway {
namespace {

using State = AdmissionTicket::State;
using Limit = AdmissionConfig::Limit;

TEST_F(AdmissionTest, AdmitsUpToAFixedLimitAndThenQueues) {
  Begin(Fixed(2));
  AdmissionTicket& first = Ask();
  EXPECT_EQ(first.state, State::kAdmitted);
  EXPECT_EQ(Ask().state, State::kAdmitted);
  AdmissionTicket& third = Ask();
  EXPECT_EQ(third.state, State::kQueued);
  EXPECT_TRUE(Told().empty());
  EXPECT_EQ(View().in_flight, 2U);
  EXPECT_EQ(View().queued[1], 1U);
  Answer(first);
  EXPECT_EQ(first.state, State::kOutside);
  EXPECT_EQ(Told(), std::vector{&third});
  EXPECT_EQ(third.state, State::kAdmitted);
  EXPECT_EQ(View().queued[1], 0U);
}

TEST_F(AdmissionTest, OffAdmitsAllAndCountsThem) {
  AdmissionConfig config;
  config.limit = Limit::kOff;
  Begin(config);
  for (int i = 0; i < 5000; ++i) EXPECT_EQ(Ask().state, State::kAdmitted);
  EXPECT_EQ(View().limit, 0U);
  EXPECT_EQ(View().in_flight, 5000U);
}

TEST_F(AdmissionTest, ServesClassesStrictlyOneAfterTheOther) {
  Begin(Fixed(1));
  AdmissionTicket& holder = Ask();
  AdmissionTicket& sheddable = Ask(TrafficClass::kSheddable);
  AdmissionTicket& plus = Ask(TrafficClass::kSheddablePlus);
  AdmissionTicket& critical = Ask(TrafficClass::kCritical);
  AdmissionTicket& order = Ask(TrafficClass::kCriticalPlus);
  AdmissionTicket* served = &holder;
  for (AdmissionTicket* next : {&order, &critical, &plus, &sheddable}) {
    Answer(*served);
    ASSERT_EQ(Told(), std::vector{next});
    served = next;
  }
}

TEST_F(AdmissionTest, AProtectedVisitorComesBeforeTheCriticalAndAfterTheCriticalPlus) {
  Begin(Fixed(1));
  AdmissionTicket& holder = Ask();
  AdmissionTicket& critical = Ask();
  AdmissionTicket& visitor = tickets_.emplace_back();
  visitor.ask = {TrafficClass::kSheddable, true, 0, 5, {7, 1}, {}, {}, {}};
  admission_->Enter(&visitor, now_);
  AdmissionTicket& order = Ask(TrafficClass::kCriticalPlus);
  Answer(holder);
  EXPECT_EQ(Told(), std::vector{&order});
  Answer(order);
  EXPECT_EQ(Told(), std::vector{&visitor});
  Answer(visitor);
  EXPECT_EQ(Told(), std::vector{&critical});
}

TEST_F(AdmissionTest, OneClientsManyRequestsDoNotPushOutOthers) {
  Begin(Fixed(1));
  AdmissionTicket& holder = Ask();
  std::vector<AdmissionTicket*> many;
  for (int i = 0; i < 20; ++i) many.push_back(&Ask(TrafficClass::kCritical, 1));
  AdmissionTicket& other = Ask(TrafficClass::kCritical, 2);
  Answer(holder);
  AdmissionTicket* first = Told().at(0);
  Answer(*first);
  AdmissionTicket* second = Told().at(0);
  EXPECT_TRUE(first == &other || second == &other);
}

TEST_F(AdmissionTest, InAFullQueueTheLongestLaneGivesWay) {
  Begin(Fixed(1, 4));
  Ask();
  std::vector<AdmissionTicket*> many;
  for (int i = 0; i < 4; ++i) many.push_back(&Ask(TrafficClass::kCritical, 1));
  EXPECT_EQ(Ask(TrafficClass::kCritical, 1).reason, ShedReason::kQueueFull);
  EXPECT_EQ(Ask(TrafficClass::kCritical, 2).state, State::kQueued);
  EXPECT_EQ(Told(), std::vector{many[0]});
  EXPECT_EQ(many[0]->state, State::kShed);
  EXPECT_EQ(many[0]->reason, ShedReason::kQueueFull);
}

TEST_F(AdmissionTest, AHigherClassTakesAPlaceInAFullQueue) {
  Begin(Fixed(1, 1));
  Ask();
  AdmissionTicket& low = Ask(TrafficClass::kSheddable);
  AdmissionTicket& high = Ask(TrafficClass::kCriticalPlus);
  EXPECT_EQ(high.state, State::kQueued);
  EXPECT_EQ(low.state, State::kShed);
  EXPECT_EQ(Told(), std::vector{&low});
  EXPECT_EQ(Ask(TrafficClass::kSheddable).reason, ShedReason::kQueueFull);
  EXPECT_EQ(View().shed[3][static_cast<int>(ShedReason::kQueueFull)], 2U);
}

TEST_F(AdmissionTest, WithoutPlacesNobodyWaits) {
  Begin(Fixed(1, 0));
  Ask();
  AdmissionTicket& second = Ask();
  EXPECT_EQ(second.state, State::kShed);
  EXPECT_EQ(second.reason, ShedReason::kQueueFull);
}

TEST_F(AdmissionTest, WhoHasWaitedForTheTimeoutIsShed) {
  Begin(Fixed(1, 10, 2s));
  Ask();
  AdmissionTicket& waiting = Ask();
  ASSERT_EQ(admission_->wakeup(), now_ + 2s);
  now_ += 1999ms;
  EXPECT_TRUE(Told().empty());
  now_ += 1ms;
  EXPECT_EQ(Told(), std::vector{&waiting});
  EXPECT_EQ(waiting.reason, ShedReason::kQueueTimeout);
  EXPECT_EQ(admission_->wakeup(), std::nullopt);
}

TEST_F(AdmissionTest, ADeadlineThatHasPassedIsNotServed) {
  Begin(Fixed(1));
  Ask();
  AdmissionTicket& waiting = tickets_.emplace_back();
  waiting.ask.deadline = now_ + 50ms;
  admission_->Enter(&waiting, now_);
  ASSERT_EQ(waiting.state, State::kQueued);
  ASSERT_EQ(admission_->wakeup(), now_ + 50ms);
  now_ += 50ms;
  EXPECT_EQ(Told(), std::vector{&waiting});
  EXPECT_EQ(waiting.reason, ShedReason::kDeadline);
}

TEST_F(AdmissionTest, ADeadlineThatCannotBeKeptIsRefusedAtTheDoor) {
  Begin(Fixed(1));
  for (int i = 0; i < 20; ++i) {
    AdmissionTicket& one = Ask();
    now_ += 100ms;
    Answer(one, 100ms);
  }
  Ask();
  AdmissionTicket& late = tickets_.emplace_back();
  late.ask.deadline = now_ + 120ms;  // 100 ms until the slot is free, and then an answer's time
  admission_->Enter(&late, now_);
  EXPECT_EQ(late.reason, ShedReason::kDeadline);
}

TEST_F(AdmissionTest, WhoStandsApartLeavesItsPlaceToAnother) {
  Begin(Fixed(1));
  AdmissionTicket& stream = Ask();
  AdmissionTicket& waiting = Ask();
  admission_->StandApart(&stream, now_);
  EXPECT_EQ(Told(), std::vector{&waiting});
  admission_->Leave(&stream, AdmissionEnd::kUnmeasured, now_);
  EXPECT_EQ(View().in_flight, 1U);
  EXPECT_EQ(Ask().state, State::kQueued);
}

TEST_F(AdmissionTest, OneThatLeavesTheQueueIsForgotten) {
  Begin(Fixed(1));
  AdmissionTicket& holder = Ask();
  AdmissionTicket& waiting = Ask();
  admission_->Leave(&waiting, AdmissionEnd::kUnmeasured, now_);
  EXPECT_EQ(waiting.state, State::kOutside);
  Answer(holder);
  EXPECT_TRUE(Told().empty());
  EXPECT_EQ(View().in_flight, 0U);
  admission_->Leave(&waiting, AdmissionEnd::kUnmeasured, now_);  // does nothing
}

TEST_F(AdmissionTest, OneThatWasShedAndLeavesBeforeItIsToldIsNotTold) {
  Begin(Fixed(1, 1));
  Ask();
  AdmissionTicket& low = Ask(TrafficClass::kSheddable);
  Ask(TrafficClass::kCriticalPlus);
  ASSERT_EQ(low.state, State::kShed);
  admission_->Leave(&low, AdmissionEnd::kUnmeasured, now_);
  EXPECT_TRUE(Told().empty());
}

TEST_F(AdmissionTest, AnotherLimitKeepsThoseWhoWait) {
  Begin(Fixed(1));
  Ask();
  AdmissionTicket& second = Ask();
  AdmissionTicket& third = Ask();
  admission_->Configure(Fixed(3), now_);
  EXPECT_THAT(Told(), testing::UnorderedElementsAre(&second, &third));
  AdmissionConfig off;
  off.limit = Limit::kOff;
  AdmissionTicket& fourth = Ask();
  ASSERT_EQ(fourth.state, State::kQueued);
  admission_->Configure(off, now_);
  EXPECT_EQ(Told(), std::vector{&fourth});
}

TEST_F(AdmissionTest, AnAdaptiveLimitBeginsWhereItIsToldTo) {
  AdmissionConfig config;
  config.initial = 3;
  config.min = 1;
  Begin(config);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask().state, State::kAdmitted);
  EXPECT_EQ(Ask().state, State::kQueued);
  EXPECT_EQ(View().limit, 3U);
  // The reserve of the vital.
  EXPECT_EQ(Ask(TrafficClass::kCriticalPlus).state, State::kAdmitted);
}

TEST_F(AdmissionTest, ACrowdThatComesAtOnceIsServedInItsTurn) {
  Begin(AdmissionConfig{});
  std::vector<AdmissionTicket*> in_flight;
  for (int i = 0; i < 1000; ++i) {
    AdmissionTicket& one = Ask();
    ASSERT_NE(one.state, State::kShed) << i;
    if (one.state == State::kAdmitted) in_flight.push_back(&one);
  }
  std::size_t served = 0;
  while (!in_flight.empty()) {
    now_ += 10ms;
    std::vector<AdmissionTicket*> answered = std::exchange(in_flight, {});
    for (AdmissionTicket* one : answered) Answer(*one, 10ms);
    served += answered.size();
    for (AdmissionTicket* one : Told()) {
      ASSERT_EQ(one->state, State::kAdmitted);
      in_flight.push_back(one);
    }
  }
  EXPECT_EQ(served, 1000U);
}

TEST_F(AdmissionTest, ALimitOpensWhereEveryRequestIsForAnotherPage) {
  Begin(AdmissionConfig{});
  std::deque<std::pair<TimePoint, AdmissionTicket*>> at_work;
  std::uint64_t page = 100;
  for (int i = 0; i < 5000;
       ++i, now_ += 500us) {  // 2,000 in a second, 50 ms each: a hundred at once
    while (!at_work.empty() && at_work.front().first <= now_) {
      Answer(*at_work.front().second, 50ms);
      at_work.pop_front();
    }
    for (AdmissionTicket* ticket : Told()) {
      ASSERT_EQ(ticket->state, State::kAdmitted);
      at_work.emplace_back(now_ + 50ms, ticket);
    }
    AdmissionTicket& ticket = Ask(TrafficClass::kCritical, 0, ++page);
    ASSERT_NE(ticket.state, State::kShed);
    if (ticket.state == State::kAdmitted) at_work.emplace_back(now_ + 50ms, &ticket);
  }
  EXPECT_GE(View().limit, 100U);
  EXPECT_EQ(View().queued[1], 0U);
}

TEST_F(AdmissionTest, ADeadlineThatItsRouteCannotKeepIsRefusedThoughASlotIsFree) {
  Begin(AdmissionConfig{});
  for (int i = 0; i < 20; ++i) {
    AdmissionTicket& slow = Ask(TrafficClass::kCritical, 0, 3);
    now_ += 500ms;
    Answer(slow, 500ms);
  }
  const auto ask = [&](std::uint64_t route, Duration patience) {
    AdmissionTicket& ticket = tickets_.emplace_back();
    ticket.ask.route = {route, 1};
    ticket.ask.deadline = now_ + patience;
    admission_->Enter(&ticket, now_);
    return ticket.reason;
  };
  EXPECT_EQ(ask(3, 100ms), ShedReason::kNone);  // the servers may have become faster
  EXPECT_EQ(ask(3, 100ms), ShedReason::kDeadline);
  EXPECT_EQ(ask(3, 400ms), ShedReason::kNone);
  EXPECT_EQ(ask(4, 0ms), ShedReason::kDeadline);
}

TEST_F(AdmissionTest, OneWhoAsksForTheQuickestAllTheTimeDoesNotTeachHowLongAnswersTake) {
  Begin(AdmissionConfig{});
  for (int i = 0; i < 1200; ++i) {
    now_ += 5ms;
    Answer(Ask(TrafficClass::kCritical, 0, 3), 100ms);
    for (int k = 0; k < 3; ++k) Answer(Ask(TrafficClass::kCritical, 5, 3), 2ms);
  }
  Ask(TrafficClass::kCritical, 0, 3);
  AdmissionTicket& hasty = tickets_.emplace_back();
  hasty.ask.route = {3, 1};
  hasty.ask.deadline = now_ + 30ms;
  admission_->Enter(&hasty, now_);
  EXPECT_EQ(hasty.reason, ShedReason::kDeadline);
}

TEST_F(AdmissionTest, RefusalsOfTwoSpeedsDoNotHoldTheLimitDown) {
  Begin(AdmissionConfig{});
  const auto answer = [this](AdmissionTicket& one, Duration page, Duration refusal, bool refused) {
    if (refused) one.ask.route = kRefusedRoute;
    Answer(one, refused ? refusal : page);
  };
  for (int i = 0; i < 300; ++i) {
    now_ += 10ms;
    answer(Ask(), 50ms, 2ms, i % 2 == 0);
  }
  std::deque<AdmissionTicket*> in_flight;
  const auto ask = [&] {
    AdmissionTicket& one = Ask();
    if (one.state == State::kAdmitted) in_flight.push_back(&one);
  };
  for (int i = 0; i < 30; ++i) ask();
  for (int i = 0; i < 300; ++i) {
    now_ += 1ms;
    answer(*in_flight.front(), 50ms, 300ms,
           i % 2 == 0);  // a wrong password, where wrong paths were
    in_flight.pop_front();
    for (AdmissionTicket* one : Told()) in_flight.push_back(one);
    ask();
  }
  EXPECT_GE(View().limit, 30U);
}

// A path hangs, its visitors have left, and after 20 s it answers: it is no long poll for that.
TEST_F(AdmissionTest, WhatNobodyWaitedForDoesNotTeachThatARouteWaitsByDesign) {
  Begin(AdmissionConfig{});
  const auto pages = [this](int count) {
    for (int i = 0; i < count; ++i) {
      AdmissionTicket& page = Ask();
      now_ += 20ms;
      Answer(page, 20ms);
    }
  };
  const auto apart_after = [&](std::optional<Duration> left, std::uint64_t route) {
    for (int count : {1, 10}) {  // of a route that never answered one goes first
      std::vector<AdmissionTicket*> hung;
      for (int i = 0; i < count; ++i) hung.push_back(&Ask(TrafficClass::kCritical, 0, route));
      pages(1000);
      for (AdmissionTicket* one : hung) {
        if (left) one->left = one->admitted + *left;
        Answer(*one, 20s);
      }
    }
    pages(300);
    for (int i = 0; i < 5; ++i) Ask(TrafficClass::kCritical, 0, route);
    return View().apart;
  };
  pages(300);
  EXPECT_EQ(apart_after(2s, 9), 0U);
  EXPECT_EQ(apart_after(std::nullopt, 10), 5U);
  EXPECT_EQ(apart_after(50ms, 11), 10U);  // they never meant to wait for it
}

TEST_F(AdmissionTest, TheViewCountsTheProtected) {
  Begin(Fixed(1, 1));
  AdmissionTicket visitors[3];
  for (AdmissionTicket& visitor : visitors) {
    visitor.ask.is_protected = true;
    admission_->Enter(&visitor, now_);
  }
  EXPECT_EQ(visitors[2].state, State::kShed);
  EXPECT_EQ(View().protected_requests, 2U);
  Answer(visitors[0]);
  EXPECT_EQ(View().protected_requests, 1U);
  now_ += 1s;
  EXPECT_EQ(Told().size(), 1U);
  EXPECT_EQ(View().protected_requests, 1U);
  Answer(visitors[1]);
  EXPECT_EQ(View().protected_requests, 0U);
}

// Twenty at a time, for so many turns of 50 ms, with as many more waiting.
class PressureTest : public AdmissionTest, public testing::WithParamInterface<double> {};

TEST_P(PressureTest, AnAppThatSaysItHasEnoughIsNotGivenMore) {
  Begin(AdmissionConfig{});
  std::vector<AdmissionTicket*> inside;
  for (int turn = 0; turn < 100; ++turn) {
    for (int i = 0; i < 40; ++i) {
      AdmissionTicket& ticket = Ask();
      if (ticket.state == State::kAdmitted) inside.push_back(&ticket);
    }
    now_ += 50ms;
    for (AdmissionTicket* ticket : std::exchange(inside, {})) {
      if (GetParam() > 0) admission_->Pressure(GetParam(), now_);
      Answer(*ticket, 50ms);
    }
    for (AdmissionTicket* ticket : Told()) {
      if (ticket->state == State::kAdmitted) inside.push_back(ticket);
    }
  }
  if (GetParam() < Admission::kNoMore) {
    EXPECT_GT(View().limit, 30U);
  } else if (GetParam() < Admission::kLess) {
    EXPECT_LE(View().limit, 25U);
  } else {
    EXPECT_LT(View().limit, 10U);
  }
}
INSTANTIATE_TEST_SUITE_P(Pressures, PressureTest, testing::Values(0.0, 0.8, 1.0));

// Of a pool with 100 answers in a second.
TEST_F(AdmissionTest, OneClientThatFloodsLeavesTheOthersTheirSlots) {
  Begin(Fixed(10, 200, 1s));
  std::vector<std::pair<TimePoint, AdmissionTicket*>> answers;
  std::size_t asked = 0, served = 0, of_the_flood = 0;
  const auto enter = [&](AdmissionTicket* one) {
    if (one->state == State::kAdmitted) answers.emplace_back(now_ + 100ms, one);
  };
  for (int ms = 0; ms < 20'000; ++ms) {
    now_ += 1ms;
    for (int i = 0; i < 2; ++i) enter(&Ask(TrafficClass::kCriticalPlus, 99));
    if (ms % 20 == 0) enter(&Ask()), ++asked;
    while (!answers.empty() && answers.front().first <= now_) {
      AdmissionTicket* one = answers.front().second;
      answers.erase(answers.begin());
      if (ms > 5'000) ++(one->ask.client == 99 ? of_the_flood : served);
      Answer(*one, 100ms);
    }
    for (AdmissionTicket* one : Told()) enter(one);
  }
  EXPECT_GE(served, asked * 3 / 4 * 9 / 10);
  EXPECT_LE(of_the_flood, 15U * 100 * 6 / 10);
  EXPECT_GT(View().shed[0][static_cast<std::size_t>(ShedReason::kClient)], 10'000U);
}

// A limit that fell to 1 is to find its way back, and who asks then may be all who are left.
TEST_F(AdmissionTest, AfterAFloodOneClientAloneIsServedByALimitOfOne) {
  Begin(Fixed(1, 200, 1s));
  for (int ms = 0; ms < 5'000; ++ms) {
    now_ += 1ms;
    Ask(TrafficClass::kCritical, 99);
    Told();
  }
  ASSERT_TRUE(View().pressed);
  for (AdmissionTicket& one : tickets_) admission_->Leave(&one, AdmissionEnd::kUnmeasured, now_);
  int served = 0;
  for (int i = 0; i < 60; ++i) {
    now_ += 330ms;
    Told();
    AdmissionTicket& one = Ask(TrafficClass::kCritical, 7);
    if (one.state != State::kAdmitted) continue;
    ++served;
    Answer(one);
  }
  EXPECT_GE(served, 50);
}

}  // namespace
}  // namespace spillway
