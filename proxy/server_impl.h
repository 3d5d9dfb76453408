// SPDX-License-Identifier: MIT
// What a server is made of, and its own steps. Of the files server*.cc only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/access_log.h"
#include "proxy/admin.h"
#include "proxy/bot_resolver.h"
#include "proxy/earlier_generations.h"
#include "proxy/generation_builder.h"
#include "proxy/listeners.h"
#include "proxy/pool_keeper.h"
#include "proxy/resolver.h"
#include "proxy/server.h"
#include "proxy/succession.h"
#include "proxy/tls_tickets.h"
#include "proxy/toggle_keeper.h"
#include "proxy/watched_signals.h"
#include "proxy/workers.h"

namespace spillway {

struct Server::Impl {
  Impl(Server& owner, Loop& loop_in, Options options_in);

  // Everything that can fail of putting a configuration in force, done; nothing is changed yet.
  struct Prepared {
    Blueprint blueprint;
    std::vector<OpenedListener> opened;
    std::optional<AdminGuard> guard;         // the admin side is on
    std::unique_ptr<AdminServer> new_admin;  // at another address than before
  };

  Result<Prepared> Prepare(Config config);
  Result<Estate> Offer() const;
  void HandedOver(int heir);
  std::string Hint(const SocketAddress& refused) const;
  void Commit(Prepared prepared);
  void ReplaceAdmin(std::unique_ptr<AdminServer> fresh);
  void RotateTickets();
  void OnToggle(std::size_t index, bool on);
  void WatchSignals();
  void AnnounceListeners(const std::vector<std::string>& before) const;
  std::string Describe() const;
  void BeginDraining();
  void OnDrainTimer();
  void OnWorkerDrained();
  void End();

  enum class Phase { kStarting, kServing, kDelaying, kDraining, kEnding };

  Server& server;
  Loop& loop;
  const Options options;
  ProcessConstants constants;
  Resolver resolver;
  BotResolver bot_resolver;
  PoolKeeper keeper;
  ToggleKeeper toggles;
  Deadline drain_timer, retired_timer, ticket_timer;
  Succession succession;
  std::shared_ptr<TicketKeys> ticket_keys;
  const TimePoint started;
  Phase phase = Phase::kStarting;
  ReloadStatus reload_status;
  Listeners listeners;
  std::shared_ptr<const Generation> generation;
  EarlierGenerations earlier;
  std::unique_ptr<AccessLog> access_log;
  ConnectionPlaces places;
  Workers workers;  // destroyed before the log they write to
  std::unique_ptr<AdminServer> admin;
  std::vector<std::unique_ptr<AdminServer>> retired_admin;
  WatchedSignals signals;
  std::size_t undrained = 0;
  bool told_of_key = false;
  bool settled = false;  // once ready, a new name to look up does not make us unready again
  // Tasks posted to the loop look here whether the server is still there.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

}  // namespace spillway
