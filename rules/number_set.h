// SPDX-License-Identifier: MIT
// Ranges of numbers, each with the number of a test: which of them a number is in. Single numbers
// cost one lookup, however many there are; wider ranges are gone through.
#pragma once

#include <cstdint>
#include <limits>
#include <unordered_map>
#include <vector>

namespace spillway {

struct NumberRange {
  std::uint64_t low = 0, high = 0;  // both are in it
};
inline constexpr std::uint64_t kMostNumber = std::numeric_limits<std::uint64_t>::max();

class NumberSet {
 public:
  void Add(NumberRange range, std::uint32_t test) {
    if (range.low == range.high) {
      single_[range.low].push_back(test);
    } else if (range.low < range.high) {
      wide_.push_back({range, test});
    }
  }

  template <class OnHit>
  void Find(std::uint64_t number, OnHit&& hit) const {
    if (const auto found = single_.find(number); found != single_.end()) {
      for (const std::uint32_t test : found->second) hit(test);
    }
    for (const Wide& each : wide_) {
      if (each.range.low <= number && number <= each.range.high) hit(each.test);
    }
  }

 private:
  struct Wide {
    NumberRange range;
    std::uint32_t test;
  };
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> single_;
  std::vector<Wide> wide_;
};

}  // namespace spillway
