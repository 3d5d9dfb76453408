// SPDX-License-Identifier: MIT
#include "proxy/stream_list.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

namespace spillway {
namespace {

TEST(StreamList, DoesWhatAMapDoes) {
  std::mt19937 chance(7);
  StreamList<std::unique_ptr<int>> list;
  std::map<std::int32_t, int> map;
  for (int turn = 0; turn < 20'000; ++turn) {
    const auto id = static_cast<std::int32_t>(chance() % 60);
    const bool known = map.contains(id);
    ASSERT_EQ(list.Find(id) != nullptr, known);
    if (known) {
      ASSERT_EQ(**list.Find(id), map[id]);
      ASSERT_EQ(*list.Take(id), map[id]);
      map.erase(id);
    } else {
      list.Add(id, std::make_unique<int>(turn));
      map[id] = turn;
    }
    ASSERT_EQ(list.size(), map.size());
    ASSERT_EQ(list.empty(), map.empty());
  }
}

TEST(StreamList, IsWalkedInTheOrderOfNumbers) {
  StreamList<int> list;
  for (const std::int32_t id : {5, 9, 1, 7, 3}) list.Add(id, id);
  std::int32_t before = 0;
  for (const auto& [id, what] : list) {
    EXPECT_EQ(id, before == 0 ? 1 : before + 2);
    before = id;
  }
  EXPECT_EQ(before, 9);
}

}  // namespace
}  // namespace spillway
