// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <atomic>
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

}  // namespace
}  // namespace spillway
