// SPDX-License-Identifier: MIT
// Wall-clock times as text for people and programs: RFC 3339 in UTC, to the second.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "spillway/units.h"

namespace spillway {

std::string FormatTime(WallTime time);                     // "2026-01-31T12:00:00Z"
std::optional<WallTime> ParseTime(std::string_view text);  // exactly that form

}  // namespace spillway
