// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "spillway/hold.h"

namespace spillway {
namespace {

using State = HoldLine::State;
using Ticket = HoldTicket::State;

class HoldLineTest : public testing::Test {
 protected:
  static HoldConfig Config() {
    HoldConfig config;
    config.time = 10s;
    config.max = 100;
    config.from = TrafficClass::kCritical;
    return config;
  }
  HoldTicket* Ask(TrafficClass of_class = TrafficClass::kCriticalPlus, std::uint64_t bytes = 100) {
    tickets_.emplace_back();
    tickets_.back().traffic_class = of_class;
    tickets_.back().bytes = bytes;
    tickets_.back().client = tickets_.size();
    return &tickets_.back();
  }
  // So many are held.
  std::vector<HoldTicket*> Hold(int count, TrafficClass of_class = TrafficClass::kCriticalPlus) {
    std::vector<HoldTicket*> held;
    for (int i = 0; i < count; ++i) {
      held.push_back(Ask(of_class));
      EXPECT_TRUE(line_.Enter(held.back(), now_));
    }
    return held;
  }
  std::vector<HoldTicket*> Told(std::uint32_t most = HoldLine::kAnyNumber) {
    std::vector<HoldTicket*> told;
    while (HoldTicket* ticket = line_.Next(now_, most)) told.push_back(ticket);
    return told;
  }
  void Pass(Duration time) { now_ += time; }

