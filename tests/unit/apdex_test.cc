// SPDX-License-Identifier: MIT
#include "proxy/apdex.h"

#include <gtest/gtest.h>

#include <optional>

namespace spillway {
namespace {

constexpr TimePoint kStart(std::chrono::hours(5));

std::optional<std::uint32_t> Percent(const Apdex& apdex, TimePoint now) {
  Apdex::Sum sum;
  apdex.AddTo(&sum, now);
  return sum.percent();
}

void Count(Apdex* apdex, int times, Duration took, TimePoint now, bool good = true) {
  for (int i = 0; i < times; ++i) apdex->Count(took, good, 500ms, now);
}

TEST(Apdex, WeighsTheSatisfiedAndThoseWhoBearIt) {
  Apdex apdex;
  Count(&apdex, 60, 500ms, kStart);
  Count(&apdex, 20, 501ms, kStart);
  Count(&apdex, 10, 2001ms, kStart);
  Count(&apdex, 10, 1ms, kStart, false);
  EXPECT_EQ(Percent(apdex, kStart), 70U);
}

TEST(Apdex, SaysNothingOfFew) {
  Apdex apdex;
  Count(&apdex, 19, 1ms, kStart);
  EXPECT_EQ(Percent(apdex, kStart), std::nullopt);
  Count(&apdex, 1, 1ms, kStart);
  EXPECT_EQ(Percent(apdex, kStart), 100U);
}

TEST(Apdex, ForgetsAfterTenSeconds) {
  Apdex apdex;
  Count(&apdex, 40, 5s, kStart);
  Count(&apdex, 40, 1ms, kStart + 5s);
  EXPECT_EQ(Percent(apdex, kStart + 9s), 50U);
  EXPECT_EQ(Percent(apdex, kStart + 10s), 100U);
  EXPECT_EQ(Percent(apdex, kStart + 15s), std::nullopt);
}

TEST(Apdex, ASlotServesAgain) {
  Apdex apdex;
  for (int second = 0; second < 100; ++second) {
    Count(&apdex, 2, second < 50 ? Duration(5s) : Duration(1ms),
          kStart + std::chrono::seconds(second));
  }
  EXPECT_EQ(Percent(apdex, kStart + 99s), 100U);
}

}  // namespace
}  // namespace spillway
