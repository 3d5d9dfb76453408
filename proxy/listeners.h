// SPDX-License-Identifier: MIT
// The listening sockets of all workers, seen from the control thread: opens what a configuration
// adds before anything is changed, and knows the real addresses of what is open. The workers own
// and close them.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "proxy/listener_id.h"
#include "proxy/takeover.h"
#include "proxy/worker.h"
#include "spillway/config.h"
#include "spillway/result.h"

namespace spillway {

// Removes the path of a unix socket at the end of its life, unless another process has it then.
class SocketPath {
 public:
  SocketPath() = default;
  void LetGo() { path_.clear(); }
  explicit SocketPath(std::string path) : path_(std::move(path)) {}
  ~SocketPath();
  SocketPath(SocketPath&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  SocketPath& operator=(SocketPath&& other) noexcept;

 private:
  std::string path_;  // empty: none
};

// One listener of the configuration, opened for every worker.
struct OpenedListener {
  ListenerId id;
  std::string address;         // the real one: "127.0.0.1:8080"
  SocketPath unix_path;        // empty for TCP
  std::string inherited_path;  // of a unix socket, ours to remove once this process serves
  // TCP: one for each worker (SO_REUSEPORT); unix, or from systemd: one. From another process: as
  // many as that had workers.
  std::vector<Fd> sockets;
  std::vector<WorkerListener> for_workers;  // duplicates, at least one for each worker
};

// Sockets that listen already, for OpenNew to take what the configuration names.
struct OfferedSockets {
  std::map<ListenerId, std::vector<Fd>> by_id;  // from the process before this one
  std::map<std::string, Fd> by_address;         // real addresses: from systemd
};

class Listeners {
 public:
  // Opens those of `configs` that are not open yet, or takes them from what is offered. On error
  // nothing stays open of what it opened.
  Result<std::vector<OpenedListener>> OpenNew(std::span<const ListenerConfig> configs,
                                              std::size_t workers, OfferedSockets* offered) const;
  // Takes note of what OpenNew opened, and that only `configs` are listened on from now on. Returns
  // the new sockets, [worker].
  std::vector<std::vector<WorkerListener>> Adopt(std::vector<OpenedListener> opened,
                                                 std::span<const ListenerConfig> configs,
                                                 std::size_t workers);
  // Duplicates of all that is open, for the next process.
  Result<std::vector<HandedListener>> Duplicate() const;
  // The workers' sockets are to be the last of this process: it is about to drain. `inherited`:
  // another process has them, and the paths of unix sockets with them.
  void LetGo(bool inherited);
  std::vector<std::string> addresses() const;  // real ones, in order of the configuration

 private:
  struct Known {
    std::string address;
    SocketPath unix_path;
    std::vector<Fd> sockets;
  };
  bool ListensAt(std::uint16_t port) const;
  std::map<ListenerId, Known> known_;
  std::vector<ListenerId> order_;  // of the configuration
};

}  // namespace spillway