  HoldLine line_{Config()};
  TimePoint now_{1h};
  std::deque<HoldTicket> tickets_;
};

TEST_F(HoldLineTest, LetsNobodyOutBeforeAServerIsBack) {
  line_.Down(now_);
  Hold(3);
  Pass(9s);
  EXPECT_TRUE(Told().empty());
  line_.Back(now_);
  EXPECT_EQ(Told().size(), 3U);
  EXPECT_EQ(line_.state(), State::kUp);
}

TEST_F(HoldLineTest, LetsOutByClassAndThenTheOldestFirst) {
  line_.Down(now_);
  HoldTicket* const less = Hold(1, TrafficClass::kCritical)[0];
  HoldTicket* const first = Hold(1)[0];
  Pass(1s);
  HoldTicket* const second = Hold(1)[0];
  line_.Back(now_);
  EXPECT_EQ(Told(), (std::vector<HoldTicket*>{first, second, less}));
}

TEST_F(HoldLineTest, HoldsNoOtherClassesAndNoMoreThanItMay) {
  line_.Down(now_);
  EXPECT_FALSE(line_.Enter(Ask(TrafficClass::kSheddablePlus), now_));
  Hold(100);
  EXPECT_FALSE(line_.Enter(Ask(), now_));
  EXPECT_EQ(line_.View(now_).held[0], 100U);
}

TEST_F(HoldLineTest, OneClientLeavesPlacesToTheOthers) {
  line_.Down(now_);
  std::size_t held = 0;
  for (int i = 0; i < 200; ++i) {
    HoldTicket* greedy = Ask();
    greedy->client = 7;
    held += line_.Enter(greedy, now_) ? 1 : 0;
  }
  EXPECT_EQ(held, 50U);
  Hold(50);
  EXPECT_FALSE(line_.Enter(Ask(), now_));
}

TEST_F(HoldLineTest, OneClientLeavesBytesToTheOthers) {
  line_.Down(now_);
  for (int i = 0; i < 100; ++i) {
    HoldTicket* greedy = Ask(TrafficClass::kCriticalPlus, 1024 * 1024);
    greedy->client = 7;
    line_.Enter(greedy, now_);
  }
  EXPECT_EQ(line_.View(now_).bytes, 8U * 1024 * 1024);
  EXPECT_TRUE(line_.Enter(Ask(TrafficClass::kCriticalPlus, 1024 * 1024), now_));
}

TEST_F(HoldLineTest, HoldsNoMoreBytesThanItMay) {
  line_.Down(now_);
  EXPECT_TRUE(line_.Enter(Ask(TrafficClass::kCriticalPlus, 16 * 1024 * 1024 - 50), now_));
  EXPECT_FALSE(line_.Enter(Ask(TrafficClass::kCriticalPlus, 51), now_));
  EXPECT_TRUE(line_.Enter(Ask(TrafficClass::kCriticalPlus, 50), now_));
}

TEST_F(HoldLineTest, LetsOutMoreAsAnswersComeAndStopsWhenTheySlowDown) {
  line_.Down(now_);
  Hold(100);
  line_.Back(now_);
  std::vector<HoldTicket*> out = Told();
  ASSERT_EQ(out.size(), 4U);
  for (HoldTicket* ticket : out) line_.Answered(ticket, 100ms);
  out = Told();
  EXPECT_EQ(out.size(), 8U);  // doubled
  for (HoldTicket* ticket : out) line_.Answered(ticket, 300ms);
  EXPECT_EQ(Told().size(), 4U);
}

TEST_F(HoldLineTest, LetsAllOutWithinHalfTheTimeThoughNobodyIsAnswered) {
  line_.Down(now_);
  Hold(100);
  line_.Back(now_);
  std::size_t out = Told().size();
  Pass(1s);
  out += Told().size();
  EXPECT_EQ(out, 20U);
  Pass(4s);
  out += Told().size();
  EXPECT_EQ(out, 100U);
}

TEST_F(HoldLineTest, HasNoMoreOutThanTheCallerSays) {
  line_.Down(now_);
  Hold(100);
  line_.Back(now_);
  const std::vector<HoldTicket*> out = Told(3);
  EXPECT_EQ(out.size(), 3U);
  Pass(3s);
  EXPECT_TRUE(Told(3).empty());
  line_.Leave(out[0]);
  EXPECT_EQ(Told(3).size(), 1U);
}

TEST_F(HoldLineTest, StopsLettingOutWhenAServerFailsAgainAndKeepsThePlaceOfWhoComesBack) {
  line_.Down(now_);
  const std::vector<HoldTicket*> held = Hold(10);
  line_.Back(now_);
  std::vector<HoldTicket*> out = Told();
  ASSERT_EQ(out.size(), 4U);
  line_.Suspect(now_);
  for (HoldTicket* ticket : out) EXPECT_TRUE(line_.Enter(ticket, now_));
  EXPECT_TRUE(Told().empty());
  line_.Back(now_);
  EXPECT_EQ(Told(), out);
  EXPECT_EQ(line_.View(now_).entered, 10U);
}

TEST_F(HoldLineTest, GivesUpWhoseTimeIsOver) {
  line_.Down(now_);
  HoldTicket* const patient = Hold(1)[0];
  HoldTicket* const hurried = Ask();
  hurried->deadline = now_ + 2s;
  ASSERT_TRUE(line_.Enter(hurried, now_));
  Pass(2s);
  EXPECT_EQ(Told(), std::vector<HoldTicket*>{hurried});
  EXPECT_EQ(hurried->state, Ticket::kGivenUp);
  Pass(8s);
  EXPECT_EQ(Told(), std::vector<HoldTicket*>{patient});
  EXPECT_EQ(line_.View(now_).given_up, 2U);
}

TEST_F(HoldLineTest, CountsTheTimeFromTheFirstHold) {
  line_.Down(now_);
  HoldTicket* const ticket = Hold(1)[0];
  Pass(9s);
  line_.Back(now_);
  ASSERT_EQ(Told().size(), 1U);
  line_.Down(now_);
  ASSERT_TRUE(line_.Enter(ticket, now_));
  Pass(1s);
  EXPECT_EQ(Told(), std::vector<HoldTicket*>{ticket});
  EXPECT_EQ(ticket->state, Ticket::kGivenUp);
}

TEST_F(HoldLineTest, SwitchedOffGivesEverybodyUp) {
  line_.Down(now_);
  Hold(3);
  EXPECT_TRUE(Told().empty());
  HoldConfig off = Config();
  off.on = false;
  line_.Configure(off);
  EXPECT_EQ(Told().size(), 3U);
  EXPECT_FALSE(line_.Enter(Ask(), now_));
}

TEST_F(HoldLineTest, WhoLeavesIsNotLetOut) {
  line_.Down(now_);
  const std::vector<HoldTicket*> held = Hold(3);
  line_.Leave(held[1]);
  line_.Back(now_);
  EXPECT_EQ(Told(), (std::vector<HoldTicket*>{held[0], held[2]}));
  EXPECT_EQ(line_.View(now_).bytes, 0U);
}

TEST_F(HoldLineTest, ASuspicionThatIsWrongTurnsNobodyAway) {
  line_.Suspect(now_);
  EXPECT_EQ(line_.state(), State::kSuspected);
  Pass(1ms);
  line_.Back(now_);
  EXPECT_EQ(line_.state(), State::kUp);
  EXPECT_EQ(line_.View(now_).outages, 0U);
}

TEST_F(HoldLineTest, WhoIsHeldAfterTheOutageIsOverIsLetOutByTheNextReturn) {
  line_.Suspect(now_);
  line_.Back(now_);
  HoldTicket* const late = Hold(1)[0];
  EXPECT_EQ(line_.state(), State::kSuspected);
  line_.Back(now_);
  EXPECT_EQ(Told(), std::vector<HoldTicket*>{late});
}

TEST_F(HoldLineTest, SaysWhenToComeBackByHowLongItLastsAndOthersDid) {
  line_.Down(now_);
  EXPECT_EQ(line_.RetryAfter(now_), 900ms);
  Pass(20s);
  EXPECT_EQ(line_.RetryAfter(now_), 10s);
  Pass(20s);
  line_.Back(now_);  // after 40 s
  Pass(1min);
  line_.Down(now_);
  EXPECT_EQ(line_.RetryAfter(now_), 40s);
  Pass(25s);
  EXPECT_EQ(line_.RetryAfter(now_), 15s);
  Pass(10h);
  EXPECT_EQ(line_.RetryAfter(now_), 5min);
}

TEST_F(HoldLineTest, AnOutageThatComesAgainAtOnceIsTheSame) {
  line_.Down(now_);
  Pass(20s);
  line_.Back(now_);
  Pass(1s);
  line_.Down(now_);
  EXPECT_EQ(line_.View(now_).outages, 1U);
  EXPECT_EQ(line_.RetryAfter(now_), 10500ms);
}

TEST_F(HoldLineTest, IsLookedAfterOftenWhileSomebodyAsks) {
  line_.Down(now_);
  line_.TurnAway(now_);
  Pass(4s);
  EXPECT_TRUE(line_.wanted(now_));
  Pass(2s);
  EXPECT_FALSE(line_.wanted(now_));
  Hold(1);
  Pass(6s);
  EXPECT_TRUE(line_.wanted(now_));
}

// Whatever comes in whatever order, nobody is lost: who is held is in the view, and everybody is told.
TEST_F(HoldLineTest, KeepsCountThroughTwentyThousandChanges) {
  std::uint64_t chance = 7;
  std::vector<HoldTicket*> held, out;
  for (int i = 0; i < 20000; ++i) {
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    const auto draw = static_cast<std::uint32_t>(chance >> 33);
    const auto take = [&](std::vector<HoldTicket*>* from) {
      const std::size_t at = draw / 16 % from->size();
      HoldTicket* const taken = (*from)[at];
      from->erase(from->begin() + static_cast<std::ptrdiff_t>(at));
      return taken;
    };
    switch (draw % 8) {
      case 0:
        line_.Down(now_);
        break;
      case 1:
        line_.Back(now_);
        break;
      case 2:
        if (!held.empty()) line_.Leave(take(&held));
        break;
      case 3:
        if (!out.empty()) line_.Answered(take(&out), Duration(draw % 1000 * 1ms));
        break;
      case 4:
        if (!out.empty()) {
          HoldTicket* const ticket = take(&out);
          line_.Suspect(now_);
          if (line_.Enter(ticket, now_)) held.push_back(ticket);
        }
        break;
      default: {
        HoldTicket* const ticket =
            Ask(draw % 16 < 8 ? TrafficClass::kCritical : TrafficClass::kCriticalPlus);
        if (line_.Enter(ticket, now_)) held.push_back(ticket);
      }
    }
    Pass(draw % 64 * 1ms);
    for (HoldTicket* ticket : Told()) {
      ASSERT_EQ(std::erase(held, ticket), 1U);
      if (ticket->state == Ticket::kReleased) out.push_back(ticket);
    }
    const HoldView view = line_.View(now_);
    ASSERT_EQ(view.held[0] + view.held[1], held.size());
    ASSERT_EQ(view.bytes, 100 * held.size());
  }
}

}  // namespace
}  // namespace spillway
