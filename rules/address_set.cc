// SPDX-License-Identifier: MIT
#include "rules/address_set.h"

#include <algorithm>
#include <utility>

namespace spillway {

void AddressSet::Add(const IpRange& range, std::uint32_t test) {
  ranges_.push_back({range, {test}, kNone});
}

void AddressSet::Build() {
  std::stable_sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) {
    return std::pair(a.range.base, a.range.bits) < std::pair(b.range.base, b.range.bits);
  });
  std::vector<Range> merged;
  for (Range& range : ranges_) {
    if (merged.empty() || merged.back().range != range.range) {
      merged.push_back(std::move(range));
    } else if (merged.back().tests.back() != range.tests.front()) {
      merged.back().tests.push_back(range.tests.front());
    }
  }
  ranges_ = std::move(merged);
  // Two ranges are apart or one lies inside the other; so what is around a range is the one before
  // it, or what is around that one.
  for (std::uint32_t i = 1; i < ranges_.size(); ++i) {
    std::uint32_t around = i - 1;
    while (around != kNone && !ranges_[around].range.Contains(ranges_[i].range.base)) {
      around = ranges_[around].around;
    }
    ranges_[i].around = around;
  }
}

std::uint32_t AddressSet::Below(const IpAddress& address) const {
  const auto above = std::partition_point(ranges_.begin(), ranges_.end(), [&](const Range& range) {
    return range.range.base <= address;
  });
  if (above == ranges_.begin()) return kNone;
  return static_cast<std::uint32_t>(above - ranges_.begin() - 1);
}

}  // namespace spillway
