// SPDX-License-Identifier: MIT
// Reads access logs into a Replay: several at once, in the order of their times. Blocks; for a
// program that has nothing else to do.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "proxy/replay.h"
#include "spillway/result.h"

namespace spillway {

// All are open at once: each has a block of 256 KiB, and another one with gzip.
inline constexpr std::size_t kMostLogs = 64;
// A log of which so many lines at the beginning cannot be read is none.
inline constexpr std::uint64_t kFirstLines = 1000;

struct LogReading {
  std::string name;
  std::uint64_t lines = 0, unreadable = 0, too_long = 0;
  bool query = false;  // some line had one
};

struct Reading {
  std::vector<LogReading> logs;
  // "access.log:17: there is no ...", of the first few lines that could not be read
  std::vector<std::string> unreadable;
  std::uint64_t lines = 0;
};

struct Progress {
  std::uint64_t bytes = 0, bytes_in_all = 0;  // 0: not known
  std::uint64_t lines = 0;
};

// "-" is standard input. `report` is called every few thousand lines. The error says what cannot be
// read, or is no access log.
Result<Reading> ReadLogs(const std::vector<std::string>& paths, Replay* replay,
                         const std::function<void(const Progress&)>& report);

}  // namespace spillway
