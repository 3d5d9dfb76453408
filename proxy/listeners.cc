// SPDX-License-Identifier: MIT
#include "proxy/listeners.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace spillway {
namespace {

Result<OpenedListener> OpenUnix(const ListenerId& id, const SocketAddress& address,
                                std::size_t workers) {
  const Result<KernelAddress> path = KernelAddress::FromUnixPath(address.name);
  if (!path) return Fail(address.text + ": " + path.error().message);
  Result<Fd> first = Listen(*path, false);
  if (!first) return Fail(first.error().message);
  OpenedListener opened{id, path->ToString(), SocketPath(address.name), {}};
  for (std::size_t i = 1; i < workers; ++i) {
    Fd copy(::fcntl(first->get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return Fail(address.text + ": " + std::strerror(errno));
    opened.for_workers.push_back({std::move(copy), id});
  }
  opened.for_workers.push_back({std::move(*first), id});
  return opened;
}

// With port 0 the first worker's socket picks one, and the others bind the same.
Result<OpenedListener> OpenTcp(const ListenerId& id, const SocketAddress& address,
                               std::size_t workers) {
  KernelAddress kernel = KernelAddress::FromIp(address.ip, address.port);
  OpenedListener opened{id, "", {}, {}};
  for (std::size_t i = 0; i < workers; ++i) {
    Result<Fd> fd = Listen(kernel, true);
    if (!fd) return Fail(fd.error().message);
    if (i == 0) {
      kernel = LocalAddress(fd->get());
      opened.address = kernel.ToString();
    }
    opened.for_workers.push_back({std::move(*fd), id});
  }
  return opened;
}

Result<OpenedListener> Open(const ListenerId& id, const SocketAddress& address,
                            std::size_t workers) {
  switch (address.form) {
    case SocketAddress::Form::kIp:
      return OpenTcp(id, address, workers);
    case SocketAddress::Form::kUnix:
      return OpenUnix(id, address, workers);
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
                                                       std::size_t workers) const {
  std::vector<OpenedListener> all;
  const std::vector<ListenerId> ids = ListenerIds(configs);
  for (std::size_t i = 0; i < configs.size(); ++i) {
    if (known_.count(ids[i]) != 0) continue;
    Result<OpenedListener> opened = Open(ids[i], configs[i].address, workers);
    if (!opened) return Fail(opened.error().message);
    all.push_back(std::move(*opened));
  }
  return all;
}

std::vector<std::vector<WorkerListener>> Listeners::Adopt(std::vector<OpenedListener> opened,
                                                          std::span<const ListenerConfig> configs,
                                                          std::size_t workers) {
  std::vector<std::vector<WorkerListener>> added(workers);
  for (OpenedListener& listener : opened) {
    known_[listener.id] = {listener.address, std::move(listener.unix_path)};
    for (std::size_t i = 0; i < workers; ++i) {
      added[i].push_back(std::move(listener.for_workers[i]));
    }
  }
  order_ = ListenerIds(configs);
  std::erase_if(known_, [&](const auto& entry) {
    return std::find(order_.begin(), order_.end(), entry.first) == order_.end();
  });
  return added;
}

std::vector<std::string> Listeners::addresses() const {
  std::vector<std::string> all;
  for (const ListenerId& id : order_) all.push_back(known_.at(id).address);
  return all;
}

}  // namespace spillway
