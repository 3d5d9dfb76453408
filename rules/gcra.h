// SPDX-License-Identifier: MIT
// The arithmetic of a token bucket kept as one time (GCRA, ITU-T I.371): the theoretical arrival
// time, TAT.
//
//   T = period / events      what one request costs          (`step`)
//   B = burst * T            what a full bucket is worth      (`full`)
//   debt = max(0, TAT - now)                                  0: the bucket is full; B: it is empty
//   a request passes when debt + T <= B, and then TAT = max(TAT, now) + T
//
// Integer nanoseconds. T is rounded up, so a rate is never exceeded: at 1/h it is exact, at
// 1,000,000/s at most 0.1 % low. B is cut at 2^58 ns (9 years), and `now` at 2^59, so that no sum
// leaves 60 bits. Pure values; any thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "spillway/limit_table.h"
#include "spillway/units.h"

namespace spillway {

__extension__ using Wide = unsigned __int128;

struct Gcra {
  static constexpr std::uint64_t kLongest = std::uint64_t{1} << 58;

  std::uint64_t step = 1;
  std::uint64_t full = 1;

  // The bucket of `share` times the rate and the burst.
  static Gcra For(const LimitSpec& spec, std::uint64_t share) {
    const Wide period = static_cast<Wide>(std::max<std::int64_t>(spec.rate.period.count(), 1));
    const Wide events = static_cast<Wide>(std::max<std::uint64_t>(spec.rate.events, 1)) * share;
    const Wide step = std::min<Wide>((period + events - 1) / events, kLongest);
    const Wide burst = static_cast<Wide>(std::max<std::uint64_t>(spec.burst, 1)) * share;
    // step <= 2^58 and burst < 2^124 only for absurd shares: divide instead of multiplying blindly.
    const Wide full =
        burst > kLongest / step ? std::max<Wide>(kLongest / step, 1) * step : burst * step;
    return {static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(full)};
  }

  static std::uint64_t At(TimePoint now) {
    const std::int64_t ticks = now.time_since_epoch().count();
    return std::min(static_cast<std::uint64_t>(std::max<std::int64_t>(ticks, 0)), 2 * kLongest - 1);
  }

  static std::uint64_t Debt(std::uint64_t tat, std::uint64_t now) {
    return tat > now ? tat - now : 0;
  }
  bool Passes(std::uint64_t tat, std::uint64_t now) const { return Debt(tat, now) + step <= full; }
  // REQUIRES: Passes.
  std::uint64_t Charged(std::uint64_t tat, std::uint64_t now) const {
    return std::max(tat, now) + step;
  }

  // What is told of a bucket whose time is `tat`, after the answer `allowed`.
  LimitState State(std::uint64_t tat, std::uint64_t now, bool allowed) const {
    const std::uint64_t debt = Debt(tat, now);
    LimitState state;
    state.allowed = allowed;
    state.remaining = debt < full ? (full - debt) / step : 0;
    if (!allowed) state.retry_after = Duration(debt + step - full);
    state.reset = Duration(debt);
    return state;
  }
};

}  // namespace spillway
