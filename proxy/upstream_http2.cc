// SPDX-License-Identifier: MIT
#include "proxy/upstream_http2.h"

#include <algorithm>
#include <utility>

#include "proxy/upstream_http2_connection.h"
#include "proxy/upstream_http2_stream.h"

namespace spillway {

Http2Upstreams::Http2Upstreams(Loop& loop, UpstreamPlaces& places)
    : loop_(loop), places_(places), input_(std::make_unique_for_overwrite<char[]>(kLargeBlock)) {}

Http2Upstreams::~Http2Upstreams() = default;

// The oldest one that has room: those beyond it can become idle and end.
std::shared_ptr<Http2UpstreamConnection> Http2Upstreams::FindRoom(const Endpoint& endpoint,
                                                                  bool look) {
  const auto found = connections_.find(&endpoint);
  if (found == connections_.end()) return nullptr;
  for (const auto& connection : found->second) {
    if (!connection->has_room()) continue;
    if (!look || !connection->idle()) return connection;
    // A look may find it dead and remove it, and the list with it.
    const std::shared_ptr<Http2UpstreamConnection> looked_at = connection;
    return looked_at->StillGood() ? looked_at : FindRoom(endpoint, look);
  }
  return nullptr;
}

tl::expected<Http2Upstreams::Opened, int> Http2Upstreams::Open(
    const std::shared_ptr<Endpoint>& endpoint, const PoolConfig& config,
    const TlsClientContext* tls, UpstreamUser& user, bool fresh, bool look) {
  if (!fresh) {
    if (const auto connection = FindRoom(*endpoint, look)) {
      return Opened{connection->Attach(user), false};
    }
  }
  if (const auto found = connections_.find(endpoint.get());
      found != connections_.end() && found->second.size() >= kMostConnections) {
    return tl::unexpected(kFull);
  }
  // Plain by prior knowledge (RFC 9113 3.3), with TLS by ALPN.
  auto socket = places_.Connect(endpoint->address);
  if (!socket) return tl::unexpected(socket.error());
  auto connection = std::make_shared<Http2UpstreamConnection>(loop_, *this, endpoint,
                                                              std::move(*socket), tls, config);
  connections_[endpoint.get()].push_back(connection);
  return Opened{connection->Attach(user), true};
}

bool Http2Upstreams::MayIdle(const Endpoint& endpoint, std::size_t most) const {
  const auto found = connections_.find(&endpoint);
  if (found == connections_.end()) return most > 0;
  const auto idle = std::count_if(found->second.begin(), found->second.end(),
                                  [](const auto& each) { return each->idle(); });
  return static_cast<std::size_t>(idle) <= most;  // it is one of them
}

void Http2Upstreams::CountIdle(bool idle) {
  idle_.store(idle ? idle_ + 1 : idle_ - 1, std::memory_order_relaxed);
}

void Http2Upstreams::Remove(Http2UpstreamConnection& connection) {
  const auto found = connections_.find(connection.endpoint().get());
  if (found == connections_.end()) return;
  std::erase_if(found->second, [&](const auto& each) { return each.get() == &connection; });
  if (found->second.empty()) connections_.erase(found);
}

void Http2Upstreams::CloseIdle() {
  Connections idle;
  for (const auto& [endpoint, connections] : connections_) {
    std::copy_if(connections.begin(), connections.end(), std::back_inserter(idle),
                 [](const auto& each) { return each->idle(); });
  }
  for (const auto& connection : idle) connection->Close();
}

}  // namespace spillway
