// SPDX-License-Identifier: MIT
// A worker's connections to upstream servers: one that serves an exchange, and those kept idle
// between two.
//
// Thread rule: one worker's loop thread. Memory: an idle connection holds no buffer; how many are
// kept for each endpoint is the pool's keep_alive.connections.
#pragma once

#include <atomic>
#include <memory>
#include <unordered_map>
#include <vector>

#include "proxy/buffer.h"
#include "proxy/http1.h"
#include "proxy/loop.h"
#include "proxy/stream.h"
#include "proxy/upstream.h"

namespace spillway {

class UpstreamCache;

// Who hears what happens on a connection while it is in use.
class UpstreamUser {
 public:
  virtual void OnUpstreamReadable() = 0;
  virtual void OnUpstreamWritable() = 0;  // also when the connect is done, well or not
  virtual void OnUpstreamDeadline() = 0;

 protected:
  ~UpstreamUser() = default;
};

class UpstreamConnection {
 public:
  UpstreamConnection(Loop& loop, BlockPool& blocks, UpstreamCache& cache,
                     std::shared_ptr<Endpoint> endpoint, Fd fd, std::size_t response_head,
                     const TlsClientContext* tls);
  UpstreamConnection(const UpstreamConnection&) = delete;
  UpstreamConnection& operator=(const UpstreamConnection&) = delete;

  // A peek at the socket: false when the server has closed it or sent what nobody asked for. One
  // system call: for requests that could not be repeated.
  bool StillQuiet();
  // Once the user was told that the connect is done: why it failed, TLS included; empty: it did not.
  std::string_view connect_fault() const { return connect_fault_; }

  const std::shared_ptr<Endpoint> endpoint;
  Stream stream;
  IoWatch watch;
  Deadline deadline;
  InputBuffer in;
  std::size_t parsed = 0;  // how much of `in` the parser has taken
  ResponseParser parser;
  Output out;
  bool connected = false;
  bool doubtful = false;         // its last answer had no body: one may come late, by mistake
  bool reused = false;           // has served an exchange before this one
  UpstreamUser* user = nullptr;  // null: idle in the cache

 private:
  friend class UpstreamCache;
  static void OnReadable(void* self);
  static void OnWritable(void* self);
  static void OnExpired(void* self);
  void Establish();
  UpstreamCache& cache_;
  const char* connect_fault_ = "";
  bool reached_ = false;  // the server has taken the connection: what fails now is TLS
};

// Idle connections by endpoint; the last one put back is the first one taken.
class UpstreamCache {
 public:
  UpstreamCache(Loop& loop, BlockPool& blocks) : loop_(loop), blocks_(blocks) {}

  // An idle connection, or null. Takes no system call.
  std::unique_ptr<UpstreamConnection> Take(const Endpoint& endpoint);
  // Begins to connect, and to speak TLS when `tls` is not null; or the errno with which the system
  // refuses at once.
  tl::expected<std::unique_ptr<UpstreamConnection>, int> Connect(std::shared_ptr<Endpoint> endpoint,
                                                                 std::size_t response_head,
                                                                 const TlsClientContext* tls);
  // Keeps a connection whose exchange ended cleanly, or closes it when there are `most` already.
  void Put(std::unique_ptr<UpstreamConnection> connection, std::size_t most, Duration idle);
  void CloseAll();
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }  // from any thread

 private:
  friend class UpstreamConnection;
  static constexpr std::size_t kManyEndpoints = 256;
  void Drop(UpstreamConnection* connection);  // an idle one that was closed, broken or is too old
  Loop& loop_;
  BlockPool& blocks_;
  // Keyed by address: an Endpoint lives as long as a connection to it.
  std::unordered_map<const Endpoint*, std::vector<std::unique_ptr<UpstreamConnection>>> idle_;
  std::atomic<std::size_t> size_{0};  // written by the worker alone
};

}  // namespace spillway
