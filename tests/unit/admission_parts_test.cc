// SPDX-License-Identifier: MIT
// The parts of admission that know one thing each: the line through the cohorts, the success of the
// servers, the slots of those who left, and the routes.
#include <gtest/gtest.h>

#include <deque>
#include <initializer_list>

#include "rules/cohort_cut.h"
#include "rules/overload_gauge.h"
#include "rules/route_ledger.h"
#include "rules/served_visitors.h"
#include "rules/success_rate.h"
#include "spillway/refused_route.h"

namespace spillway {
namespace {

constexpr TimePoint kBegin{1h};

// --- cohorts ---

CohortCut EvenlyAsked() {
  CohortCut cut;
  for (const std::uint8_t rank : std::initializer_list<std::uint8_t>{0, 2, 4}) {
    for (std::uint8_t cohort = 0; cohort < 128; ++cohort) {
      for (int i = 0; i < 10; ++i) cut.Ask(CohortCut::Level(rank, cohort));
    }
  }
  return cut;
}

TEST(CohortCut, LetsAllPassUntilItBegins) {
  CohortCut cut;
  EXPECT_TRUE(cut.open());
  EXPECT_TRUE(cut.Passes(CohortCut::Level(4, 127)));
}

TEST(CohortCut, DrawsTheLineWhereTheShareIs) {
  CohortCut cut = EvenlyAsked();
  cut.Begin(0.45);  // and a tenth more, some of whom are refused at the queue: a half of all
  EXPECT_TRUE(cut.Passes(CohortCut::Level(0, 127)));
  EXPECT_TRUE(cut.Passes(CohortCut::Level(2, 60)));
  EXPECT_FALSE(cut.Passes(CohortCut::Level(2, 68)));
  EXPECT_FALSE(cut.Passes(CohortCut::Level(4, 0)));
}

TEST(CohortCut, ACohortIsInOrOutAsAWholeAndWhoIsInStaysWhileNothingChanges) {
  CohortCut cut = EvenlyAsked();
  cut.Begin(0.45);
  const std::uint32_t line = cut.cut();
  for (int i = 0; i < 100; ++i) cut.Steer(100, 5, 0.98);
  EXPECT_EQ(cut.cut(), line);
}

TEST(CohortCut, RisesWhereSlotsAreIdleAndFallsWhereManyAreRefused) {
  CohortCut cut = EvenlyAsked();
  cut.Begin(0.45);
  const std::uint32_t line = cut.cut();
  cut.Steer(100, 0, 0.8);
  const std::uint32_t risen = cut.cut();
  EXPECT_GT(risen, line);
  cut.Steer(100, 80, 1);
  EXPECT_LT(cut.cut(), risen);
}

TEST(CohortCut, GoesThroughTheVitalOnlyWhereTheyAloneAreTooManyForLong) {
  CohortCut cut = EvenlyAsked();
  cut.Begin(0.01);
  EXPECT_EQ(cut.cut(), CohortCut::kVital);
  for (int i = 0; i < 5; ++i) cut.Steer(100, 80, 1);
  EXPECT_EQ(cut.cut(), CohortCut::kVital);
  for (int i = 0; i < 10; ++i) cut.Steer(100, 80, 1);
  EXPECT_LT(cut.cut(), CohortCut::kVital);
  for (int i = 0; i < 20; ++i) cut.Steer(100, 5, 1);
  EXPECT_EQ(cut.cut(), CohortCut::kVital);
}

TEST(OverloadGauge, EndsWhenAllAreServedAndNobodyWasRefusedForAWhile) {
  OverloadGauge gauge;
  TimePoint now = kBegin;
  gauge.Press(now);
  EXPECT_TRUE(gauge.pressed());
  gauge.Refused(now);
  for (int i = 0; i < 29; ++i) gauge.Tick(false, now += 100ms);
  EXPECT_TRUE(gauge.pressed());
  gauge.Tick(true, now += 100ms);
  EXPECT_TRUE(gauge.pressed());
  gauge.Tick(false, now += 100ms);
  EXPECT_FALSE(gauge.pressed());
}

TEST(AdmittedShare, IsOfTheLowestClassThatIsServedAllOfThoseAboveItAndNoneBelow) {
  AdmissionView view;
  view.lowest = TrafficClass::kCritical;
  view.admit_share = 0.25;
  EXPECT_EQ(AdmittedShare(view, TrafficClass::kCriticalPlus), 1);
  EXPECT_EQ(AdmittedShare(view, TrafficClass::kCritical), 0.25);
  EXPECT_EQ(AdmittedShare(view, TrafficClass::kSheddablePlus), 0);
  EXPECT_EQ(AdmittedShare(view, TrafficClass::kSheddable), 0);
}

TEST(OverloadGauge, IsSwampedWhereManyMoreAskThanAreAnswered) {
  OverloadGauge gauge;
  TimePoint now = kBegin;
  const auto tenth = [&](int asks, int answers) {
    for (int i = 0; i < asks; ++i) gauge.Ask(0);
    for (int i = 0; i < answers; ++i) gauge.Done();
    gauge.Tick(true, now += 100ms);
  };
  for (int i = 0; i < 20; ++i) tenth(40, 10);
  EXPECT_FALSE(gauge.swamped());  // four times too many
  EXPECT_EQ(gauge.calm_ticks(), 0U);
  for (int i = 0; i < 2; ++i) tenth(1000, 10);
  EXPECT_TRUE(gauge.swamped());
  for (int i = 0; i < 20; ++i) tenth(0, 10);
  EXPECT_FALSE(gauge.swamped());
  EXPECT_EQ(gauge.calm_ticks(), 20U);
}

TEST(OverloadGauge, AFewAsksAreNoCrowdThoughNothingIsAnswered) {
  OverloadGauge gauge;
  TimePoint now = kBegin;
  for (int i = 0; i < 20; ++i) {
    gauge.Ask(0);
    gauge.Tick(true, now += 100ms);
  }
  EXPECT_FALSE(gauge.swamped());
}

// --- success ---

TEST(SuccessRate, RefusesOnlyWhereLessThanHalfIsGood) {
  struct Row {
    int good, errors;
    double least, most;
  };
  for (const Row& row : {Row{100, 0, 0, 0}, Row{60, 40, 0, 0}, Row{25, 75, 0.45, 0.55},
                         Row{2, 98, 0.8, 0.8}, Row{0, 100, 0, 0}, Row{5, 15, 0, 0}}) {
    SuccessRate rate;
    for (int i = 0; i < row.good; ++i) rate.Ended(true, kBegin);
    for (int i = 0; i < row.errors; ++i) rate.Ended(false, kBegin);
    rate.Ended(true, kBegin + 1s);
    EXPECT_GE(rate.refusal(), row.least) << row.good << " " << row.errors;
    EXPECT_LE(rate.refusal(), row.most) << row.good << " " << row.errors;
  }
}

TEST(SuccessRate, ForgetsAfterHalfAMinute) {
  SuccessRate rate;
  for (int i = 0; i < 80; ++i) rate.Ended(i % 4 == 0, kBegin);
  rate.Ended(true, kBegin + 1s);
  EXPECT_GT(rate.refusal(), 0);
  rate.Ended(true, kBegin + 31s);
  EXPECT_EQ(rate.refusal(), 0);
}

// --- visitors ---

TEST(ServedVisitors, AVisitLastsForAWhileAndThenHeIsANewcomer) {
  ServedVisitors visitors;
  EXPECT_FALSE(visitors.Knows(7, kBegin));
  visitors.LetIn(7, kBegin);
  EXPECT_TRUE(visitors.Knows(7, kBegin + 3900ms));
  EXPECT_FALSE(visitors.Knows(8, kBegin));
  EXPECT_FALSE(visitors.Knows(7, kBegin + ServedVisitors::kVisit));
}

TEST(ServedVisitors, AVisitBeginsAnewWithItsAnswerAndWithNothingElse) {
  ServedVisitors visitors;
  visitors.LetIn(7, kBegin);
  visitors.Answered(7, kBegin, kBegin + 3s);
  EXPECT_TRUE(visitors.Knows(7, kBegin + 6s));
  visitors.Answered(7, kBegin, kBegin + 6s);
  visitors.LetIn(7, kBegin + 6s);
  EXPECT_FALSE(visitors.Knows(7, kBegin + 3s + ServedVisitors::kVisit));
}

TEST(ServedVisitors, ManyFindTheirPlaces) {
  ServedVisitors visitors;
  for (std::uint64_t visitor = 1; visitor <= 1000; ++visitor) visitors.LetIn(visitor, kBegin);
  int known = 0, strangers = 0;
  for (std::uint64_t visitor = 1; visitor <= 1000; ++visitor) {
    known += visitors.Knows(visitor, kBegin) ? 1 : 0;
    strangers += visitors.Knows(visitor + 1000000, kBegin) ? 1 : 0;
  }
  EXPECT_GT(known, 900);
  EXPECT_EQ(strangers, 0);
}

// --- routes ---

class RouteLedgerTest : public testing::Test {
 protected:
  static AdmissionAsk AskOf(std::uint64_t route, std::uint64_t family = 0) {
    AdmissionAsk ask;
    ask.route = {route, family};
    ask.method = "GET";
    ask.path = "/report/17";
    return ask;
  }
  AdmissionTicket& Ask(std::uint64_t route, std::uint64_t family = 0) {
    AdmissionTicket& ticket = tickets_.emplace_back();
    ticket.ask = AskOf(route, family);
    ticket.route_row = ledger_.Ask(ticket.ask);
    ticket.admitted = now_;
    return ticket;
  }
  AdmissionTicket& Send(std::uint64_t route, std::uint64_t family = 0) {
    AdmissionTicket& ticket = Ask(route, family);
    ledger_.Admit(&ticket);
    return ticket;
  }
  bool Compare(std::uint64_t route, Duration took, double* excess, std::uint64_t family = 0) {
    return ledger_.Compare(Ask(route, family), AnswerTime(took), excess);
  }
  void Answer(AdmissionTicket& ticket, Duration took = 20ms) {
    ledger_.Speak(&ticket);
    ledger_.Answered(ticket.route_row, AnswerTime(took), false, now_);
    ledger_.Learn(ticket, AnswerTime(took));
    ledger_.Leave(&ticket, now_);
  }
  // So long, in which `routes` answer, each fifty times in a second.
  void Live(Duration time, const std::vector<std::uint64_t>& routes, Duration took = 20ms) {
    for (const TimePoint end = now_ + time; now_ < end; now_ += 20ms) {
      for (const std::uint64_t route : routes) Answer(Send(route), took);
      ledger_.Judge(kLimit, pressed_, now_);
    }
  }
  bool MayEnter(std::uint64_t route) { return ledger_.MayEnter(Ask(route).route_row, false); }

