// SPDX-License-Identifier: MIT
// Which servers are left out for a while because they hang, or answer with errors what others answer
// well; and how they come back. Errors in a row: upstream_test.cc.
#include <gtest/gtest.h>

#include <map>

#include "spillway/mix.h"
#include "tests/unit/pool_with_servers.h"

namespace spillway {
namespace {

constexpr Duration kUsual = 50ms;

class EjectionTest : public PoolWithServers {
 protected:
  void Answer(std::size_t index, TimePoint now, int status = 200, Duration took = kUsual) {
    pool_->Answered(*endpoints_[index], status, took, now);
  }
  // All have answered.
  void Warm(TimePoint now = kStart) {
    for (std::size_t i = 0; i < endpoints_.size(); ++i) Answer(i, now);
  }
  // `count` requests of `asked` are looked at, as a worker does.
  void Look(std::size_t index, int count, TimePoint asked, TimePoint now) {
    for (int i = 0; i < count; ++i) {
      bool counted = false;
      pool_->NoteSilence(*endpoints_[index], asked, pool_->Patience(), &counted, now);
    }
  }
  // Two servers, of which the first answers nothing for two seconds, while the other does.
  void MakeTwoWithAHang() {
    Make(2);
    Warm();
    Answer(1, kStart + 200ms);
    Look(0, 3, kStart + 100ms, kStart + 2s);
  }
  // The first answers an error, and the second answers well, `count` times.
  void FirstErrs(int count, Duration every = 10ms) {
    for (int i = 0; i < count; ++i) {
      Answer(0, kStart + i * every, 500);
      Answer(1, kStart + i * every);
    }
  }
  // By its checks, and only just.
  void FoundWell(std::size_t index) {
    endpoints_[index]->well_since = kStart.time_since_epoch().count();
  }
  // How many of `picks` go to each.
  std::map<std::string, int> Shares(int picks, TimePoint now) {
    std::map<std::string, int> shares;
    for (int i = 0; i < picks; ++i) {
      const Lease lease = local_->Pick(Mix(chance_), Mix(chance_ + 1), {}, now);
      chance_ += 2;
      ++shares[lease ? lease->text : ""];
    }
    return shares;
  }
};

// --- hangs ---

TEST_F(EjectionTest, AServerThatAnswersNothingWhileAnotherDoesHangs) {
  Make(2);
  Warm();
  const TimePoint asked = kStart + 100ms;
  Answer(1, asked + 200ms);
  Look(0, 3, asked, asked + 900ms);
  EXPECT_TRUE(Usable(0, asked + 900ms));
  Look(0, 3, asked, asked + 1s);
  EXPECT_FALSE(Usable(0, asked + 1s));
  EXPECT_EQ(endpoints_[0]->ejected_as, Ejection::kHangs);
  EXPECT_TRUE(Pool::Hangs(*endpoints_[0], asked, asked + 1s));
  EXPECT_TRUE(Usable(0, asked + 11s));
}

TEST_F(EjectionTest, TwoThatWaitAreNoHang) {
  Make(2);
  Warm();
  Answer(1, kStart + 200ms);
  Look(0, 2, kStart + 100ms, kStart + 20s);
  EXPECT_TRUE(Usable(0, kStart + 20s));
}

TEST_F(EjectionTest, OneRequestThatIsLookedAtOftenCountsOnce) {
  Make(2);
  Warm();
  Answer(1, kStart + 200ms);
  bool counted = false;
  for (int i = 0; i < 50; ++i) {
    const TimePoint now = kStart + 2s + i * 100ms;
    pool_->NoteSilence(*endpoints_[0], kStart + 100ms, pool_->Patience(), &counted, now);
  }
  EXPECT_TRUE(Usable(0, kStart + 7s));
}

TEST_F(EjectionTest, LongPollsEjectNoServerThatAnswersOthersMeanwhile) {
  Make(2);
  Warm();
  const TimePoint asked = kStart + 100ms;
  Answer(0, asked + 10ms);
  Answer(1, asked + 20s);
  Look(0, 50, asked, asked + 25s);
  EXPECT_TRUE(Usable(0, asked + 25s));
}

TEST_F(EjectionTest, WhereAllAreSilentNoneIsEjected) {
  Make(2);
  Warm();
  const TimePoint asked = kStart + 100ms;
  Answer(1, asked + 2ms);  // its last word, a moment later
  for (const Duration after : {600ms, 900ms, 1100ms, 5000ms}) {
    Look(1, 5, asked + 5ms, asked + after);
    Look(0, 5, asked, asked + after);
  }
  EXPECT_TRUE(Usable(0, asked + 5s));
  EXPECT_TRUE(Usable(1, asked + 5s));
}

TEST_F(EjectionTest, WhatIsLongIsManyTimesWhatIsUsualInThePool) {
  Make(2);
  for (int i = 0; i < 50; ++i) {
    Answer(0, kStart + i * 10ms, 200, 2s);
    Answer(1, kStart + i * 10ms, 200, 100ms);
  }
  EXPECT_GT(pool_->Patience(), 14s);
  EXPECT_LT(pool_->Patience(), 18s);
}

TEST_F(EjectionTest, AFewReportsAmongPagesChangeLittleOfWhatIsUsual) {
  Make(1);
  for (int i = 0; i < 200; ++i)
    Answer(0, kStart + i * 10ms, 200, i % 10 == 0 ? Duration(30s) : kUsual);
  EXPECT_LT(pool_->Patience(), 2s);
}

TEST_F(EjectionTest, NothingIsLongBeforeAnythingWasAnswered) {
  Make(2);
  EXPECT_EQ(pool_->Patience(), Duration::max());
}

TEST_F(EjectionTest, AnAnswerTakesBackWhatHung) {
  MakeTwoWithAHang();
  ASSERT_FALSE(Usable(0, kStart + 3s));
  Answer(0, kStart + 3s);
  EXPECT_TRUE(Usable(0, kStart + 3s));
}

TEST_F(EjectionTest, NeverEjectsThePoolsOnlyServerForHanging) {
  Make(1);
  Warm();
  Look(0, 100, kStart + 100ms, kStart + 20s);
  EXPECT_TRUE(Usable(0, kStart + 20s));
}

TEST_F(EjectionTest, ZeroConsecutiveErrorsEjectsNothingThatHangsOrFails) {
  PoolConfig config;
  config.ejection.consecutive_errors = 0;
  Make(2, config);
  Warm();
  Answer(1, kStart + 200ms);
  Look(0, 10, kStart + 100ms, kStart + 20s);
  FirstErrs(100);
  EXPECT_TRUE(Usable(0, kStart + 20s));
}

TEST_F(EjectionTest, AServerThatHungIsTriedByOneRequestAtATime) {
  MakeTwoWithAHang();
  const TimePoint over = kStart + 12s;
  ASSERT_TRUE(Usable(0, over));
  EXPECT_EQ(Shares(100, over)["a"], 1);
  EXPECT_EQ(Shares(100, over + 1s)["a"], 0);
  Answer(1, over + 100ms);
  Look(0, 1, over, over + 1s);  // in vain: out for twice as long
  EXPECT_FALSE(Usable(0, over + 20s));
  EXPECT_EQ(Shares(100, over + 23s)["a"], 1);
  Answer(0, over + 23s);
  EXPECT_GT(Shares(1000, over + 26s)["a"], 100);
}

// --- fails ---

TEST_F(EjectionTest, AServerThatAnswersErrorsWhileAnotherAnswersWellFails) {
  Make(2);
  FirstErrs(19);
  Answer(1, kStart + 200ms);
  EXPECT_TRUE(Usable(0, kStart + 200ms));
  Answer(0, kStart + 201ms, 500);
  EXPECT_FALSE(Usable(0, kStart + 201ms));
  EXPECT_EQ(endpoints_[0]->ejected_as, Ejection::kFails);
  Answer(0, kStart + 300ms);  // one that was under way
  EXPECT_FALSE(Usable(0, kStart + 300ms));
  EXPECT_TRUE(Usable(0, kStart + 10201ms));
}

TEST_F(EjectionTest, WhereAllFailAlikeNoneIsEjected) {
  Make(3);
  for (int i = 0; i < 300; ++i) {
    for (std::size_t each = 0; each < 3; ++each)
      Answer(each, kStart + i * 10ms, i % 4 == 0 ? 200 : 500);
  }
  for (std::size_t each = 0; each < 3; ++each) EXPECT_TRUE(Usable(each, kStart + 3s)) << each;
}

TEST_F(EjectionTest, AFifthOfErrorsIsNotAServerThatFails) {
  Make(2);
  for (int i = 0; i < 500; ++i) {
    Answer(0, kStart + i * 10ms, i % 5 == 0 ? 500 : 200);
    Answer(1, kStart + i * 10ms);
  }
  EXPECT_TRUE(Usable(0, kStart + 5s));
}

TEST_F(EjectionTest, ErrorsOfLongAgoAreForgotten) {
  Make(2);
  FirstErrs(100, 1s);
  EXPECT_TRUE(Usable(0, kStart + 100s));
}

TEST_F(EjectionTest, WhereAServerHasItsOwnClientsItsErrorsMayBeTheirs) {
  PoolConfig config;
  config.balance = Balance::kHash;
  Make(2, config);
  FirstErrs(200);
  EXPECT_TRUE(Usable(0, kStart + 2s));
}

// --- slow start ---

TEST_F(EjectionTest, AServerThatIsBackGetsItsShareBitByBit) {
  for (const Balance balance : {Balance::kRoundRobin, Balance::kLeastRequests, Balance::kHash}) {
    SCOPED_TRACE(static_cast<int>(balance));
    PoolConfig config;
    config.balance = balance;
    Make(2, config);
    for (int i = 0; i < 5; ++i) pool_->Report(*endpoints_[0], TryOutcome::kFailed, kStart);
    const TimePoint back = kStart + 10s;
    EXPECT_EQ(Shares(1000, back - 1ns)["a"], 0);
    EXPECT_NEAR(Shares(4000, back)["a"], 200, 60);
    EXPECT_NEAR(Shares(4000, back + 5s)["a"], 1000, 130);
    EXPECT_NEAR(Shares(4000, back + 10s)["a"], 2000, 150);
  }
}

TEST_F(EjectionTest, ASlowStartIsOfAServerThatTheChecksFindWellAgainToo) {
  Make(2);
  FoundWell(0);
  EXPECT_LT(Shares(1000, kStart + 1s)["a"], 100);
  EXPECT_GT(Shares(1000, kStart + 10s)["a"], 400);
}

TEST_F(EjectionTest, WithoutAnotherThatIsUpThereIsNoSlowStart) {
  Make(2);
  FoundWell(0);
  FoundWell(1);
  EXPECT_GT(Shares(1000, kStart)["a"], 400);
  endpoints_[1]->healthy = false;
  EXPECT_EQ(Shares(100, kStart)["a"], 100);
}

TEST_F(EjectionTest, SlowStartZeroIsNone) {
  PoolConfig config;
  config.slow_start = 0s;
  Make(2, config);
  FoundWell(0);
  EXPECT_GT(Shares(1000, kStart)["a"], 400);
}

TEST_F(EjectionTest, AShortHangHasAShortSlowStart) {
  MakeTwoWithAHang();
  Answer(0, kStart + 3s);
  EXPECT_GT(Shares(1000, kStart + 3s)["a"], 350);  // nine tenths of it
}

}  // namespace
}  // namespace spillway
