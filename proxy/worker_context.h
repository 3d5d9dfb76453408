// SPDX-License-Identifier: MIT
// What the connections of one worker share: its loop, blocks, kept upstream connections, numbers,
// and the generation that new requests are judged by.
//
// Memory: at most 64 spare Http1Connections (about 3 KiB each; blocks are the pool's).
// Thread rule: the worker's loop thread, but for the counters, which anyone may read.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/access_log.h"
#include "proxy/buffer.h"
#include "proxy/connection_places.h"
#include "proxy/counters.h"
#include "proxy/generation.h"
#include "proxy/http2_spares.h"
#include "proxy/http_date.h"
#include "proxy/local_ref.h"
#include "proxy/loop.h"
#include "proxy/orphans.h"
#include "proxy/pool_admission.h"
#include "proxy/pool_hold.h"
#include "proxy/prepared_answers.h"
#include "proxy/receipts.h"
#include "proxy/silence.h"
#include "proxy/upstream.h"
#include "proxy/upstream_connection.h"
#include "proxy/upstream_http2.h"
#include "spillway/mix.h"

namespace spillway {

class ClientConnection;
class ClientProtocol;
class Http1Connection;

// One worker's side of a generation. An exchange keeps the one it began with.
struct LocalGeneration : LocallyOwned {
  LocalGeneration(std::shared_ptr<const Generation> shared, std::vector<bool> toggles,
                  std::size_t worker);
  std::shared_ptr<const Generation> shared;
  std::unique_ptr<bool[]> toggles;  // as Policy::toggles()
  std::vector<LimitTable*> limits, shadow_limits;
  std::vector<PoolLocal> pools;
  std::vector<HashKey> hash_keys;  // as pools
  PreparedAnswers answers;
  std::vector<PoolCounters*> pool_counters;
  std::vector<RuleCounters*> rule_counters;
  Forecast* forecast = nullptr;  // of the shared one; null: there are no toggles
  MatchMemo memo;
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

// Client connections in the order in which they were added; owns none.
class ConnectionList {
 public:
  void Add(ClientConnection* connection);  // as the last
  void Remove(ClientConnection* connection);
  ClientConnection* first() const { return first_; }
  static ClientConnection* Next(const ClientConnection* connection);

 private:
  ClientConnection* first_ = nullptr;
  ClientConnection* last_ = nullptr;
};

struct WorkerContext {
  WorkerContext(std::size_t worker, AccessLog& log, ConnectionPlaces& places, std::uint64_t seed,
                std::uint64_t id_seed);
  ~WorkerContext();

  const std::size_t index;
  AccessLog& access_log;
  ConnectionPlaces& places;  // of all workers
  Loop loop;
  BlockPool blocks;
  UpstreamCache upstreams;
  Http2Upstreams http2_upstreams;
  AdmissionDesk desk;
  HoldDesk hold_desk;
  Silence silence;
  Orphans orphans;
  Http2Spares http2_spares;
  WorkerCounters counters;
  Receipts receipts;
  Chance chance;
  // Of requests, and the salt of challenges: strangers see them, and nothing else may be drawn from it.
  Chance ids;
  LocalRef<LocalGeneration> generation;  // never null once adopted
  bool draining = false;

  // The wall clock at the loop's now(); up to a second late to notice that somebody has set it.
  WallTime wall_now();
  // The text of the Date field, made once a second.
  std::string_view date();

  // Connections are destroyed at the turn's end, never under a callback of their own.
  void Add(std::unique_ptr<ClientConnection> connection);
  void Bury(ClientConnection* connection);
  // Among those that wait for the client, of which the first waits longest, or the others.
  void Move(ClientConnection* connection, bool waiting);
  // Ends the connection that has waited longest, if that is so long at least: its place is wanted.
  bool GiveUpOne(Duration at_least);

  // Idle connections to servers make room for one that is needed; whether there were any.
  bool EndIdleUpstreams();

  // HTTP/1 for a connection that has something to read; put aside when nothing is under way.
  std::unique_ptr<ClientProtocol> TakeHttp1(ClientConnection& connection);
  void PutAside(std::unique_ptr<ClientProtocol> protocol);
  std::size_t connection_count() const { return connections_; }
  // Calls `visit` for each open connection; it may bury the one it is given.
  void ForEach(const std::function<void(ClientConnection&)>& visit);
  std::function<void()> on_connection_gone;  // set by the worker

 private:
  static void OnPurge(void* self);
  static constexpr std::size_t kKeepSpare = 64;
  std::vector<std::unique_ptr<Http1Connection>> spare_;
  std::vector<std::unique_ptr<ClientProtocol>> spent_;  // not freed under their own feet
  ConnectionList waiting_, busy_;
  std::size_t connections_ = 0;
  std::vector<std::unique_ptr<ClientConnection>> graveyard_;
  TurnEnd purge_;
  HttpDate date_;
  Duration wall_ahead_{0};             // of the loop's clock, as both were
  std::optional<TimePoint> compared_;  // at this time
};

}  // namespace spillway
