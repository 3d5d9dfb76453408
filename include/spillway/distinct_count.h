// SPDX-License-Identifier: MIT
// How many different things came, about, in a fixed 4 KiB: HyperLogLog (Flajolet, Fusy, Gandouet,
// Meunier 2007) with the estimator of Ertl (2017, "New cardinality estimation algorithms for
// HyperLogLog sketches", algorithm 6), which is right for few and for many. The standard error is
// 1.6 %.
//
// Thread rule: a plain value.
#pragma once

#include <array>
#include <cstdint>

namespace spillway {

class DistinctCount {
 public:
  // REQUIRES: a good 64-bit hash of the thing.
  void Add(std::uint64_t hash);
  // As if all that came to the other had come here too.
  void Merge(const DistinctCount& other);
  double Estimate() const;
  void Clear() { registers_ = {}; }

 private:
  static constexpr int kBits = 12;  // of the hash that choose a register
  static constexpr int kMost = 64 - kBits + 1;
  std::array<std::uint8_t, 1 << kBits> registers_{};
};

}  // namespace spillway
