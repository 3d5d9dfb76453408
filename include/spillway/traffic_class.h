// SPDX-License-Identifier: MIT
// How much a request matters, after the criticalities of Google's "Site Reliability Engineering"
// (chapter 21). Who is shed first has the larger number.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace spillway {

enum class TrafficClass : std::uint8_t { kCriticalPlus, kCritical, kSheddablePlus, kSheddable };

inline constexpr std::array<std::string_view, 4> kTrafficClassNames = {
    "critical_plus", "critical", "sheddable_plus", "sheddable"};
inline constexpr std::size_t kTrafficClasses = kTrafficClassNames.size();

constexpr std::string_view TrafficClassName(TrafficClass one) {
  return kTrafficClassNames[static_cast<std::size_t>(one)];
}

}  // namespace spillway
