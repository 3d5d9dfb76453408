// SPDX-License-Identifier: MIT
// Many address ranges looked up at once: which tests have a range that contains an address. Ranges
// are sorted by where they begin, the wider first; each knows the narrowest range around it. The
// last one that begins at or below the address, and those around it, are all that can contain it.
// About log2(n) comparisons.
//
// Add everything, Build once, then only look up (any thread).
#pragma once

#include <cstdint>
#include <vector>

#include "spillway/address.h"

namespace spillway {

class AddressSet {
 public:
  void Add(const IpRange& range, std::uint32_t test);
  void Build();
  bool empty() const { return ranges_.empty(); }

  template <class OnHit>
  void Find(const IpAddress& address, OnHit&& hit) const {
    for (std::uint32_t i = Below(address); i != kNone; i = ranges_[i].around) {
      if (!ranges_[i].range.Contains(address)) continue;
      for (const std::uint32_t test : ranges_[i].tests) hit(test);
    }
  }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  struct Range {
    IpRange range;
    std::vector<std::uint32_t> tests;
    std::uint32_t around = kNone;
  };
  std::uint32_t Below(const IpAddress& address) const;  // the last range that begins at or below it

  std::vector<Range> ranges_;
};

}  // namespace spillway
