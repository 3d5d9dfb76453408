// SPDX-License-Identifier: MIT
// A generation: everything that one load of the configuration put in force, immutable but for the
// shared, thread-safe tables it points to. Workers and exchanges keep the generation they began
// with alive.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/counters.h"
#include "proxy/forecast.h"
#include "proxy/geo_file.h"
#include "proxy/stream.h"
#include "proxy/upstream.h"
#include "spillway/config.h"
#include "spillway/keyed_hash.h"
#include "spillway/limit_table.h"

namespace spillway {

class BotChecks;        // proxy/bot_checks.h
struct ChallengeState;  // proxy/challenge_gate.h

struct Generation {
  std::uint64_t number = 0;  // 1, 2, ...
  Config config;
  std::vector<std::shared_ptr<Pool>> pools;                // as config.pools
  std::vector<std::shared_ptr<LimitTable>> limits;         // as policy->limits()
  std::vector<std::shared_ptr<LimitTable>> shadow_limits;  // the same; null where not in shadow use
  std::vector<std::shared_ptr<const TlsContext>> tls;  // as config.listeners; null for plain ones
  std::shared_ptr<const GeoFile> countries, networks;  // null: not configured
  std::shared_ptr<BotChecks> bots;                     // of the whole process; null: nobody knows
  std::shared_ptr<const ChallengeState> challenge;     // the key, the cookie's name, spent tickets
  std::uint64_t most_connections = 1;  // over all workers; then accepting waits until one is gone
  std::uint64_t most_upstreams = 1;  // connections to servers, likewise; then requests are refused
  std::uint64_t hash_seed = 0;       // of limit and balance keys; the same for the whole process
  HashSecret memo_secret = {};       // of texts whose matches are remembered; the same
  std::vector<std::shared_ptr<Forecast>> forecasts;  // by worker; empty: there are no toggles
  // Numbers, [worker][index]; shared with earlier generations by name.
  std::vector<std::vector<std::shared_ptr<PoolCounters>>> pool_counters;
  std::vector<std::vector<std::shared_ptr<RuleCounters>>> rule_counters;
};

}  // namespace spillway
