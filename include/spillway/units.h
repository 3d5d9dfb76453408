// SPDX-License-Identifier: MIT
// Units as types: time, bytes and rates. Nothing here reads a clock; the caller always passes
// `now`. Thread rule: plain values.
#pragma once

#include <chrono>
#include <cstdint>

namespace spillway {

using namespace std::chrono_literals;

// A span of time, in nanoseconds. Never negative in configuration.
using Duration = std::chrono::nanoseconds;

inline Duration ToDuration(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

// The steady clock's tag. It deliberately has no now(): only the event loop reads a clock.
struct SteadyClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<SteadyClock, duration>;
  static constexpr bool is_steady = true;
};

// A point on the steady clock: for limits, timers and latencies. Meaningless outside the process.
using TimePoint = SteadyClock::time_point;

// A point on the wall clock (UTC, nanoseconds): for logs, cookies and anything that leaves the
// process.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// A number of bytes.
struct Bytes {
  std::uint64_t count = 0;
  friend constexpr auto operator<=>(Bytes, Bytes) = default;
};

// `events` per `period`; both above zero. "10/s" is {10, 1s}, "30/m" is {30, 60s}.
struct Rate {
  std::uint64_t events = 1;
  Duration period = std::chrono::seconds(1);
  friend constexpr bool operator==(const Rate&, const Rate&) = default;
};

}  // namespace spillway
