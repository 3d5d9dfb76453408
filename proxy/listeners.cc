// SPDX-License-Identifier: MIT
#include "proxy/listeners.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

namespace spillway {
namespace {

// Real ones may be more than the configuration can say: ":8080" is "[::]:8080".
std::string RealAddress(const SocketAddress& address) {
  if (address.form == SocketAddress::Form::kUnix) return "unix:" + address.name;
  return KernelAddress::FromIp(address.ip, address.port).ToString();
}

// A worker may have several of them, and several workers the same one.
Result<void> Spread(OpenedListener* opened, std::size_t workers) {
  const std::size_t count = std::max(workers, opened->sockets.size());
  for (std::size_t i = 0; i < count; ++i) {
    Result<Fd> copy = Duplicate(opened->sockets[i % opened->sockets.size()].get());
    if (!copy) return Fail(opened->address + ": " + copy.error().message);
    opened->for_workers.push_back({std::move(*copy), opened->id});
  }
  return {};
}

Result<OpenedListener> OpenUnix(const ListenerId& id, const SocketAddress& address) {
  const Result<KernelAddress> path = KernelAddress::FromUnixPath(address.name);
  if (!path) return Fail(address.text + ": " + path.error().message);
  Result<Fd> socket = Listen(*path, false);
  if (!socket) return Fail(socket.error().message);
  OpenedListener opened{id, path->ToString(), SocketPath(address.name), {}, {}, {}};
  opened.sockets.push_back(std::move(*socket));
  return opened;
}

// With port 0 the first worker's socket picks one, and the others bind the same.
Result<OpenedListener> OpenTcp(const ListenerId& id, const SocketAddress& address,
                               std::size_t workers) {
  KernelAddress kernel = KernelAddress::FromIp(address.ip, address.port);
  OpenedListener opened{id, "", {}, {}, {}, {}};
  for (std::size_t i = 0; i < workers; ++i) {
    Result<Fd> fd = Listen(kernel, true);
    if (!fd) return Fail(fd.error().message);
    if (i == 0) {
      kernel = LocalAddress(fd->get());
      opened.address = kernel.ToString();
    }
    opened.sockets.push_back(std::move(*fd));
  }
  return opened;
}

// What is offered for this listener, if anything is.
std::optional<OpenedListener> FromOffer(const ListenerId& id, const SocketAddress& address,
                                        OfferedSockets* offered) {
  if (offered == nullptr) return std::nullopt;
  OpenedListener opened{id, "", {}, {}, {}, {}};
  if (const auto found = offered->by_id.find(id); found != offered->by_id.end()) {
    opened.sockets = std::move(found->second);
    offered->by_id.erase(found);
    // Ours to remove now. What systemd listens on stays systemd's.
    if (address.form == SocketAddress::Form::kUnix) opened.inherited_path = address.name;
  } else if (const auto given = offered->by_address.find(RealAddress(address));
             given != offered->by_address.end()) {
    opened.sockets.push_back(std::move(given->second));
    offered->by_address.erase(given);
  }
  if (opened.sockets.empty()) return std::nullopt;
  opened.address = LocalAddress(opened.sockets.front().get()).ToString();
  return opened;
}

// Another spillway that serves there would get every other connection.
Result<void> ExpectFree(const SocketAddress& address, const OfferedSockets& offered) {
  if (address.form != SocketAddress::Form::kIp || address.port == 0 ||
      offered.by_address.contains(RealAddress(address))) {
    return {};
  }
  const Result<void> free = ExpectFree(KernelAddress::FromIp(address.ip, address.port));
  if (free) return {};
  return Fail(
      free.error().message +
      " (another spillway may be running; to put this one in its place, see `takeover_socket`)");
}

Result<OpenedListener> Open(const ListenerId& id, const SocketAddress& address,
                            std::size_t workers) {
  switch (address.form) {
    case SocketAddress::Form::kIp:
      return OpenTcp(id, address, workers);
    case SocketAddress::Form::kUnix:
      return OpenUnix(id, address);
    case SocketAddress::Form::kName:
      break;
  }
  return Fail(address.text + ": a listener needs an IP address or a unix socket, not a name");
}

}  // namespace

SocketPath::~SocketPath() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

SocketPath& SocketPath::operator=(SocketPath&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

Result<std::vector<OpenedListener>> Listeners::OpenNew(std::span<const ListenerConfig> configs,
                                                       std::size_t workers,
                                                       OfferedSockets* offered) const {
  std::vector<OpenedListener> all;
  const std::vector<ListenerId> ids = ListenerIds(configs);
  // Before the first is opened, as they may share a port among themselves. In a takeover the process before this one
  // listens there.
  if (offered != nullptr && offered->by_id.empty()) {
    for (const ListenerConfig& config : configs) {
      if (ListensAt(config.address.port)) continue;
      if (Result<void> free = ExpectFree(config.address, *offered); !free)
        return Fail(free.error().message);
    }
  }
  for (std::size_t i = 0; i < configs.size(); ++i) {
    if (known_.count(ids[i]) != 0) continue;
    std::optional<OpenedListener> listener = FromOffer(ids[i], configs[i].address, offered);
    if (!listener) {
      Result<OpenedListener> opened = Open(ids[i], configs[i].address, workers);
      if (!opened) return Fail(opened.error().message);
      listener = std::move(*opened);
    }
    if (Result<void> spread = Spread(&*listener, workers); !spread) {
      return Fail(spread.error().message);
    }
    all.push_back(std::move(*listener));
  }
  return all;
}

bool Listeners::ListensAt(std::uint16_t port) const {
  const std::string end = ":" + std::to_string(port);
  return std::any_of(known_.begin(), known_.end(),
                     [&](const auto& entry) { return entry.second.address.ends_with(end); });
}

std::vector<std::vector<WorkerListener>> Listeners::Adopt(std::vector<OpenedListener> opened,
                                                          std::span<const ListenerConfig> configs,
                                                          std::size_t workers) {
  std::vector<std::vector<WorkerListener>> added(workers);
  for (OpenedListener& listener : opened) {
    if (!listener.inherited_path.empty()) listener.unix_path = SocketPath(listener.inherited_path);
    known_[listener.id] = {listener.address, std::move(listener.unix_path),
                           std::move(listener.sockets)};
    for (std::size_t i = 0; i < listener.for_workers.size(); ++i) {
      added[i % workers].push_back(std::move(listener.for_workers[i]));
    }
  }
  order_ = ListenerIds(configs);
  std::erase_if(known_, [&](const auto& entry) {
    return std::find(order_.begin(), order_.end(), entry.first) == order_.end();
  });
  return added;
}

Result<std::vector<HandedListener>> Listeners::Duplicate() const {
  std::vector<HandedListener> all;
  for (const auto& [id, known] : known_) {
    HandedListener listener{id, {}};
    for (const Fd& socket : known.sockets) {
      Result<Fd> copy = spillway::Duplicate(socket.get());
      if (!copy) return Fail(known.address + ": " + copy.error().message);
      listener.sockets.push_back(std::move(*copy));
    }
    all.push_back(std::move(listener));
  }
  return all;
}

void Listeners::LetGo(bool inherited) {
  for (auto& [id, known] : known_) {
    known.sockets.clear();
    if (inherited) known.unix_path.LetGo();
  }
}

std::vector<std::string> Listeners::addresses() const {
  std::vector<std::string> all;
  for (const ListenerId& id : order_) all.push_back(known_.at(id).address);
  return all;
}

}  // namespace spillway
