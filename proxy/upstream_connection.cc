// SPDX-License-Identifier: MIT
#include "proxy/upstream_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace spillway {

UpstreamConnection::UpstreamConnection(Loop& loop, BlockPool& blocks, UpstreamCache& cache,
                                       std::shared_ptr<Endpoint> to, Fd fd,
                                       std::size_t response_head, const TlsClientContext* tls)
    : endpoint(std::move(to)),
      stream(tls == nullptr
                 ? Stream(std::move(fd))
                 : Stream(std::move(fd), *tls, {endpoint->tls_name, &endpoint->session})),
      watch(loop, stream.fd(), this, &OnReadable, &OnWritable),
      deadline(loop, this, &OnExpired),
      in(blocks),
      parser(MessageLimits{.head = response_head, .headers = 1000, .target = 0}),
      cache_(cache) {}

bool UpstreamConnection::StillQuiet() {
  char byte;
  const ssize_t got = ::recv(stream.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

// The connect and the TLS handshake behind it. The user hears of it once: it is done, or it failed.
void UpstreamConnection::Establish() {
  if (const int error = reached_ ? 0 : ConnectError(stream.fd()); error != 0) {
    connect_fault_ = std::strerror(error);
    return user->OnUpstreamWritable();
  }
  reached_ = true;
  if (const IoStatus status = stream.Handshake(); status == IoStatus::kWouldBlock) {
    watch.WantWrite(stream.read_wants_write());
    watch.WantRead(!stream.read_wants_write());
    return;
  } else if (status != IoStatus::kOk) {
    connect_fault_ = stream.tls_fault().data();
  }
  user->OnUpstreamWritable();
}

void UpstreamConnection::OnReadable(void* self) {
  auto* connection = static_cast<UpstreamConnection*>(self);
  if (connection->user != nullptr) {
    if (!connection->connected) return connection->Establish();
    // TLS could not write until now, as it had to read first.
    if (connection->stream.write_wants_read()) return connection->user->OnUpstreamWritable();
    return connection->user->OnUpstreamReadable();
  }
  // TLS has messages of its own: a new ticket is no answer.
  char byte;
  const bool quiet = connection->stream.encrypted() &&
                     connection->stream.Read({&byte, 1}).status == IoStatus::kWouldBlock;
  // Closed, or bytes that no request asked for: either way never to be used again.
  if (!quiet) connection->cache_.Drop(connection);
}

void UpstreamConnection::OnWritable(void* self) {
  auto* connection = static_cast<UpstreamConnection*>(self);
  if (connection->user == nullptr) return;
  if (!connection->connected) return connection->Establish();
  // TLS could not read until now, as it had to write first.
  if (connection->stream.read_wants_write()) {
    connection->watch.WantWrite(!connection->out.empty());
    return connection->user->OnUpstreamReadable();
  }
  connection->user->OnUpstreamWritable();
}

void UpstreamConnection::OnExpired(void* self) {
  auto* connection = static_cast<UpstreamConnection*>(self);
  if (connection->user != nullptr) {
    connection->user->OnUpstreamDeadline();
  } else {
    connection->cache_.Drop(connection);
  }
}

std::unique_ptr<UpstreamConnection> UpstreamCache::Take(const Endpoint& endpoint) {
  const auto found = idle_.find(&endpoint);
  if (found == idle_.end()) return nullptr;
  while (!found->second.empty()) {
    std::unique_ptr<UpstreamConnection> connection = std::move(found->second.back());
    found->second.pop_back();
    size_.store(size() - 1, std::memory_order_relaxed);
    // Closed, or bytes that no request asked for: taken now, they would be this request's answer.
    if (connection->watch.read_is_due()) continue;
    connection->deadline.Clear();
    connection->reused = true;
    return connection;
  }
  return nullptr;
}

tl::expected<std::unique_ptr<UpstreamConnection>, int> UpstreamCache::Connect(
    std::shared_ptr<Endpoint> endpoint, std::size_t response_head, const TlsClientContext* tls) {
  auto fd = StartConnect(endpoint->address);
  if (!fd) return tl::unexpected(fd.error());
  return std::make_unique<UpstreamConnection>(loop_, blocks_, *this, std::move(endpoint),
                                              std::move(*fd), response_head, tls);
}

void UpstreamCache::Put(std::unique_ptr<UpstreamConnection> connection, std::size_t most,
                        Duration idle) {
  connection->user = nullptr;
  // Take leaves empty lists behind, so that taking and putting back allocate nothing; when servers
  // come and go by name, those of servers that are gone must not pile up.
  if (idle_.size() > kManyEndpoints) {
    std::erase_if(idle_, [](const auto& each) { return each.second.empty(); });
  }
  std::vector<std::unique_ptr<UpstreamConnection>>& kept = idle_[connection->endpoint.get()];
  if (kept.size() >= most) return;
  connection->in.Release();
  connection->parsed = 0;
  connection->parser.Reset({});  // lets go of what a large head took
  connection->watch.WantWrite(false);
  connection->watch.WantRead(true);  // to hear of its closing
  connection->deadline.SetAfter(idle);
  kept.push_back(std::move(connection));
  size_.store(size() + 1, std::memory_order_relaxed);
}

void UpstreamCache::Drop(UpstreamConnection* connection) {
  const auto found = idle_.find(connection->endpoint.get());
  if (found == idle_.end()) return;
  auto& kept = found->second;
  const auto place = std::find_if(kept.begin(), kept.end(),
                                  [&](const auto& each) { return each.get() == connection; });
  if (place == kept.end()) return;
  const std::unique_ptr<UpstreamConnection> dropped =
      std::move(*place);  // outlives the map's entry
  kept.erase(place);
  size_.store(size() - 1, std::memory_order_relaxed);
  if (kept.empty()) idle_.erase(found);
}

void UpstreamCache::CloseAll() {
  idle_.clear();
  size_.store(0, std::memory_order_relaxed);
}

}  // namespace spillway
