// SPDX-License-Identifier: MIT
#include "spillway/distinct_count.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace spillway {
namespace {

// The sums of Ertl's estimator over registers that are still empty, and over those that are full;
// each goes on until its terms no longer count.
double Sigma(double share) {
  if (share == 1) return std::numeric_limits<double>::infinity();
  double sum = share, weight = 1;
  for (double before = -1; sum != before;) {
    share *= share;
    before = sum;
    sum += share * weight;
    weight += weight;
  }
  return sum;
}

double Tau(double share) {
  if (share == 0 || share == 1) return 0;
  double sum = 1 - share, weight = 1;
  for (double before = -1; sum != before;) {
    share = std::sqrt(share);
    before = sum;
    weight *= 0.5;
    sum -= (1 - share) * (1 - share) * weight;
  }
  return sum / 3;
}

}  // namespace

void DistinctCount::Add(std::uint64_t hash) {
  const std::uint64_t rest = hash << kBits;
  const int rank = std::min(std::countl_zero(rest) + 1, kMost);
  std::uint8_t& place = registers_[hash >> (64 - kBits)];
  place = std::max(place, static_cast<std::uint8_t>(rank));
}

void DistinctCount::Merge(const DistinctCount& other) {
  for (std::size_t i = 0; i < registers_.size(); ++i) {
    registers_[i] = std::max(registers_[i], other.registers_[i]);
  }
}

double DistinctCount::Estimate() const {
  std::array<int, kMost + 1> counts{};
  for (const std::uint8_t place : registers_) ++counts[place];
  const auto places = static_cast<double>(registers_.size());
  double sum = places * Tau(1 - counts[kMost] / places);
  for (int rank = kMost - 1; rank >= 1; --rank) {
    sum = 0.5 * (sum + counts[static_cast<std::size_t>(rank)]);
  }
  sum += places * Sigma(counts[0] / places);
  return places * places / (2 * std::log(2.0) * sum);
}

}  // namespace spillway
