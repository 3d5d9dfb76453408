// SPDX-License-Identifier: MIT
// How many client connections are open over all workers, so that `clients.max_connections` holds for
// the process. Any thread; touched as a connection comes and goes, never by a request.
#pragma once

#include <atomic>
#include <cstdint>

namespace spillway {

class ConnectionCount {
 public:
  // Takes a place when fewer than `most` are taken.
  bool TryAdd(std::uint64_t most) {
    std::uint64_t open = open_.load(std::memory_order_relaxed);
    while (open < most) {
      if (open_.compare_exchange_weak(open, open + 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }
  // Gives back a place that was taken.
  void Remove() { open_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> open_{0};
};

}  // namespace spillway
