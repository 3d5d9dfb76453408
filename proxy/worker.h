// SPDX-License-Identifier: MIT
// A worker: one thread, one event loop, its own listening sockets, client connections and kept
// upstream connections. Workers share nothing but what a Generation points to, and the places for
// connections.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/access_log.h"
#include "proxy/connection_places.h"
#include "proxy/counters.h"
#include "proxy/generation.h"
#include "proxy/listener_id.h"
#include "proxy/loop.h"
#include "proxy/receipts.h"
#include "proxy/socket.h"

namespace spillway {

// A listening socket for one worker: its own (SO_REUSEPORT), or a duplicate of a shared one (unix).
struct WorkerListener {
  Fd fd;
  ListenerId id;  // matches it to the generation's listeners
};

class Worker {
 public:
  // REQUIRES: access_log and places, which all workers share, outlive the worker. `seed`
  // starts its random numbers, `id_seed` its request ids; the two must tell nothing of one another.
  Worker(std::size_t index, AccessLog& access_log, ConnectionPlaces& places, std::uint64_t seed,
         std::uint64_t id_seed);
  ~Worker();  // Stop first
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Start();  // the thread
  void Join();

  // From the control thread; each takes effect on the worker's next turn.
  // New requests are judged by `generation` from then on; `toggles` are its toggles' states.
  // `added` listeners begin to accept; those that are no longer configured are closed
  // (gracefully).
  void Adopt(std::shared_ptr<const Generation> generation, std::vector<bool> toggles,
             std::vector<WorkerListener> added);
  void SetToggle(std::uint64_t generation, std::uint32_t toggle, bool on);
  // Readiness has failed already: stop accepting, close idle connections, finish what is under way,
  // then call `drained` (on the worker's thread).
  void Drain(std::function<void()> drained);
  // Another worker wants a place: ends a few connections that wait for their clients.
  void GiveUpSome();
  // Few places for connections to servers are left: ends those that are idle.
  void EndIdleUpstreams(std::shared_ptr<void> heard);
  // Hands over a copy of the receipt with this id, if there is one.
  void FindReceipt(std::string id, std::function<void(const FoundReceipt&)> found);
  void OnTurn(std::function<void()> task);  // run on its thread, after all that was said before
  void Stop();                              // at once, cutting what is left

  const WorkerCounters& counters() const;
  std::uint64_t kept_upstream_connections() const;  // any thread

 private:
  friend class ClientConnection;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway
