// SPDX-License-Identifier: MIT
#include "spillway/distinct_count.h"

#include <gtest/gtest.h>

#include "spillway/mix.h"

namespace spillway {
namespace {

DistinctCount Of(std::uint64_t first, std::uint64_t count) {
  DistinctCount sketch;
  for (std::uint64_t i = first; i < first + count; ++i) sketch.Add(Mix(i + 1));
  return sketch;
}

TEST(DistinctCount, IsWithinFivePerCentFromOneToAMillion) {
  EXPECT_EQ(DistinctCount().Estimate(), 0);
  for (const std::uint64_t count :
       {1, 2, 10, 100, 1'000, 5'000, 10'000, 20'000, 100'000, 1'000'000}) {
    const auto expected = static_cast<double>(count);
    EXPECT_NEAR(Of(0, count).Estimate(), expected, expected * 0.05 + 0.1) << count;
  }
}

TEST(DistinctCount, CountsWhatCameTwiceOnce) {
  DistinctCount sketch = Of(0, 1000);
  const double once = sketch.Estimate();
  for (std::uint64_t i = 0; i < 1000; ++i) sketch.Add(Mix(i + 1));
  EXPECT_EQ(sketch.Estimate(), once);
  sketch.Clear();
  EXPECT_EQ(sketch.Estimate(), 0);
}

TEST(DistinctCount, IsMergedAsIfAllHadComeToOne) {
  DistinctCount parts = Of(0, 600);
  parts.Merge(Of(400, 600));
  EXPECT_EQ(parts.Estimate(), Of(0, 1000).Estimate());
}

TEST(DistinctCount, TakesTheHashesAtTheEdges) {
  DistinctCount sketch;
  sketch.Add(0);
  sketch.Add(~std::uint64_t{0});
  EXPECT_NEAR(sketch.Estimate(), 2, 0.1);
}

}  // namespace
}  // namespace spillway
