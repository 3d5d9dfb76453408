// SPDX-License-Identifier: MIT
#include "proxy/connection_places.h"

namespace spillway {

bool ConnectionPlaces::TryTakeFor(const IpAddress& client, std::uint32_t most) {
  Shard& shard = ShardOf(client);
  std::lock_guard lock(shard.mutex);
  std::uint32_t& count = shard.counts[client];
  if (count >= most) return false;
  ++count;
  return true;
}

void ConnectionPlaces::FreeFor(const IpAddress& client) {
  Shard& shard = ShardOf(client);
  std::lock_guard lock(shard.mutex);
  const auto found = shard.counts.find(client);
  if (found != shard.counts.end() && --found->second == 0) shard.counts.erase(found);
}

}  // namespace spillway
