// SPDX-License-Identifier: MIT
#include "proxy/upstream_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace spillway {

UpstreamConnection::UpstreamConnection(Loop& loop, BlockPool& blocks, UpstreamCache& cache,
                                       std::shared_ptr<Endpoint> endpoint,
                                       UpstreamPlaces::Socket socket, std::size_t response_head,
                                       const TlsClientContext* tls)
    : endpoint_(std::move(endpoint)),
      place_(std::move(socket.place)),
      stream_(tls == nullptr
                  ? Stream(std::move(socket.fd))
                  : Stream(std::move(socket.fd), *tls, {endpoint_->tls_name, &endpoint_->session})),
      watch_(loop, stream_.fd(), this, &OnReadable, &OnWritable),
      deadline_(loop, this, &OnExpired),
      in_(blocks),
      parser_(MessageLimits{.head = response_head, .headers = 1000, .target = 0}),
      cache_(cache) {}

bool UpstreamConnection::StillQuiet() {
  char byte;
  const ssize_t got = ::recv(stream_.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

// ---- events

// The connect and the TLS handshake behind it. The user hears of it once: it is done, or it failed.
void UpstreamConnection::Establish() {
  if (connecting_.GoOn(stream_, watch_) == Connecting::Step::kWaits) return;
  user_->OnUpstreamWritable();
}

void UpstreamConnection::OnReadable(void* self) {
  auto* connection = static_cast<UpstreamConnection*>(self);
  if (connection->user_ != nullptr) {
    if (!connection->connected_) return connection->Establish();
    // TLS could not write until now, as it had to read first.
    if (connection->stream_.write_wants_read()) return connection->user_->OnUpstreamWritable();
    return connection->user_->OnUpstreamReadable();
  }
  // TLS has messages of its own: a new ticket is no answer.
  char byte;
  const bool quiet = connection->stream_.encrypted() &&
                     connection->stream_.Read({&byte, 1}).status == IoStatus::kWouldBlock;
  // Closed, or bytes that no request asked for: either way never to be used again.
  if (!quiet) connection->cache_.Drop(connection);
}

void UpstreamConnection::OnWritable(void* self) {
  auto* connection = static_cast<UpstreamConnection*>(self);
  if (connection->user_ == nullptr) return;
  if (!connection->connected_) return connection->Establish();
  // TLS could not read until now, as it had to write first.
  if (connection->stream_.read_wants_write()) {
    connection->watch_.WantWrite(!connection->out_.empty());
    return connection->user_->OnUpstreamReadable();
  }
  connection->user_->OnUpstreamWritable();
}

void UpstreamConnection::OnExpired(void* self) {
  auto* connection = static_cast<UpstreamConnection*>(self);
  if (connection->user_ != nullptr) {
    connection->user_->OnUpstreamDeadline();
  } else {
    connection->cache_.Drop(connection);
  }
}

std::string_view UpstreamConnection::FinishConnect() {
  const std::string_view fault = connecting_.fault();
  if (!fault.empty()) return fault;
  connected_ = true;
  watch_.WantWrite(false);
  if (!stream_.encrypted()) watch_.UseEdges();
  return fault;
}

// ---- the request

void UpstreamConnection::BeginRequest(const RequestHead& head, const ForwardRequest& forward,
                                      std::string* room, std::vector<iovec>* pieces) {
  parser_.Reset(head.method);
  watch_.WantRead(true);
  chunked_ = head.body == BodyKind::kChunked;
  relied_on_ = forward.relied_on;
  WriteRequestHead(head, forward, room);
  pieces->push_back(ToVector(*room));
  head_pieces_ = pieces->size();
}

IoStatus UpstreamConnection::SendBody(std::vector<iovec>* pieces, bool last,
                                      std::span<const HeaderField> trailers) {
  char chunk_head[kMaxChunkHead];
  std::string last_chunk;
  const std::size_t first = std::exchange(head_pieces_, 0);
  if (chunked_) {
    FrameChunk(first, pieces, chunk_head);
    if (last) {
      WriteLastChunkOfRequest(trailers, relied_on_, &last_chunk);
      pieces->push_back(ToVector(last_chunk));
    }
  }
  return pieces->empty() ? IoStatus::kOk : out_.Write(stream_, *pieces);
}

IoStatus UpstreamConnection::Flush(bool* moved) {
  const std::size_t before = out_.size();
  const IoStatus status = out_.Flush(stream_);
  if (status == IoStatus::kBroken) {
    out_.Clear();
    watch_.WantWrite(false);
    return status;
  }
  *moved = *moved || out_.size() < before;
  if (out_.empty()) watch_.WantWrite(false);
  return status;
}

// ---- the response

UpstreamSide::ReadResult UpstreamConnection::Read() {
  in_.Reserve(kLargeBlock);
  if (in_.room().empty()) {
    in_.Reserve(in_.capacity() * 2);  // a large head; the parser sets the limit
  }
  const std::size_t room = in_.room().size();
  const IoResult read = stream_.Read(in_.room());
  in_.Added(read.bytes);
  drained_ = read.bytes < room;
  if (read.status == IoStatus::kWouldBlock && stream_.read_wants_write()) watch_.WantWrite(true);
  // TLS gives at most a record at a time: only a plain socket is known to be empty now.
  return {read.status, read.bytes == room || stream_.encrypted()};
}

ParseStep UpstreamConnection::Next(bool ended) {
  const ParseStep step = parser_.Feed(in_.data(), parsed_, in_.end());
  parsed_ = parser_.taken();
  // Not for less than a whole answer: a reset behind it is not told of twice.
  if (step == ParseStep::kEnd && drained_) watch_.NoteEmpty();
  // One that may not end so has been cut short, which is told by its having nothing more.
  if (step == ParseStep::kNeedMore && ended && parser_.FeedEnd() == ParseStep::kEnd) {
    return ParseStep::kEnd;
  }
  return step;
}

void UpstreamConnection::NextHead() {
  in_.DropFront(parsed_);
  parsed_ = 0;
  parser_.NextHead();
}

void UpstreamConnection::ReleasePieces() {
  if (parsed_ != in_.end()) return;
  in_.Release();  // a client that is slow to take what came would keep it
  parsed_ = 0;
}

void UpstreamConnection::Finish(const UpstreamFinish& how) {
  std::unique_ptr<UpstreamConnection> self(this);
  // After HEAD, a server that wrongly sends the body too would have it taken for the next answer.
  const bool reusable = head().keep_alive && head().body != BodyKind::kUntilClose && !how.to_head &&
                        how.request_sent && out_.empty() && in_.end() == 0;
  doubtful_ = head().body == BodyKind::kNone;
  if (reusable) cache_.Put(std::move(self), how.keep, how.idle);
}

// ---- a tunnel

std::string_view UpstreamConnection::EnterTunnel() {
  return {in_.data() + parsed_, in_.end() - parsed_};
}

IoResult UpstreamConnection::ReadTunnel(std::span<char> into) {
  in_.Release();  // what EnterTunnel gave has been used
  return stream_.Read(into);
}

IoStatus UpstreamConnection::WriteTunnel(iovec bytes) {
  return out_.Write(stream_, {&bytes, 1});
}

// ---- those that are kept

std::unique_ptr<UpstreamConnection> UpstreamCache::Take(const Endpoint& endpoint) {
  const auto found = idle_.find(&endpoint);
  if (found == idle_.end()) return nullptr;
  while (!found->second.empty()) {
    std::unique_ptr<UpstreamConnection> connection = std::move(found->second.back());
    found->second.pop_back();
    size_.store(size() - 1, std::memory_order_relaxed);
    // Closed, or bytes that no request asked for: taken now, they would be this request's answer.
    if (connection->watch_.read_is_due()) continue;
    connection->deadline_.Clear();
    connection->reused_ = true;
    return connection;
  }
  return nullptr;
}

tl::expected<std::unique_ptr<UpstreamConnection>, int> UpstreamCache::Connect(
    std::shared_ptr<Endpoint> endpoint, std::size_t response_head, const TlsClientContext* tls) {
  auto socket = places_.Connect(endpoint->address);
  if (!socket) return tl::unexpected(socket.error());
  return std::make_unique<UpstreamConnection>(loop_, blocks_, *this, std::move(endpoint),
                                              std::move(*socket), response_head, tls);
}

void UpstreamCache::Put(std::unique_ptr<UpstreamConnection> connection, std::size_t most,
                        Duration idle) {
  connection->user_ = nullptr;
  // Take leaves empty lists behind, so that taking and putting back allocate nothing; when servers
  // come and go by name, those of servers that are gone must not pile up.
  if (idle_.size() > kManyEndpoints) {
    std::erase_if(idle_, [](const auto& each) { return each.second.empty(); });
  }
  std::vector<std::unique_ptr<UpstreamConnection>>& kept = idle_[connection->endpoint_.get()];
  if (kept.size() >= most) return;
  connection->in_.Release();
  connection->parsed_ = 0;
  connection->parser_.Reset({});  // lets go of what a large head took
  connection->watch_.WantWrite(false);
  connection->watch_.WantRead(true);  // to hear of its closing
  connection->deadline_.SetAfter(idle);
  kept.push_back(std::move(connection));
  size_.store(size() + 1, std::memory_order_relaxed);
}

void UpstreamCache::Drop(UpstreamConnection* connection) {
  const auto found = idle_.find(connection->endpoint_.get());
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
