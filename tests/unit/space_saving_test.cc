// SPDX-License-Identifier: MIT
#include "proxy/space_saving.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "spillway/mix.h"

namespace spillway {
namespace {

struct Hash {
  std::size_t operator()(std::uint64_t key) const { return Mix(key); }
};

TEST(SpaceSaving, IsExactWhileThereIsRoom) {
  SpaceSaving<std::uint64_t, Hash> top(4);
  for (const std::uint64_t key : {1, 2, 2, 3, 3, 3, 4}) top.Add(key);
  const auto first = top.Top(2);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].key, 3u);
  EXPECT_EQ(first[0].count, 3u);
  EXPECT_EQ(first[1].key, 2u);
  EXPECT_EQ(first[1].error, 0u);
}

TEST(SpaceSaving, TheFrequentAreThereAndNoCountIsWrongByMoreThanItsError) {
  constexpr std::size_t kPlaces = 64;
  SpaceSaving<std::uint64_t, Hash> top(kPlaces);
  std::map<std::uint64_t, std::uint64_t> truth;
  std::minstd_rand random(7);
  constexpr std::uint64_t kAdded = 100'000;
  for (std::uint64_t i = 0; i < kAdded; ++i) {
    const std::uint64_t key = random() % 2 == 0 ? random() % 10 : 1000 + random() % 50'000;
    top.Add(key);
    ++truth[key];
  }
  EXPECT_EQ(top.size(), kPlaces);
  std::map<std::uint64_t, std::uint64_t> told;
  for (const auto& entry : top.Top(kPlaces)) {
    told[entry.key] = entry.count;
    EXPECT_GE(entry.count, truth[entry.key]);
    EXPECT_LE(entry.count - entry.error, truth[entry.key]);
  }
  for (const auto& [key, count] : truth) {
    if (count <= kAdded / kPlaces) continue;
    EXPECT_EQ(told.count(key), 1u) << key;
  }
}

}  // namespace
}  // namespace spillway
