// SPDX-License-Identifier: MIT
// The event log (not the access log): one line a happening, to standard error. The door of spdlog.
// From any thread; never on the path of a healthy request. Text from strangers is escaped before it
// is logged.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "spillway/log_level.h"

namespace spillway::log {

using Level = LogLevel;

void Init(Level level);
void SetLevel(Level level);
bool Enabled(Level level);
void Write(Level level, std::string_view line);

template <typename... Args>
void Debug(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kDebug))
    Write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Info(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kInfo)) Write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Warning(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kWarning))
    Write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Error(fmt::format_string<Args...> format, Args&&... args) {
  Write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

// Control and non-ASCII bytes, quotes and backslashes as \xNN; cut at `limit` bytes.
std::string Escape(std::string_view text, std::size_t limit = 256);

}  // namespace spillway::log
