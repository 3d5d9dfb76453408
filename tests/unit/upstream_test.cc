// SPDX-License-Identifier: MIT
#include "proxy/upstream.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "tests/unit/pool_with_servers.h"

namespace spillway {
namespace {

class PoolTest : public PoolWithServers {
 protected:
  void Fail(std::size_t index, int times, TimePoint now = kStart) {
    for (int i = 0; i < times; ++i) pool_->Report(*endpoints_[index], TryOutcome::kFailed, now);
  }
  Lease Pick(std::vector<const Endpoint*> tried = {}, TimePoint now = kStart) {
    return local_->Pick(7, chance_ += 0x9e3779b97f4a7c15u, tried, now);
  }
  std::string PickName(std::vector<const Endpoint*> tried = {}, TimePoint now = kStart) {
    const Lease lease = Pick(std::move(tried), now);
    return lease ? lease->text : "";
  }
};

TEST_F(PoolTest, LeaseCountsInFlightForAsLongAsItLives) {
  Make(1);
  {
    Lease first = Pick();
    ASSERT_TRUE(first);
    EXPECT_EQ(endpoints_[0]->in_flight, 1u);
    Lease moved = std::move(first);
    EXPECT_FALSE(first);
    EXPECT_EQ(endpoints_[0]->in_flight, 1u);
    Lease second = Pick();
    EXPECT_EQ(endpoints_[0]->in_flight, 2u);
    second = std::move(moved);
    EXPECT_EQ(endpoints_[0]->in_flight, 1u);
  }
  EXPECT_EQ(endpoints_[0]->in_flight, 0u);
}

TEST_F(PoolTest, TellsHowManyRequestsItHasAndWhichShareIsUp) {
  Make(3);
  EXPECT_EQ(local_->State(kStart).servers_up, 100U);
  const Lease first = Pick(), second = Pick();
  endpoints_[1]->healthy = false;
  EXPECT_EQ(local_->State(kStart).in_flight, 2U);
  EXPECT_EQ(local_->State(kStart).servers_up, 66U);
  pool_->SetMembers(std::make_shared<PoolMembers>());
  EXPECT_EQ(local_->State(kStart).in_flight, 0U);
  EXPECT_EQ(local_->State(kStart).servers_up, 0U);
}

TEST_F(PoolTest, PickOfAnEmptyPoolIsEmpty) {
  Make(0);
  EXPECT_FALSE(Pick());
}

TEST_F(PoolTest, PickSeesMembersSetAfterwards) {
  Make(1);
  EXPECT_EQ(PickName(), "a");
  auto other = std::make_shared<Endpoint>();
  other->text = "z";
  pool_->SetMembers(std::make_shared<PoolMembers>(PoolMembers{{other, 1, false}}));
  EXPECT_EQ(PickName(), "z");
}

TEST_F(PoolTest, PickAvoidsWhatWasTriedWhileAnotherIsUsable) {
  Make(2);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(PickName({endpoints_[0].get()}), "b");
  EXPECT_NE(PickName({endpoints_[0].get(), endpoints_[1].get()}), "");
  endpoints_[1]->healthy = false;
  EXPECT_EQ(PickName({endpoints_[0].get()}), "a");
}

TEST_F(PoolTest, PickPrefersAnEjectedServerToNone) {
  Make(2);
  Fail(0, 5);
  ASSERT_FALSE(Usable(0));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(PickName(), "b");
  endpoints_[1]->healthy = false;
  EXPECT_EQ(PickName(), "a");  // ejection is a guess, an active check is not
}

TEST_F(PoolTest, PickIsEmptyWhenTheChecksFindNoneHealthy) {
  Make(2);
  endpoints_[0]->healthy = false;
  endpoints_[1]->healthy = false;
  EXPECT_FALSE(Pick());
}

TEST_F(PoolTest, RoundRobinGivesEachItsTurn) {
  PoolConfig config;
  config.balance = Balance::kRoundRobin;
  Make(3, config);
  std::map<std::string, int> counts;
  for (int i = 0; i < 30; ++i) ++counts[PickName()];
  EXPECT_EQ(counts["a"], 10);
  EXPECT_EQ(counts["b"], 10);
  EXPECT_EQ(counts["c"], 10);
}

TEST_F(PoolTest, EjectsAfterConsecutiveErrorsOnly) {
  Make(3);
  Fail(0, 4);
  pool_->Report(*endpoints_[0], TryOutcome::kAnswered, kStart);
  Fail(0, 4);
  EXPECT_TRUE(Usable(0));
  Fail(0, 1);
  EXPECT_FALSE(Usable(0));
  EXPECT_FALSE(Usable(0, kStart + 10s - 1ns));
  EXPECT_TRUE(Usable(0, kStart + 10s));
}

TEST_F(PoolTest, ServerErrorsCountAsErrors) {
  Make(2);
  for (int i = 0; i < 5; ++i) pool_->Report(*endpoints_[0], TryOutcome::kServerError, kStart);
  EXPECT_FALSE(Usable(0));
}

TEST_F(PoolTest, OneMoreErrorAfterAnEjectionDoublesTheTimeUpToTenTimes) {
  Make(2);
  TimePoint now = kStart;
  Fail(0, 5, now);
  for (const Duration time : {10s, 20s, 40s, 80s, 100s, 100s}) {
    EXPECT_FALSE(Usable(0, now + time - 1ns)) << time.count();
    EXPECT_TRUE(Usable(0, now + time)) << time.count();
    now += time;
    Fail(0, 1, now);
  }
}

TEST_F(PoolTest, AnAnswerAfterAnEjectionClearsTheRow) {
  Make(2);
  Fail(0, 5);
  const TimePoint later = kStart + 10s;
  pool_->Report(*endpoints_[0], TryOutcome::kAnswered, later);
  Fail(0, 4, later);
  EXPECT_TRUE(Usable(0, later));
  Fail(0, 1, later);
  EXPECT_FALSE(Usable(0, later));
  EXPECT_TRUE(Usable(0, later + 10s));  // not doubled
}

TEST_F(PoolTest, ErrorsWhileEjectedDoNotProlongIt) {
  Make(2);
  Fail(0, 5);
  Fail(0, 50, kStart + 5s);
  EXPECT_TRUE(Usable(0, kStart + 10s));
}

TEST_F(PoolTest, EjectsNoMoreThanItsShare) {
  Make(4);
  for (std::size_t i = 0; i < 4; ++i) Fail(i, 5);
  EXPECT_FALSE(Usable(0));
  EXPECT_FALSE(Usable(1));
  EXPECT_TRUE(Usable(2));
  EXPECT_TRUE(Usable(3));
}

TEST_F(PoolTest, ASmallShareStillEjectsOne) {
  PoolConfig config;
  config.ejection.max_share = 10;
  Make(3, config);
  for (std::size_t i = 0; i < 3; ++i) Fail(i, 5);
  EXPECT_FALSE(Usable(0));
  EXPECT_TRUE(Usable(1));
  EXPECT_TRUE(Usable(2));
}

TEST_F(PoolTest, NeverEjectsTheLastUsableServer) {
  PoolConfig config;
  config.ejection.max_share = 100;
  Make(3, config);
  endpoints_[1]->healthy = false;
  for (std::size_t i = 0; i < 3; ++i) Fail(i, 5);
  EXPECT_FALSE(Usable(0));
  EXPECT_TRUE(Usable(2));
}

TEST_F(PoolTest, NeverEjectsAPoolsOnlyServer) {
  Make(1);
  Fail(0, 100);
  EXPECT_TRUE(Usable(0));
}

TEST_F(PoolTest, ZeroConsecutiveErrorsNeverEjects) {
  PoolConfig config;
  config.ejection.consecutive_errors = 0;
  Make(2, config);
  Fail(0, 1000);
  EXPECT_TRUE(Usable(0));
}

TEST_F(PoolTest, ManyThreadsTogetherRespectTheShare) {
  Make(4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) Fail(static_cast<std::size_t>(i + t) % 4, 1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  int usable = 0;
  for (std::size_t i = 0; i < 4; ++i) usable += Usable(i) ? 1 : 0;
  EXPECT_EQ(usable, 2);
}

TEST(HashAddress, DiffersForNeighbours) {
  EXPECT_NE(HashAddress("10.0.0.1:80"), HashAddress("10.0.0.2:80"));
  EXPECT_EQ(HashAddress("10.0.0.1:80"), HashAddress("10.0.0.1:80"));
}

}  // namespace
}  // namespace spillway
