// SPDX-License-Identifier: MIT
// How long we wait for a client that moves bytes slowly. It starts with as long as it may be silent
// (timeouts.body, timeouts.write); each byte that it moves earns the time that the byte may take
// (min_rate), up to as much as it started with. So a pause is forgiven, and drips are not: a byte
// now and then, each within the silence that is allowed, is how a connection is held for nothing.
#pragma once

#include <algorithm>
#include <cstddef>

#include "spillway/units.h"

namespace spillway {

// What is left of the wait after `bytes` moved when `left` was. `rate` in bytes a second; 0: any
// byte renews all of it.
inline Duration Patience(Duration left, std::size_t bytes, Bytes rate, Duration most) {
  if (rate.count == 0) return most;
  const std::chrono::duration<double> earned(static_cast<double>(bytes) /
                                             static_cast<double>(rate.count));
  if (earned >= most) return most;
  return std::min(most, left + std::chrono::duration_cast<Duration>(earned));
}

}  // namespace spillway
