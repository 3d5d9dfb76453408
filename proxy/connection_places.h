// SPDX-License-Identifier: MIT
// The places for client connections, over all workers: how many there are together
// (`clients.max_connections`), how many one client may take (`clients.connections_per_client`), and
// a way to ask for one that another worker's idle connection takes. With them are those for
// connections to servers.
//
// Thread rule: any thread; touched as a connection comes and goes, never by a request. Memory: one
// entry (about 80 bytes) for each client that is counted, so at most one for each open connection.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

#include "proxy/upstream_places.h"
#include "spillway/address.h"

namespace spillway {

class ConnectionPlaces {
 public:
  // Takes a place when fewer than `most` are taken.
  bool TryTake(std::uint64_t most) {
    std::uint64_t taken = taken_.load(std::memory_order_relaxed);
    while (taken < most) {
      if (taken_.compare_exchange_weak(taken, taken + 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }
  // Gives back a place that was taken.
  void Free() { taken_.fetch_sub(1, std::memory_order_relaxed); }

  // One more for this client, when it has fewer than `most`.
  bool TryTakeFor(const IpAddress& client, std::uint32_t most);
  // Gives back what TryTakeFor took.
  void FreeFor(const IpAddress& client);

  // All places are taken, and the asking worker has none to give: `hear` is called on its thread
  // with its index. REQUIRES: set before the first worker starts.
  void OnWanted(std::function<void(std::size_t worker)> hear) { hear_ = std::move(hear); }
  void AskOthers(std::size_t worker) const {
    if (hear_) hear_(worker);
  }

  UpstreamPlaces& upstreams() { return upstreams_; }

 private:
  struct Shard {
    std::mutex mutex;
    std::map<IpAddress, std::uint32_t> counts;
  };
  Shard& ShardOf(const IpAddress& client) {
    // The byte that differs most between neighbours; an attacker who aims at one shard only makes
    // his own connections wait for a lock.
    return shards_[(client.bytes()[15] ^ client.bytes()[7]) % shards_.size()];
  }

  std::atomic<std::uint64_t> taken_{0};
  std::array<Shard, 16> shards_;
  std::function<void(std::size_t)> hear_;
  UpstreamPlaces upstreams_;
};

}  // namespace spillway
