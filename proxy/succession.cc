// SPDX-License-Identifier: MIT
#include "proxy/succession.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "proxy/log.h"

namespace spillway {

Succession::Succession(Loop& loop, ServiceManager manager, TakeoverServer::Offer offer,
                       TakeoverServer::Taken taken)
    : loop_(loop),
      manager_(std::move(manager)),
      offer_(std::move(offer)),
      taken_(std::move(taken)) {}

Result<void> Succession::Begin(const Config& config) {
  for (Fd& socket : manager_.TakeSockets()) {
    std::string address = LocalAddress(socket.get()).ToString();
    sockets_.by_address.emplace(std::move(address), std::move(socket));
  }
  if (config.takeover_socket.empty()) return {};
  auto before = AskForInheritance(config.takeover_socket);
  if (!before) return Fail("takeover_socket: " + before.error().message);
  before_ = std::move(*before);
  if (!before_) return {};
  for (HandedListener& listener : before_->estate.listeners) {
    sockets_.by_id.emplace(std::move(listener.id), std::move(listener.sockets));
  }
  return {};
}

Fd Succession::TakeAdminSocket(const SocketAddress& address) {
  if (!before_ || before_->estate.admin != address.text) return {};
  return std::move(before_->estate.admin_socket);
}

std::optional<State> Succession::TakeState() {
  if (!before_) return std::nullopt;
  return std::move(before_->estate.state);
}

Result<void> Succession::Serve(const std::string& path, bool* took_over) {
  for (const auto& [address, socket] : sockets_.by_address) {
    log::Warning("{} was passed to this process, but no listener has this address", address);
  }
  // First, so that whoever comes next finds somebody to ask.
  if (Result<void> allowed = Allow(path); !allowed) return allowed;
  *took_over = before_.has_value();
  if (before_) {
    log::Info("taking over from process {}", before_->from);
    if (Result<void> told = before_->Serving(); !told) {
      log::Warning("takeover: {}", told.error().message);  // it is ending: so much the better
    }
  }
  before_.reset();
  sockets_ = {};
  manager_.Tell(fmt::format("READY=1\nMAINPID={}", ::getpid()));
  return {};
}

Result<void> Succession::Allow(const std::string& path) {
  path_ = path;
  if (path.empty()) return {};
  auto opened = TakeoverServer::Open(loop_, path, offer_, taken_);
  if (!opened) return Fail("takeover_socket: " + opened.error().message);
  after_ = std::move(*opened);
  return {};
}

Result<void> Succession::MoveTo(const std::string& path) {
  if (path == path_) return {};
  after_.reset();
  return Allow(path);
}

void Succession::End() {
  after_.reset();
  manager_.Tell("STOPPING=1");
}

}  // namespace spillway
