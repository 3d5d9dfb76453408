// SPDX-License-Identifier: MIT
// A worker's connections of HTTP/2 to upstream servers: which there are at an endpoint, and which of
// them has room for one more request.
//
// Thread rule: one worker's loop thread. Memory: for each endpoint at most kMostConnections, each
// with at most kMostStreams streams; and one read and one batch of frames for all of them.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "proxy/loop.h"
#include "proxy/upstream.h"
#include "proxy/upstream_places.h"
#include "proxy/upstream_side.h"

namespace spillway {

class Http2UpstreamConnection;

class Http2Upstreams {
 public:
  static constexpr std::size_t kMostStreams = 100, kMostConnections = 64;
  static constexpr int kFull = -1;  // in the place of an errno: there is no room at the endpoint

  Http2Upstreams(Loop& loop, UpstreamPlaces& places);
  ~Http2Upstreams();

  struct Opened {
    std::unique_ptr<UpstreamSide> side;
    bool connects = false;  // over a new connection
  };
  // A stream of a connection that is there and has room, or else of a new one. `fresh`: of a new
  // one in any case. `look`: an idle connection is worth a look before it is trusted (a system
  // call). Fails when it cannot even begin to connect, with the errno of that; EMFILE when all
  // places are taken.
  tl::expected<Opened, int> Open(const std::shared_ptr<Endpoint>& endpoint,
                                 const PoolConfig& config, const TlsClientContext* tls,
                                 UpstreamUser& user, bool fresh, bool look);
  void CloseIdle();
  std::size_t idle() const { return idle_.load(std::memory_order_relaxed); }  // from any thread

 private:
  friend class Http2UpstreamConnection;
  using Connections = std::vector<std::shared_ptr<Http2UpstreamConnection>>;
  std::shared_ptr<Http2UpstreamConnection> FindRoom(const Endpoint& endpoint, bool look);
  // Whether one more idle connection may be kept there.
  bool MayIdle(const Endpoint& endpoint, std::size_t most) const;
  void CountIdle(bool idle);
  void Remove(Http2UpstreamConnection& connection);

  Loop& loop_;
  UpstreamPlaces& places_;
  std::unique_ptr<char[]> input_;     // one read of any connection, used up at once
  std::string frames_;                // one batch of any connection's frames, while it is sent
  std::atomic<std::size_t> idle_{0};  // written by the worker alone
  // Keyed by address: an Endpoint lives as long as a connection to it.
  std::unordered_map<const Endpoint*, Connections> connections_;
};

}  // namespace spillway