  static constexpr std::uint32_t kLimit = 40;
  TimePoint now_ = kBegin;
  bool pressed_ = false;
  std::deque<AdmissionTicket> tickets_;
  RouteLedger ledger_;
};

TEST_F(RouteLedgerTest, ASlowReportIsComparedWithSlowReports) {
  Live(1s, {1}, 10ms);
  Live(1s, {2}, 500ms);
  double excess = 1;
  ASSERT_TRUE(Compare(1, 10ms, &excess));
  EXPECT_NEAR(excess, 0, 0.01);
  ASSERT_TRUE(Compare(2, 500ms, &excess));
  EXPECT_NEAR(excess, 0, 0.01);
  ASSERT_TRUE(Compare(2, 1s, &excess));
  EXPECT_NEAR(excess, std::log(2), 0.01);
}

TEST_F(RouteLedgerTest, WhatIsAskedForTooSeldomIsComparedWithItsFamilyAndThenWithAllSuch) {
  for (std::uint64_t route = 100; route < 400; ++route) {
    Answer(Send(route, 1), 20ms);
    Answer(Send(1000 + route, 2), 200ms);
  }
  double excess = 1;
  ASSERT_TRUE(Compare(5000, 20ms, &excess, 1));
  EXPECT_NEAR(excess, 0, 0.01);
  ASSERT_TRUE(Compare(5001, 200ms, &excess, 2));
  EXPECT_NEAR(excess, 0, 0.01);
  ASSERT_TRUE(Compare(5002, 20ms, &excess, 3));  // of a family that is new
  EXPECT_LT(std::abs(excess), 1.2);
}

TEST_F(RouteLedgerTest, ARouteOfItsOwnTeachesItsFamilyOnlyUntilItIsKnown) {
  for (int i = 0; i < 200; ++i) Answer(Send(7, 1), 500ms);
  for (std::uint64_t route = 100; route < 400; ++route) Answer(Send(route, 1), 20ms);
  double excess = 1;
  ASSERT_TRUE(Compare(5000, 20ms, &excess, 1));
  EXPECT_NEAR(excess, 0, 0.1);
  ASSERT_TRUE(Compare(7, 500ms, &excess, 1));
  EXPECT_NEAR(excess, 0, 0.01);
}

// Who scans for pages that are not there is answered at once; those that are there take as long as ever.
TEST_F(RouteLedgerTest, WhatIsRefusedQuicklyDoesNotMakePagesSeemSlow) {
  const auto refuse = [&](std::uint64_t route) {
    AdmissionTicket& ticket = Send(route, 1);
    ticket.ask.route = kRefusedRoute;
    Answer(ticket, 2ms);
  };
  for (std::uint64_t route = 100; route < 400; ++route) {
    Answer(Send(7, 1), 50ms);      // of which each has an id
    Answer(Send(route, 1), 50ms);  // of which each has a name
    refuse(7), refuse(10000 + route), refuse(20000 + route);
  }
  double excess = 1;
  ASSERT_TRUE(Compare(7, 50ms, &excess, 1));
  EXPECT_NEAR(excess, 0, 0.01);
  ASSERT_TRUE(Compare(5000, 50ms, &excess, 1));
  EXPECT_NEAR(excess, 0, 0.01);
  AdmissionTicket& refused = Send(5001, 1);
  refused.ask.route = kRefusedRoute;
  ASSERT_TRUE(ledger_.Compare(refused, AnswerTime(4ms), &excess));
  EXPECT_NEAR(excess, std::log(2), 0.01);
}

TEST_F(RouteLedgerTest, WhatAnswersAfterItsVisitorsHaveLeftDoesNotMakeItUsualToTakeLong) {
  Live(4s, {1, 2});
  AdmissionTicket& waits = Send(3);
  for (int i = 0; i < 20; ++i) ledger_.Answered(Send(4).route_row, AnswerTime(20s), true, now_);
  now_ += 1s;
  EXPECT_TRUE(ledger_.SilentTooLong(waits, now_));
}

TEST_F(RouteLedgerTest, AFamilyThatIsHeldBackIsToldOfByItsBeginning) {
  // All rows of the routes' own are taken, so the rest have their families'.
  for (std::uint64_t route = 10; route < 2000; ++route) Ask(route, 1);
  Live(2s, {1, 2});
  for (std::uint64_t route = 10; route < 600; ++route) Send(route, 3);
  Live(2s, {1, 2});
  bool told = false;
  for (const CappedRoute& route : ledger_.Capped()) told |= route.name == "GET /report/*";
  EXPECT_TRUE(told);
}

TEST_F(RouteLedgerTest, TheRowOfWhatStandsApartIsNotGivenToAnother) {
  AdmissionTicket& apart = Send(1);
  ledger_.SetApart(&apart);
  for (std::uint64_t route = 10; route < 5000; ++route) Answer(Send(route));
  EXPECT_EQ(Ask(1).route_row, apart.route_row);
  ledger_.Leave(&apart, now_);
  for (std::uint64_t route = 10; route < 5000; ++route) Answer(Send(route));
  EXPECT_EQ(ledger_.row(Ask(1).route_row).apart, 0U);
}

TEST_F(RouteLedgerTest, ARouteThatTakesManyTimesAsLongAsTheOthersWaitsByDesign) {
  Live(1s, {1, 2}, 10ms);
  for (int i = 0; i < 20; ++i) Answer(Send(3), 2s), Answer(Send(4), 100ms);
  Live(1s, {1, 2}, 10ms);
  EXPECT_TRUE(ledger_.WaitsByDesign(Ask(3)));
  EXPECT_FALSE(ledger_.WaitsByDesign(Ask(4)));
  EXPECT_FALSE(ledger_.WaitsByDesign(Ask(1)));
}

// Else nothing would be measured any more, and what was usual stayed wrong.
TEST_F(RouteLedgerTest, ServersThatBecameFasterAreComparedStill) {
  Live(1s, {1, 2}, 200ms);
  for (int i = 0; i < 200; ++i) Answer(Send(3), 2s);
  for (int i = 0; i < 400; ++i) {
    double excess = 0;
    AdmissionTicket& ticket = Send(1 + static_cast<std::uint64_t>(i) % 2);
    ASSERT_TRUE(ledger_.Compare(ticket, AnswerTime(30ms), &excess));
    ledger_.Answered(ticket.route_row, AnswerTime(30ms), false, now_);
  }
  ledger_.Judge(kLimit, pressed_, now_);
  EXPECT_TRUE(ledger_.Comparable(Ask(1)));
  EXPECT_FALSE(ledger_.Comparable(Ask(3)));
}

TEST_F(RouteLedgerTest, AThousandRoutesFitAndThoseInUseStay) {
  AdmissionTicket& held = Send(1);
  Live(500ms, {2});
  for (std::uint64_t route = 10; route < 5000; ++route) Ask(route);
  EXPECT_EQ(Ask(1).route_row, held.route_row);
  double excess = 0;
  EXPECT_TRUE(Compare(2, 20ms, &excess));  // asked for more than any of those
  EXPECT_EQ(Ask(0).route_row, 0);
}

TEST_F(RouteLedgerTest, ARouteThatHangsIsHeldToAFewSlotsWhileTheOthersAreServed) {
  Live(2s, {1, 2});
  for (int i = 0; i < 6; ++i) Send(9);
  Live(2s, {1, 2});
  EXPECT_FALSE(MayEnter(9));
  EXPECT_TRUE(MayEnter(1));
  EXPECT_GE(ledger_.stuck_slots(), 6U);
  const std::vector<CappedRoute> expected = {{"GET /report/:id", 6, 2, true}};
  EXPECT_EQ(ledger_.Capped(), expected);
}

TEST_F(RouteLedgerTest, ASlowReportThatAnsweredAFewTimesDoesNotHangWhereTwoTakeAsLongAsEver) {
  Live(2s, {1, 2});
  for (int i = 0; i < 5; ++i) Answer(Send(9), 200ms);
  Live(3s, {1, 2});
  Send(9), Send(9);
  Live(400ms, {1, 2});
  EXPECT_TRUE(ledger_.Capped().empty());
  Live(2s, {1, 2});
  EXPECT_EQ(ledger_.Capped().size(), 1U);  // but they hang by now
}

TEST_F(RouteLedgerTest, ARouteThatAnswersAgainIsLetGoAfterAWhile) {
  Live(2s, {1, 2});
  std::vector<AdmissionTicket*> hung;
  for (int i = 0; i < 6; ++i) hung.push_back(&Send(9));
  Live(2s, {1, 2});
  ASSERT_FALSE(MayEnter(9));
  for (AdmissionTicket* one : hung) Answer(*one, 2s);
  EXPECT_TRUE(MayEnter(9));
  Live(2s, {1, 2, 9});
  EXPECT_EQ(ledger_.Capped().size(), 1U);
  Live(4s, {1, 2, 9});
  EXPECT_TRUE(ledger_.Capped().empty());
}

TEST_F(RouteLedgerTest, WhatWasGivenUpIsNotFreeForAnother) {
  Live(2s, {1, 2});
  std::vector<AdmissionTicket*> hung;
  for (int i = 0; i < 6; ++i) hung.push_back(&Send(9));
  Live(2s, {1, 2});
  for (AdmissionTicket* one : hung) ledger_.Leave(one, now_);
  EXPECT_FALSE(MayEnter(9));
}

TEST_F(RouteLedgerTest, InAnOutageNoRouteIsToBlame) {
  Live(2s, {1, 2});
  for (int i = 0; i < 20; ++i) Send(1), Send(2);
  for (int i = 0; i < 100; ++i) ledger_.Judge(kLimit, true, now_ += 100ms);
  EXPECT_TRUE(MayEnter(1));
  EXPECT_TRUE(MayEnter(2));
}

TEST_F(RouteLedgerTest, UnderPressureARouteWithFarMoreThanItsShareIsHeldToIt) {
  // Twenty reports of a second each, in twenty of the forty slots: a tenth of what is asked for.
  std::deque<AdmissionTicket*> reports;
  for (int i = 0; i < 20; ++i) reports.push_back(&Send(9));
  const auto live = [&](int steps) {
    for (int i = 0; i < steps; ++i) {
      Live(60ms, {1, 2, 3});
      Answer(*reports.front(), 1s);
      reports.pop_front();
      reports.push_back(&Send(9));
    }
  };
  live(60);
  EXPECT_TRUE(MayEnter(9));  // nobody waits
  pressed_ = true;
  live(60);
  EXPECT_FALSE(MayEnter(9));
  EXPECT_TRUE(MayEnter(1));
  pressed_ = false;
  live(80);
  EXPECT_TRUE(MayEnter(9));
}

}  // namespace
}  // namespace spillway
