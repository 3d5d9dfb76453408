// SPDX-License-Identifier: MIT
#include "proxy/wall_time.h"

#include <fmt/format.h>

namespace spillway {

std::string FormatTime(WallTime time) {
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(second);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(second - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::optional<WallTime> ParseTime(std::string_view text) {
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:ddZ";
  if (text.size() != kForm.size()) return std::nullopt;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] != 'd' && text[i] != kForm[i]) return std::nullopt;
  }
  const int second = DigitsAt(text, 17, 2);
  if (second > 59) return std::nullopt;
  return TimeOf({DigitsAt(text, 0, 4), DigitsAt(text, 5, 2), DigitsAt(text, 8, 2),
                 DigitsAt(text, 11, 2), DigitsAt(text, 14, 2), second});
}

int DigitsAt(std::string_view text, std::size_t at, std::size_t size) {
  int value = 0;
  for (std::size_t i = at; i < at + size; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

std::optional<WallTime> TimeOf(const CivilTime& civil) {
  const auto within = [](int value, int most) { return value >= 0 && value <= most; };
  if (civil.year < 1970 || civil.year > 2200 || !within(civil.month, 12) ||
      !within(civil.day, 31) || !within(civil.hour, 23) || !within(civil.minute, 59) ||
      !within(civil.second, 60)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(civil.year),
                                         std::chrono::month(static_cast<unsigned>(civil.month)),
                                         std::chrono::day(static_cast<unsigned>(civil.day))};
  if (!date.ok()) return std::nullopt;
  return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(civil.hour) +
         std::chrono::minutes(civil.minute) + std::chrono::seconds(civil.second);
}

}  // namespace spillway
