// SPDX-License-Identifier: MIT
#include "proxy/counters.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace spillway {
namespace {

std::size_t BucketOf(Duration value) {
  Histogram histogram;
  histogram.Observe(value);
  std::size_t found = histogram.buckets.size();
  for (std::size_t i = 0; i < histogram.buckets.size(); ++i) {
    if (histogram.buckets[i].value() == 0) continue;
    EXPECT_EQ(found, histogram.buckets.size()) << "in two buckets";
    found = i;
  }
  return found;
}

TEST(Histogram, BoundsAreInclusive) {
  for (std::size_t i = 0; i < Histogram::kBounds.size(); ++i) {
    const Duration bound(static_cast<std::int64_t>(Histogram::kBounds[i] * 1e9 + 0.5));
    EXPECT_EQ(BucketOf(bound), i);
    EXPECT_EQ(BucketOf(bound + 1ns), i + 1);
  }
}

TEST(Histogram, BeyondTheLastBoundIsTheLastBucket) {
  EXPECT_EQ(BucketOf(24h), Histogram::kBounds.size());
}

TEST(Histogram, SumsWhatItObserves) {
  Histogram histogram;
  histogram.Observe(3ms);
  histogram.Observe(4ms);
  histogram.Observe(-1ns);  // counts as nothing
  EXPECT_EQ(histogram.nanoseconds.value(), 7'000'000u);
}

TEST(DecisionName, IsDifferentForEachDecision) {
  std::set<std::string> names;
  for (int i = 0; i < static_cast<int>(Decision::kCount); ++i)
    names.insert(DecisionName(static_cast<Decision>(i)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(Decision::kCount));
  EXPECT_EQ(names.count("unknown"), 0u);
  EXPECT_STREQ(DecisionName(Decision::kBadRequest), "bad_request");
}

}  // namespace
}  // namespace spillway
