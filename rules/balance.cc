// SPDX-License-Identifier: MIT
// The three ways to choose, each over the usable servers of one rank (backups form the second).
//
// round_robin: turn t takes place (t * k) mod W of W places, of which each server has `weight` in a
//   row. With k coprime to W every place is taken once in W turns; with k near W times the golden
//   ratio a server's turns are spread, not bunched. Equal weights are plain rotation.
// least_requests: two different servers are drawn by weight, and the less loaded
//   (in_flight / weight) is taken; the first on a tie (Mitzenmacher, "The Power of Two Choices",
//   2001). Drawing by weight keeps the shares right while nobody is busy.
// hash: weighted rendezvous (Thaler and Ravishankar; weights by -w / ln u). When a server goes,
//   only its own keys move.
#include "spillway/balance.h"

#include <cmath>
#include <numeric>

#include "spillway/mix.h"

namespace spillway {
namespace {

struct Candidates {
  std::span<const ServerLoad> servers;
  bool backup;
  std::uint64_t weight = 0;  // of all
  std::size_t count = 0;
  std::uint32_t heaviest = 0;

  bool Has(std::size_t i) const {
    return servers[i].usable && servers[i].backup == backup && servers[i].weight > 0;
  }
};

Candidates Collect(std::span<const ServerLoad> servers, bool backup) {
  Candidates found{servers, backup};
  for (std::size_t i = 0; i < servers.size(); ++i) {
    if (!found.Has(i)) continue;
    found.weight += servers[i].weight;
    found.heaviest = std::max(found.heaviest, servers[i].weight);
    ++found.count;
  }
  return found;
}

// The server that has place `place`, when `without` is left out.
// REQUIRES: place < weight of the rest.
std::size_t AtPlace(const Candidates& from, std::uint64_t place, std::size_t without) {
  std::size_t last = without;
  for (std::size_t i = 0; i < from.servers.size(); ++i) {
    if (!from.Has(i) || i == without) continue;
    last = i;
    if (place < from.servers[i].weight) return i;
    place -= from.servers[i].weight;
  }
  return last;
}

constexpr std::size_t kNobody = ~std::size_t{0};

std::size_t RoundRobin(const Candidates& from, std::uint64_t turn) {
  if (from.weight == from.count * from.heaviest) {
    return AtPlace(from, turn % from.count * from.heaviest, kNobody);
  }
  std::uint64_t stride = from.weight * 618 / 1000 + 1;
  while (std::gcd(stride, from.weight) != 1) ++stride;
  return AtPlace(from, turn % from.weight * stride % from.weight, kNobody);
}

// Thirty-two random bits to a number below `limit`; the bias is limit / 2^32.
std::uint64_t Below(std::uint64_t limit, std::uint64_t bits) {
  return (bits & 0xffffffff) * limit >> 32;
}

std::size_t LeastRequests(const Candidates& from, std::uint64_t chance) {
  const std::size_t first = AtPlace(from, Below(from.weight, chance), kNobody);
  if (from.count == 1) return first;
  const std::uint64_t rest = from.weight - from.servers[first].weight;
  const std::size_t second = AtPlace(from, Below(rest, chance >> 32), first);
  const ServerLoad& a = from.servers[first];
  const ServerLoad& b = from.servers[second];
  return std::uint64_t{b.in_flight} * a.weight < std::uint64_t{a.in_flight} * b.weight ? second
                                                                                       : first;
}

std::size_t Rendezvous(const Candidates& from, std::uint64_t key) {
  std::size_t best = kNobody;
  double best_score = 0;
  for (std::size_t i = 0; i < from.servers.size(); ++i) {
    if (!from.Has(i)) continue;
    const std::uint64_t drawn = Mix(key ^ Mix(from.servers[i].identity + 0x9e3779b97f4a7c15U));
    // In (0, 1), both ends left out: 52 bits and the half fit a double exactly. One bit more would
    // round the largest to 1, whose logarithm is 0.
    const double u = (static_cast<double>(drawn >> 12) + 0.5) * 0x1p-52;
    const double score = from.servers[i].weight / -std::log(u);
    if (best == kNobody || score > best_score) {
      best_score = score;
      best = i;
    }
  }
  return best;
}

}  // namespace

std::optional<std::size_t> PickServer(Balance balance, std::span<const ServerLoad> servers,
                                      std::uint64_t turn, std::uint64_t chance, std::uint64_t key) {
  Candidates from = Collect(servers, false);
  if (from.count == 0) from = Collect(servers, true);
  if (from.count == 0) return {};
  switch (balance) {
    case Balance::kRoundRobin:
      return RoundRobin(from, turn);
    case Balance::kLeastRequests:
      return LeastRequests(from, chance);
    case Balance::kHash:
      return Rendezvous(from, key);
  }
  return {};
}

}  // namespace spillway
