// SPDX-License-Identifier: MIT
// One line of an access log, read back: the combined format of nginx, Apache and spillway, the
// common format (without Referer and User-Agent), and spillway's JSON. Pure; nothing allocates once
// the scratch has grown to the longest line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "spillway/units.h"

namespace spillway {

// Longer lines are passed over: our own have at most eight texts of 8 KiB, each byte as six.
inline constexpr std::size_t kLongestLogLine = 512 * 1024;

enum class LogForm : std::uint8_t { kJson, kCombined, kCommon };
inline constexpr std::size_t kLogForms = 3;

// All views borrow from the line or from the scratch. What the form does not hold is empty.
struct LoggedRequest {
  LogForm form = LogForm::kCombined;
  bool whole_seconds = true;  // the time is no finer
  WallTime time;
  std::string_view client, method, protocol;
  // kJson: the normalised path, and the query without '?'. Else the target as it was sent.
  std::string_view path, query;
  std::string_view host, scheme, ja4;  // kJson
  std::string_view user_agent, referer;
  std::string_view decision, pool;  // kJson
  int status = 0;                   // not kJson
  int upstream_status = 0;          // kJson: what a server said; 0: none did
};

struct LogLine {
  LoggedRequest request;
  const char* fault = nullptr;  // what is wrong with the line; null: nothing
};

// `line` is without its newline. *scratch holds what had to be unescaped.
void ReadLogLine(std::string_view line, std::string* scratch, LogLine* out);

// For the tests of ReadLogLine: spillway's JSON in its own quick way (false where that does not
// understand the line, which then may still be JSON), and by the library.
bool ReadJsonQuickly(std::string_view line, std::string* scratch, LogLine* out);
void ReadJsonByLibrary(std::string_view line, std::string* scratch, LogLine* out);

}  // namespace spillway
