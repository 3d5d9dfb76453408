// SPDX-License-Identifier: MIT
// From a loaded configuration to a generation, carrying over what the one before has learnt:
// limits' buckets, counters, endpoints, the challenge key. Nothing in force changes until the
// result is adopted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/generation.h"
#include "proxy/pool_keeper.h"
#include "spillway/result.h"

namespace spillway {

// What does not change while the process lives.
struct ProcessConstants {
  std::size_t workers = 1;
  std::uint64_t descriptors = 1024;  // the limit in force
  std::uint64_t hash_seed = 0;
  HashSecret memo_secret = {};
  std::shared_ptr<BotChecks> bots;
  std::shared_ptr<const TicketKeys> ticket_keys;  // for listeners without files of them
};

// A generation that is ready, and the changes to shared tables that go with adopting it.
struct Blueprint {
  std::shared_ptr<Generation> generation;
  // Carries these out: from then on the tables have the new rates and bursts.
  void Reconfigure(TimePoint now) const;
  std::vector<std::pair<std::shared_ptr<LimitTable>, LimitSpec>> changed_limits;
};

// A limit's buckets are kept when its name, key and table size are; pools' endpoints by pool and
// address; counters by name. `previous` is null at the start. The error says which file is wrong, or
// which limit's table the system has no memory for, and why.
Result<Blueprint> BuildGeneration(Config config, const Generation* previous, PoolKeeper& keeper,
                                  const ProcessConstants& constants);

}  // namespace spillway
