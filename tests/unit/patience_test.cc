// SPDX-License-Identifier: MIT
#include "proxy/patience.h"

#include <gtest/gtest.h>

namespace spillway {
namespace {

TEST(Patience, IsEarnedByBytesUpToWhatItBeganWith) {
  EXPECT_EQ(Patience(10s, 250, Bytes{250}, 30s), 11s);
  EXPECT_EQ(Patience(10s, 5000, Bytes{250}, 30s), 30s);
  EXPECT_EQ(Patience(30s, 1, Bytes{250}, 30s), 30s);
  EXPECT_EQ(Patience(10s, 0, Bytes{250}, 30s), 10s);
  EXPECT_EQ(Patience(10s, ~std::size_t{0}, Bytes{1}, 30s), 30s);
  EXPECT_EQ(Patience(-1s, 1000, Bytes{1000}, 30s), 0s);
}

TEST(Patience, IsAllBackWithAnyByteWhereNoRateIsAsked) {
  EXPECT_EQ(Patience(1ms, 1, Bytes{0}, 30s), 30s);
}

// Whatever the sizes and pauses of its pieces, who is below the rate is out after a bounded time.
TEST(Patience, RunsOutForWhoeverIsSlowerThanTheRate) {
  for (const int pieces_per_second : {1, 3, 10, 40}) {
    const auto bytes = static_cast<std::size_t>(200 / pieces_per_second);  // 250 are asked
    const Duration pause = Duration(1s) / pieces_per_second;
    Duration left = 30s, waited{0};
    while (left > Duration::zero() && waited < 1h) {
      waited += pause;
      left = Patience(left - pause, bytes, Bytes{250}, 30s);
    }
    EXPECT_LT(waited, 200s) << pieces_per_second;
    EXPECT_GT(waited, 29s) << pieces_per_second;
  }
}

}  // namespace
}  // namespace spillway
