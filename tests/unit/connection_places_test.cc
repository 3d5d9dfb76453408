// SPDX-License-Identifier: MIT
#include "proxy/connection_places.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace spillway {
namespace {

TEST(ConnectionPlaces, AreNeverMoreThanThereMayBeWhoeverTakesThem) {
  ConnectionPlaces places;
  std::atomic<int> taken{0}, most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20'000; ++round) {
        if (!places.TryTake(3)) continue;
        const int now = ++taken;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        --taken;
        places.Free();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 3);
  EXPECT_TRUE(places.TryTake(1));
  EXPECT_FALSE(places.TryTake(1));
}

TEST(ConnectionPlaces, OfOneClientAreCountedByThemselves) {
  ConnectionPlaces places;
  const IpAddress one = IpAddress::FromV4(1), other = IpAddress::FromV4(2);
  EXPECT_TRUE(places.TryTakeFor(one, 2));
  EXPECT_TRUE(places.TryTakeFor(one, 2));
  EXPECT_FALSE(places.TryTakeFor(one, 2));
  EXPECT_TRUE(places.TryTakeFor(other, 1));
  EXPECT_TRUE(places.TryTakeFor(one, 3));  // a reload may allow more, or fewer
  EXPECT_FALSE(places.TryTakeFor(one, 1));
  for (int i = 0; i < 3; ++i) places.FreeFor(one);
  EXPECT_TRUE(places.TryTakeFor(one, 1));
}

TEST(ConnectionPlaces, AskWhoHearsOnly) {
  ConnectionPlaces places;
  places.AskOthers(7);  // nobody is there to hear it yet
  std::size_t heard = 0;
  places.OnWanted([&heard](std::size_t worker) { heard = worker; });
  places.AskOthers(3);
  EXPECT_EQ(heard, 3u);
}

}  // namespace
}  // namespace spillway
