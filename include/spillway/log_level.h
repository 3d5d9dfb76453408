// SPDX-License-Identifier: MIT
// How important a line of the event log is.
#pragma once

#include <cstdint>

namespace spillway {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };

}  // namespace spillway
