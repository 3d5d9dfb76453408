// SPDX-License-Identifier: MIT
// What the connections of one worker share: its loop, blocks, kept upstream connections, numbers,
// and the generation that new requests are judged by.
//
// Thread rule: the worker's loop thread, but for the counters, which anyone may read.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/access_log.h"
#include "proxy/buffer.h"
#include "proxy/counters.h"
#include "proxy/generation.h"
#include "proxy/http_date.h"
#include "proxy/loop.h"
#include "proxy/upstream.h"
#include "proxy/upstream_connection.h"
#include "proxy/upstream_http2.h"
#include "spillway/mix.h"

namespace spillway {

class ClientConnection;

// One worker's side of a generation. An exchange keeps the one it began with.
struct LocalGeneration {
  LocalGeneration(std::shared_ptr<const Generation> shared, std::vector<bool> toggles,
                  std::size_t worker);
  std::shared_ptr<const Generation> shared;
  std::unique_ptr<bool[]> toggles;  // as Policy::toggles()
  std::vector<LimitTable*> limits, shadow_limits;
  std::vector<PoolLocal> pools;
  std::vector<HashKey> hash_keys;  // as pools
  std::vector<PoolCounters*> pool_counters;
  std::vector<RuleCounters*> rule_counters;
};

// Random numbers for balancing, jitter and request ids; not for secrets. splitmix64 (Steele, Lea,
// Flood 2014).
class Chance {
 public:
  explicit Chance(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() { return Mix(state_ += 0x9e3779b97f4a7c15u); }

 private:
  std::uint64_t state_;
};

struct WorkerContext {
  WorkerContext(std::size_t worker, AccessLog& log, std::uint64_t seed, std::uint64_t id_seed);
  ~WorkerContext();

  const std::size_t index;
  AccessLog& access_log;
  Loop loop;
  BlockPool blocks;
  UpstreamCache upstreams;
  Http2Upstreams http2_upstreams;
  WorkerCounters counters;
  Chance chance;
  Chance ids;  // of requests: seen by strangers, so nothing else may be drawn from it
  std::shared_ptr<LocalGeneration> generation;  // never null once adopted
  bool draining = false;

  // The text of the Date field, made once a second.
  std::string_view date();

  // Connections are destroyed at the next turn, never under a callback of their own.
  void Add(std::unique_ptr<ClientConnection> connection);
  void Bury(ClientConnection* connection);
  std::size_t connection_count() const { return connections_; }
  // Calls `visit` for each open connection; it may bury the one it is given.
  void ForEach(const std::function<void(ClientConnection&)>& visit);
  std::function<void()> on_connection_gone;  // set by the worker

 private:
  static void OnPurge(void* self);
  ClientConnection* first_ = nullptr;  // intrusive list, newest first
  std::size_t connections_ = 0;
  std::vector<std::unique_ptr<ClientConnection>> graveyard_;
  Deadline purge_;
  HttpDate date_;
};

}  // namespace spillway
