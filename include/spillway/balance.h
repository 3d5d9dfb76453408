// SPDX-License-Identifier: MIT
// Which server gets the next request: pure choices over a snapshot of the servers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "spillway/config.h"

namespace spillway {

struct ServerLoad {
  std::uint32_t weight = 1;
  std::uint32_t in_flight = 0;
  // Stable hash of its address: the same server keeps its keys (rendezvous hashing)
  std::uint64_t identity = 0;
  bool usable = true;  // healthy, not ejected, not tried already for this request
  bool backup = false;
};

// The index of the chosen server; nullopt when none is usable. Backups count only when nothing else
// does. `turn` is a counter for round robin (smooth enough over weights), `chance` uniform random
// bits for the two choices of least_requests (power of two choices, by in_flight/weight), `key` the
// request's hash for hash.
std::optional<std::size_t> PickServer(Balance balance, std::span<const ServerLoad> servers,
                                      std::uint64_t turn, std::uint64_t chance, std::uint64_t key);

}  // namespace spillway
