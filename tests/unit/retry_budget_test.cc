// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <thread>
#include <vector>

#include "proxy/upstream.h"

namespace spillway {
namespace {

TimePoint At(Duration since_start) {
  return TimePoint(1000s) + since_start;
}

int TakeAll(RetryBudget& budget, TimePoint now) {
  int taken = 0;
  while (budget.TryRetry(now)) ++taken;
  return taken;
}

TEST(RetryBudget, GrantsThreeWhenNothingWasAskedYet) {
  RetryBudget budget(20);
  EXPECT_EQ(TakeAll(budget, At(0s)), 3);
}

TEST(RetryBudget, GrantsItsPercentageOfTheRequests) {
  RetryBudget budget(20);
  for (int i = 0; i < 100; ++i) budget.CountRequest(At(0s));
  EXPECT_EQ(TakeAll(budget, At(0s)), 20);
}

TEST(RetryBudget, RefusingCostsNothing) {
  RetryBudget budget(20);
  EXPECT_EQ(TakeAll(budget, At(0s)), 3);
  for (int i = 0; i < 20; ++i) budget.CountRequest(At(0s));
  EXPECT_EQ(TakeAll(budget, At(0s)), 1);  // four of twenty, three of them taken before
}

TEST(RetryBudget, CountsOnlyTheLastTenSeconds) {
  RetryBudget budget(50);
  for (int i = 0; i < 100; ++i) budget.CountRequest(At(0s));
  EXPECT_EQ(TakeAll(budget, At(9s)), 50);
  EXPECT_EQ(TakeAll(budget, At(10s)), 0);  // the requests are gone, the retries of 9 s are not
  EXPECT_EQ(TakeAll(budget, At(19s)), 3);
}

TEST(RetryBudget, LastsOverALongSilence) {
  RetryBudget budget(20);
  EXPECT_EQ(TakeAll(budget, At(0s)), 3);
  EXPECT_EQ(TakeAll(budget, At(100000s)), 3);
}

TEST(RetryBudget, ZeroPercentGrantsNone) {
  RetryBudget budget(0);
  for (int i = 0; i < 100; ++i) budget.CountRequest(At(0s));
  EXPECT_EQ(TakeAll(budget, At(0s)), 0);
}

TEST(RetryBudget, NeverGrantsMoreThanItHasToManyThreads) {
  RetryBudget budget(10);
  for (int i = 0; i < 1000; ++i) budget.CountRequest(At(0s));
  std::atomic<int> granted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) granted += budget.TryRetry(At(0s)) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(granted.load(), 100);
}

TEST(RetryBudget, ForgetsOnlyWhatIsOldAfterAnyLengthOfSilence) {
  for (const Duration silence : std::initializer_list<Duration>{
           10s, 11s, 59s, 60s, 61s, 24h, 24h * 97, 24h * 98, 24h * 150, 24h * 194, 24h * 200}) {
    RetryBudget budget(50);
    for (int i = 0; i < 100; ++i) budget.CountRequest(At(0s));
    EXPECT_EQ(TakeAll(budget, At(0s)), 50);
    EXPECT_EQ(TakeAll(budget, At(silence)), 3) << silence.count();
    for (int i = 0; i < 20; ++i) budget.CountRequest(At(silence));
    EXPECT_EQ(TakeAll(budget, At(silence)), 7) << silence.count();
  }
}

TEST(RetryBudget, HearsWhatAThreadASecondAheadHasTaken) {
  RetryBudget budget(20);
  EXPECT_EQ(TakeAll(budget, At(1s)), 3);
  EXPECT_EQ(TakeAll(budget, At(0s)), 0);
}

// At each turn of a second all threads meet the slot that served ten seconds ago.
TEST(RetryBudget, LosesNoCountWhenThreadsMeetAtTheTurnOfASecond) {
  constexpr int kThreads = 4, kTurns = 3000, kEach = 5;
  RetryBudget budget(100);
  std::atomic<int> wrong{0};
  std::barrier turn(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTurns; ++i) {
        const TimePoint now = At(10s * i);
        turn.arrive_and_wait();
        for (int n = 0; n < kEach; ++n) budget.CountRequest(now);
        turn.arrive_and_wait();
        if (t == 0 && TakeAll(budget, now) != kThreads * kEach) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace spillway
