// SPDX-License-Identifier: MIT
// Minutes of a week, which begins on Monday, as rules and their tests write them.
#pragma once

#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>

namespace spillway {

inline constexpr std::uint64_t kMinutesOfDay = 24 * 60, kMinutesOfWeek = 7 * kMinutesOfDay;
inline constexpr std::string_view kDays[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

inline std::optional<std::uint64_t> TwoDigits(std::string_view text) {
  if (text.size() != 2 || text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') {
    return std::nullopt;
  }
  return static_cast<std::uint64_t>((text[0] - '0') * 10 + (text[1] - '0'));
}

// "08:30" as minutes. Any number of hours will do.
inline std::optional<std::uint64_t> HoursAndMinutes(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto hours = TwoDigits(text.substr(0, 2)), minutes = TwoDigits(text.substr(3));
  if (!hours || !minutes || *minutes > 59) return std::nullopt;
  return *hours * 60 + *minutes;
}

// "sat 23:30".
inline std::optional<std::uint64_t> DayAndTime(std::string_view text) {
  for (std::uint64_t day = 0; day < std::size(kDays); ++day) {
    if (!text.starts_with(kDays[day]) || text.substr(3, 1) != " ") continue;
    const auto time = HoursAndMinutes(text.substr(4));
    if (!time || *time >= kMinutesOfDay) return std::nullopt;
    return day * kMinutesOfDay + *time;
  }
  return std::nullopt;
}

}  // namespace spillway
