// SPDX-License-Identifier: MIT
#include "proxy/client_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "proxy/http1_connection.h"
#include "proxy/http2_connection.h"
#include "proxy/log.h"
#include "proxy/patience.h"
#include "spillway/client_address.h"
#include "spillway/proxy_header.h"

namespace spillway {
namespace {

// After the last answer, how long and how much a client may still send that nobody reads. Closing
// earlier would reset the connection and could destroy the answer on its way (RFC 9112 9.6).
constexpr Duration kLinger = 2s;
constexpr std::uint32_t kLingerBytes = 1024 * 1024;

// While draining, an idle connection is kept so long for a request that is already on its way.
constexpr Duration kDrainGrace = 1s;

}  // namespace

ClientConnection::ClientConnection(WorkerContext& worker, Accepted accepted,
                                   std::shared_ptr<const TlsContext> tls, bool proxy_protocol,
                                   bool http2_in_clear)
    : worker_(worker),
      tls_(std::move(tls)),
      stream_(std::move(accepted.fd)),
      watch_(worker.loop, stream_.fd(), this, &OnReadable, &OnWritable),
      deadline_(worker.loop, this, &OnExpired),
      // A unix socket's peer is a process on this machine.
      peer_(accepted.peer.ip().value_or(IpAddress::FromV4(0x7f000001))),
      waiting_since_(worker.loop.now()),
      proxy_protocol_(proxy_protocol),
      http2_in_clear_(http2_in_clear) {
  worker_.counters.connections_accepted.Add();
  worker_.counters.connections_open.Add();
}

ClientConnection::~ClientConnection() {
  if (protocol_) worker_.PutAside(std::move(protocol_));
}

const ClientConfig& ClientConnection::config() const {
  return worker_.generation->shared->config.clients;
}

void ClientConnection::Start() {
  if (!proxy_protocol_ && !tls_) watch_.UseEdges();
  watch_.WantRead(true);
  if (proxy_protocol_ || tls_) SetReadDeadline(config().timeouts.handshake);  // one for both
  if (proxy_protocol_) {
    mode_ = Mode::kProxyHeader;
  } else {
    StartStream();
  }
}

// Its client is known, and may have one more. A trusted proxy's connections are many clients'.
bool ClientConnection::Admit() {
  const ClientConfig& clients = config();
  const std::uint32_t most = clients.connections_per_client;
  if (most == 0 || Contains(clients.trusted_proxies, peer_)) return true;
  const IpAddress client = peer_.AsClient(clients.ipv6_prefix);
  if (!worker_.places.TryTakeFor(client, most)) {
    log::Debug("{}: more than {} connections", peer_.ToString(), most);
    worker_.counters.connections_over_cap.Add();
    Close(/*reset=*/true);
    return false;
  }
  counted_bits_ = static_cast<std::uint8_t>(clients.ipv6_prefix);
  return true;
}

void ClientConnection::StartStream() {
  if (!Admit()) return;
  if (tls_) {
    stream_.StartTls(*tls_);
    mode_ = Mode::kHandshake;
  } else {
    mode_ = Mode::kOpen;
    AwaitFirstByte();
  }
}

// ---- events

void ClientConnection::OnReadable(void* self) {
  auto* connection = static_cast<ClientConnection*>(self);
  connection->in_event_ = true;
  connection->Readable();
  connection->in_event_ = false;
  connection->Settle();
}

void ClientConnection::OnWritable(void* self) {
  auto* connection = static_cast<ClientConnection*>(self);
  connection->in_event_ = true;
  connection->Writable();
  connection->in_event_ = false;
  connection->Settle();
}

void ClientConnection::OnExpired(void* self) {
  auto* connection = static_cast<ClientConnection*>(self);
  connection->in_event_ = true;
  connection->Expired();
  connection->in_event_ = false;
  connection->Settle();
}

void ClientConnection::Settle() {
  if (in_event_ || !protocol_ || mode_ == Mode::kClosed) return;
  if (mode_ == Mode::kLinger || protocol_->at_rest()) worker_.PutAside(std::move(protocol_));
}

ClientProtocol& ClientConnection::Protocol() {
  if (!protocol_) protocol_ = worker_.TakeHttp1(*this);
  return *protocol_;
}

void ClientConnection::Readable() {
  if (stream_.write_wants_read() && !output_.empty()) {
    Writable();
    if (mode_ == Mode::kClosed) return;
  }
  switch (mode_) {
    case Mode::kProxyHeader:
      return ReadProxyHeader();
    case Mode::kHandshake:
      return Handshake();
    case Mode::kOpen:
      return Protocol().OnReadable();
    case Mode::kLinger:
      return ReadAndDiscard();
    case Mode::kClosed:
      return;
  }
}

void ClientConnection::Writable() {
  if (stream_.read_wants_write()) {
    watch_.WantWrite(!output_.empty());
    if (output_.empty()) return Readable();
  }
  const std::size_t before = output_.size();
  if (output_.Flush(stream_) == IoStatus::kBroken) {
    return protocol_ ? protocol_->OnBroken() : Close();
  }
  if (output_.empty()) {
    write_deadline_ = TimePoint::max();
    watch_.WantWrite(false);
    ArmDeadline();
    if (protocol_) protocol_->OnFlushed();
    return;
  }
  if (output_.size() < before) {
    const TimePoint now = worker_.loop.now();
    write_deadline_ = now + Patience(write_deadline_ - now, before - output_.size(),
                                     config().min_rate.answer, config().timeouts.write);
    ArmDeadline();
  }
}

void ClientConnection::Expired() {
  if (write_deadline_ <= worker_.loop.now()) {
    worker_.counters.timeouts_client.Add();
    return protocol_ ? protocol_->OnWriteExpired() : Close(/*reset=*/true);
  }
  if (read_deadline_ > worker_.loop.now()) return ArmDeadline();
  read_deadline_ = TimePoint::max();
  if (mode_ != Mode::kOpen) return Close();
  protocol_ ? protocol_->OnReadExpired() : Linger(/*all_read=*/true);
}

void ClientConnection::SetReadDeadline(Duration after) {
  read_deadline_ = worker_.loop.now() + after;
  ArmDeadline();
}

void ClientConnection::ClearReadDeadline() {
  read_deadline_ = TimePoint::max();
  ArmDeadline();
}

void ClientConnection::ArmDeadline() {
  const TimePoint when = std::min(read_deadline_, write_deadline_);
  if (when == TimePoint::max()) {
    deadline_.Clear();
  } else {
    deadline_.Set(when);
  }
}

// ---- before the first request

// Takes exactly the header's bytes from the kernel: what follows may belong to TLS. An incomplete
// header reaches at least to the end of what has come, so that much may be taken.
void ClientConnection::ReadProxyHeader() {
  if (!proxy_header_) proxy_header_ = std::make_unique<std::string>();  // once for each connection
  char bytes[kMaxProxyHeader];
  const std::size_t have = proxy_header_->size();
  const std::size_t room = kMaxProxyHeader - have;
  const ssize_t peeked = ::recv(stream_.fd(), bytes, room, MSG_PEEK | MSG_DONTWAIT);
  if (peeked < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (peeked <= 0) return Close();
  proxy_header_->append(bytes, static_cast<std::size_t>(peeked));
  const ProxyHeader header = ParseProxyHeader(*proxy_header_);
  const bool done = header.outcome == ProxyHeader::Outcome::kDone;
  if (header.outcome == ProxyHeader::Outcome::kMalformed ||
      (!done && proxy_header_->size() >= kMaxProxyHeader)) {
    log::Debug("{}: no valid PROXY header", peer_.ToString());
    worker_.counters.connections_refused.Add();
    return Close(/*reset=*/true);
  }
  const std::size_t take = done ? header.size - have : static_cast<std::size_t>(peeked);
  if (::recv(stream_.fd(), bytes, take, MSG_DONTWAIT) != static_cast<ssize_t>(take)) return Close();
  if (!done) return;
  if (header.client) peer_ = *header.client;
  proxy_header_.reset();
  StartStream();
  Readable();
}

void ClientConnection::Handshake() {
  switch (stream_.Handshake()) {
    case IoStatus::kOk:
      break;
    case IoStatus::kWouldBlock:
      if (stream_.read_wants_write()) watch_.WantWrite(true);
      return;
    case IoStatus::kEnd:
    case IoStatus::kBroken:
      return Close();
  }
  mode_ = Mode::kOpen;
  (stream_.resumed() ? worker_.counters.tls_resumed : worker_.counters.tls_full).Add();
  AwaitFirstByte();
  if (stream_.chose_http2()) return BeginHttp2({});
  Protocol().OnReadable();  // the first request often comes with the handshake's end
}

void ClientConnection::BeginHttp2(std::string_view begun) {
  HearOfReset();
  const std::string bytes(begun);  // once for each connection: they are the old protocol's
  if (protocol_) worker_.PutAside(std::move(protocol_));
  auto http2 = std::make_unique<Http2Connection>(*this);
  Http2Connection& speaks = *http2;
  protocol_ = std::move(http2);
  if (!bytes.empty()) speaks.Receive(bytes);
  if (mode_ == Mode::kOpen) speaks.OnReadable();
}

void ClientConnection::SetWaiting(bool waiting) {
  if (waiting == waiting_) return;
  waiting_ = waiting;
  if (waiting) waiting_since_ = worker_.loop.now();
  worker_.Move(this, waiting);
}

// As long for the first request as for the next: a browser that connects ahead of its need is no
// worse than one that stays.
void ClientConnection::AwaitFirstByte() {
  SetReadDeadline(worker_.draining ? kDrainGrace : config().timeouts.idle);
}

// ---- bytes

IoResult ClientConnection::Read(std::span<char> into) {
  const IoResult result = stream_.Read(into);
  if (result.status == IoStatus::kWouldBlock && stream_.read_wants_write()) watch_.WantWrite(true);
  if (result.bytes < into.size()) watch_.NoteEmpty();
  return result;
}

bool ClientConnection::Send(std::span<iovec> vectors) {
  if (mode_ == Mode::kClosed) return false;
  const bool was_empty = output_.empty();
  if (output_.Write(stream_, vectors) == IoStatus::kBroken) return false;
  if (was_empty && !output_.empty()) {
    watch_.WantWrite(true);
    write_deadline_ = worker_.loop.now() + config().timeouts.write;
    ArmDeadline();
  }
  return true;
}

// ---- endings

void ClientConnection::Linger(bool all_read) {
  // With nothing unread there is nothing that closing could reset; it says the end by itself.
  if (all_read && !encrypted()) return Close();
  stream_.ShutdownWrite();
  if (all_read) return Close();
  mode_ = Mode::kLinger;
  watch_.WantRead(true);
  SetReadDeadline(kLinger);
}

void ClientConnection::ReadAndDiscard() {
  Block block = worker_.blocks.Take(kSmallBlock);
  const IoResult result = stream_.Read({block.data.get(), block.size});
  worker_.blocks.Give(std::move(block));
  lingered_ += static_cast<std::uint32_t>(result.bytes);
  const bool over = result.status == IoStatus::kEnd || result.status == IoStatus::kBroken;
  if (over || lingered_ > kLingerBytes) Close();
}

void ClientConnection::Close(bool reset) {
  if (mode_ == Mode::kClosed) return;
  const bool shaking = mode_ == Mode::kHandshake;
  mode_ = Mode::kClosed;
  if (shaking) {
    worker_.counters.tls_failed.Add();
    const std::string_view fault = stream_.tls_fault();
    log::Debug("{}: TLS handshake failed: {}", peer_.ToString(),
               fault.empty() ? "given up" : fault);
  }
  if (protocol_) protocol_->OnClosed();
  if (counted_bits_ != 0) worker_.places.FreeFor(peer_.AsClient(counted_bits_));
  if (reset) stream_.ResetOnClose();
  watch_.Stop();  // before the descriptor
  stream_.Close();
  deadline_.Clear();
  output_.Clear();
  worker_.counters.connections_open.Subtract();
  worker_.Bury(this);
}

void ClientConnection::Drain() {
  if (protocol_) return protocol_->Drain();
  if (mode_ == Mode::kOpen) AwaitFirstByte();
}

void ClientConnection::GiveUp() {
  worker_.counters.connections_given_up.Add();
  if (mode_ != Mode::kOpen) return Close();
  protocol_ ? protocol_->GiveUp() : Linger(/*all_read=*/true);
}

}  // namespace spillway
