// SPDX-License-Identifier: MIT
// The event log over spdlog: "2026-07-01T12:00:00.000Z warning: pool app: 10.0.0.5:3000 is
// ejected".
#include "proxy/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace spillway::log {
namespace {

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// Made on first use, so that tests and tools that never call Init log as well, and never destroyed:
// threads may log until the process ends.
spdlog::logger& Logger() {
  static spdlog::logger* const logger = [] {
    auto* made = new spdlog::logger("spillway", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l: %v", spdlog::pattern_time_type::utc);
    made->flush_on(spdlog::level::debug);
    made->set_level(spdlog::level::info);
    return made;
  }();
  return *logger;
}

}  // namespace

void Init(Level level) {
  SetLevel(level);
}

void SetLevel(Level level) {
  Logger().set_level(ToSpdlog(level));
}

bool Enabled(Level level) {
  return Logger().should_log(ToSpdlog(level));
}

void Write(Level level, std::string_view line) {
  // Lines of several (a list of diagnostics) stay one line of the log each.
  while (!line.empty()) {
    const std::size_t end = line.find('\n');
    const std::string_view first = line.substr(0, end);
    if (!first.empty())
      Logger().log(ToSpdlog(level), spdlog::string_view_t(first.data(), first.size()));
    if (end == std::string_view::npos) return;
    line.remove_prefix(end + 1);
  }
}

std::string Escape(std::string_view text, std::size_t limit) {
  static constexpr char kHex[] = "0123456789abcdef";
  const bool cut = text.size() > limit;
  std::string out;
  for (const char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e || byte == '"' || byte == '\\') {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  if (cut) out += "...";
  return out;
}

}  // namespace spillway::log
