// SPDX-License-Identifier: MIT
#include "spillway/balance.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "spillway/mix.h"

namespace spillway {
namespace {

using Servers = std::vector<ServerLoad>;

Servers Weighted(const std::vector<std::uint32_t>& weights) {
  Servers servers;
  for (std::uint32_t weight : weights) {
    servers.push_back({.weight = weight, .identity = servers.size() * 7919 + 1});
  }
  return servers;
}

void ExpectSharesByWeight(const Servers& servers, const std::map<std::size_t, int>& picks,
                          int all) {
  double weight = 0;
  for (const ServerLoad& server : servers) weight += server.weight;
  for (std::size_t i = 0; i < servers.size(); ++i) {
    const double share = picks.contains(i) ? picks.at(i) / static_cast<double>(all) : 0;
    EXPECT_NEAR(share, servers[i].weight / weight, 0.03 * servers[i].weight / weight) << i;
  }
}

TEST(PickServer, TakesEqualServersInTurn) {
  const Servers servers = Weighted({4, 4, 4});
  for (std::uint64_t turn = 0; turn < 12; ++turn) {
    EXPECT_EQ(PickServer(Balance::kRoundRobin, servers, turn, 0, 0), turn % 3);
  }
}

TEST(PickServer, GivesEachServerExactlyItsWeightInARoundAndSpreadsIt) {
  for (const auto& weights : std::vector<std::vector<std::uint32_t>>{
           {1}, {1, 2}, {5, 1, 1}, {7, 3, 2, 1}, {1000, 999, 1}, {10, 20, 30, 40}, {2, 2, 3}}) {
    const Servers servers = Weighted(weights);
    std::uint32_t round = 0;
    for (std::uint32_t weight : weights) round += weight;
    std::map<std::size_t, std::uint32_t> picks;
    std::size_t run = 0, longest = 0, last = 99;
    for (std::uint64_t turn = 0; turn < round; ++turn) {
      const std::size_t pick = *PickServer(Balance::kRoundRobin, servers, turn, 0, 0);
      ++picks[pick];
      run = pick == last ? run + 1 : 1;
      last = pick;
      longest = std::max(longest, weights[pick] * 2 > round ? 0 : run);
    }
    for (std::size_t i = 0; i < weights.size(); ++i) EXPECT_EQ(picks[i], weights[i]);
    EXPECT_LE(longest, 2U) << "a server without a majority is not asked three times in a row";
  }
}

TEST(PickServer, SharesIdleServersByWeight) {
  const Servers servers = Weighted({1, 2, 4, 8});
  std::mt19937_64 chance(1);
  std::map<std::size_t, int> picks;
  for (int i = 0; i < 300'000; ++i) {
    ++picks[*PickServer(Balance::kLeastRequests, servers, 0, chance(), 0)];
  }
  ExpectSharesByWeight(servers, picks, 300'000);
}

TEST(PickServer, KeepsBusyServersLevelByWeight) {
  // Requests stay for a while: thirty are in flight at any time.
  Servers servers = Weighted({1, 2, 3});
  std::mt19937_64 chance(2);
  std::vector<std::size_t> running;
  std::map<std::size_t, int> picks;
  for (int i = 0; i < 200'000; ++i) {
    if (running.size() == 30) {
      std::swap(running[chance() % 30], running.back());
      --servers[running.back()].in_flight;
      running.pop_back();
    }
    const std::size_t pick = *PickServer(Balance::kLeastRequests, servers, 0, chance(), 0);
    ++picks[pick];
    ++servers[pick].in_flight;
    running.push_back(pick);
    for (const ServerLoad& server : servers) ASSERT_LE(server.in_flight, 5 * server.weight + 8);
  }
  ExpectSharesByWeight(servers, picks, 200'000);
}

TEST(PickServer, PrefersTheLessLoadedOfTwo) {
  Servers servers = Weighted({1, 1});
  servers[0].in_flight = 1;
  std::mt19937_64 chance(3);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(PickServer(Balance::kLeastRequests, servers, 0, chance(), 0), 1U);
  }
}

TEST(PickServer, HashesByWeightAndMovesOnlyTheKeysOfALostServer) {
  Servers servers = Weighted({1, 2, 3, 4, 5});
  std::vector<std::size_t> before;
  std::map<std::size_t, int> picks;
  for (std::uint64_t key = 0; key < 200'000; ++key) {
    before.push_back(*PickServer(Balance::kHash, servers, key, key, key));
    ++picks[before.back()];
    ASSERT_EQ(PickServer(Balance::kHash, servers, 0, 0, key), before.back());
  }
  ExpectSharesByWeight(servers, picks, 200'000);

  servers[2].usable = false;
  std::map<std::size_t, int> heirs;
  for (std::uint64_t key = 0; key < before.size(); ++key) {
    const std::size_t now = *PickServer(Balance::kHash, servers, 0, 0, key);
    if (before[key] == 2) {
      ++heirs[now];
    } else {
      ASSERT_EQ(now, before[key]);
    }
  }
  servers[2].weight = 0;
  ExpectSharesByWeight(servers, heirs, picks[2]);  // its keys are spread by weight, too

  // The order of servers in the file does not matter, only what they are.
  std::swap(servers[0], servers[4]);
  EXPECT_EQ(PickServer(Balance::kHash, servers, 0, 0, 77) == 0U, before[77] == 4U);
}

// What Mix makes `mixed` of: a shift of half the bits or more undoes itself in two steps, and the
// factors are odd.
std::uint64_t Unmix(std::uint64_t mixed) {
  const auto unshift = [](std::uint64_t z, int by) { return z ^ (z >> by) ^ (z >> 2 * by); };
  const auto inverse = [](std::uint64_t odd) {  // Newton: the right bits double each time, from 3
    std::uint64_t x = odd;
    for (int i = 0; i < 5; ++i) x *= 2 - odd * x;
    return x;
  };
  mixed = unshift(mixed, 31) * inverse(0x94d049bb133111ebU);
  mixed = unshift(mixed, 27) * inverse(0xbf58476d1ce4e5b9U);
  return unshift(mixed, 30);
}

TEST(PickServer, FindsAServerForTheKeysThatDrawAllOnes) {
  for (std::uint64_t drawn : {~0ULL, ~0ULL << 8, ~0ULL << 11, ~0ULL << 12, 0ULL, 1ULL}) {
    ASSERT_EQ(Mix(Unmix(drawn)), drawn);
    for (std::size_t servers : {1U, 2U, 5U}) {
      const Servers same(servers, ServerLoad{.weight = 3, .identity = 42});
      const std::uint64_t key = Unmix(drawn) ^ Mix(42 + 0x9e3779b97f4a7c15U);
      EXPECT_LT(*PickServer(Balance::kHash, same, 0, 0, key), servers) << std::hex << drawn;
    }
  }
}

TEST(PickServer, UsesBackupsOnlyWhenNothingElseIsUsable) {
  for (Balance balance : {Balance::kRoundRobin, Balance::kLeastRequests, Balance::kHash}) {
    Servers servers = Weighted({1, 1, 1, 1});
    servers[2].backup = servers[3].backup = true;
    std::mt19937_64 chance(4);
    const auto pick = [&] { return PickServer(balance, servers, chance(), chance(), chance()); };
    for (int i = 0; i < 50; ++i) EXPECT_LT(*pick(), 2U);
    servers[0].usable = false;
    for (int i = 0; i < 50; ++i) EXPECT_EQ(pick(), 1U);
    servers[1].usable = false;
    for (int i = 0; i < 50; ++i) EXPECT_GE(*pick(), 2U);
    servers[2].usable = servers[3].usable = false;
    EXPECT_EQ(pick(), std::nullopt);
    EXPECT_EQ(PickServer(balance, {}, 1, 2, 3), std::nullopt);
  }
}

}  // namespace
}  // namespace spillway
