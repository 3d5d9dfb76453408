// SPDX-License-Identifier: MIT
// The process between the one before it and the one after: what it takes over when it starts, from a
// running spillway or from systemd, and what it hands over when the next one asks.
//
// Thread rule: the control thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "proxy/listeners.h"
#include "proxy/loop.h"
#include "proxy/service_manager.h"
#include "proxy/takeover.h"
#include "spillway/config.h"
#include "spillway/result.h"

namespace spillway {

class Succession {
 public:
  // REQUIRES: loop outlives it. `offer` and `taken` are as in TakeoverServer.
  Succession(Loop& loop, ServiceManager manager, TakeoverServer::Offer offer,
             TakeoverServer::Taken taken);

  // Asks whoever was before. Nothing has happened to that process yet.
  Result<void> Begin(const Config& config);
  // What was handed over, to be taken from while the first configuration is put in force.
  OfferedSockets& sockets() { return sockets_; }
  Fd TakeAdminSocket(const SocketAddress& address);
  std::optional<State> TakeState();

  // This process serves: the next one may ask at `path` (empty: none may), the one before may go,
  // the manager may know. False through *took_over: there was none before.
  Result<void> Serve(const std::string& path, bool* took_over);
  // A reload put the path elsewhere. On failure nobody can ask.
  Result<void> MoveTo(const std::string& path);
  // This process is ending by itself: whoever asked now would wait for nothing.
  void End();

 private:
  Result<void> Allow(const std::string& path);

  Loop& loop_;
  const ServiceManager manager_;
  const TakeoverServer::Offer offer_;
  const TakeoverServer::Taken taken_;
  std::optional<Inheritance> before_;
  OfferedSockets sockets_;
  std::string path_;
  std::unique_ptr<TakeoverServer> after_;
};

}  // namespace spillway
