// SPDX-License-Identifier: MIT
// What the kernel says of this process, for the process_* metrics.
#pragma once

#include <cstdint>

#include "spillway/units.h"

namespace spillway {

// What could not be read stays zero.
struct ProcessFacts {
  double cpu_seconds = 0;  // user and system time
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t open_fds = 0, max_fds = 0;
  std::uint64_t threads = 0;
  double start_seconds = 0;  // wall clock, since 1970
};
ProcessFacts ReadProcessFacts(WallTime now);

}  // namespace spillway
