// SPDX-License-Identifier: MIT
// Wall-clock times as text for people and programs: RFC 3339 in UTC, to the second; and what is the
// same in all forms that logs have them in.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "spillway/units.h"

namespace spillway {

std::string FormatTime(WallTime time);                     // "2026-01-31T12:00:00Z"
std::optional<WallTime> ParseTime(std::string_view text);  // exactly that form

// `size` decimal digits at `at`, or negative. REQUIRES: the text is that long, and size <= 9.
int DigitsAt(std::string_view text, std::size_t at, std::size_t size);
// The same for the sizes that times are made of, without a loop, which would cost more than the rest of
// a line's time.
inline int TwoDigitsAt(std::string_view text, std::size_t at) {
  const unsigned first = static_cast<unsigned char>(text[at]) - unsigned{'0'};
  const unsigned second = static_cast<unsigned char>(text[at + 1]) - unsigned{'0'};
  return first > 9 || second > 9 ? -1 : static_cast<int>(first * 10 + second);
}
inline int FourDigitsAt(std::string_view text, std::size_t at) {
  const int first = TwoDigitsAt(text, at), second = TwoDigitsAt(text, at + 2);
  return first < 0 || second < 0 ? -1 : first * 100 + second;
}

struct CivilTime {
  int year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0;
};
// Nothing where there is no such time, or it is not in the years 1970 to 2200, which nanoseconds in 64
// bits can tell. A leap second is the first one of the next minute.
std::optional<WallTime> TimeOf(const CivilTime& civil);

}  // namespace spillway
