// SPDX-License-Identifier: MIT
#include "proxy/client_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "proxy/log.h"
#include "proxy/reuse.h"
#include "spillway/proxy_header.h"

namespace spillway {
namespace {

// After the last answer, how long and how much a client may still send that nobody reads. Closing
// earlier would reset the connection and could destroy the answer on its way (RFC 9112 9.6).
constexpr Duration kLinger = 2s;
constexpr std::size_t kLingerBytes = 1024 * 1024;

// While draining, an idle connection is kept so long for a request that is already on its way.
constexpr Duration kDrainGrace = 1s;

// The first line by which a client says that it speaks HTTP/2 (RFC 9113 3.4).
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n";

// How often one readiness event reads from one connection before others get their turn.
constexpr int kReadsPerTurn = 8;

}  // namespace

ClientConnection::ClientConnection(WorkerContext& worker, Accepted accepted,
                                   std::shared_ptr<const TlsContext> tls, bool proxy_protocol,
                                   bool http2_in_clear)
    : worker_(worker),
      tls_(std::move(tls)),
      proxy_protocol_(proxy_protocol),
      http2_in_clear_(http2_in_clear),
      raw_(std::move(accepted.fd)),
      watch_(std::in_place, worker.loop, raw_.get(), this, &OnReadable, &OnWritable),
      deadline_(worker.loop, this, &OnExpired),
      in_(worker.blocks),
      parser_(MessageLimits{.head = config().sizes.head.count,
                            .headers = config().sizes.headers,
                            .target = config().sizes.target.count}),
      // A unix socket's peer is a process on this machine.
      peer_(accepted.peer.ip().value_or(IpAddress::FromV4(0x7f000001))),
      exchange_(*this) {
  worker_.counters.connections_accepted.Add();
  worker_.counters.connections_open.Add();
}

ClientConnection::~ClientConnection() = default;

const ClientConfig& ClientConnection::config() const {
  return worker_.generation->shared->config.clients;
}

void ClientConnection::Start() {
  peer_text_ = peer_.ToString();
  watch_->WantRead(true);
  if (proxy_protocol_ || tls_) SetReadDeadline(config().timeouts.handshake);  // one for both
  if (proxy_protocol_) {
    mode_ = Mode::kProxyHeader;
  } else {
    StartStream();
  }
}

void ClientConnection::StartStream() {
  encrypted_ = handshaking_ = tls_ != nullptr;
  if (encrypted_) {
    stream_.emplace(std::move(raw_), *tls_);
  } else {
    stream_.emplace(std::move(raw_));
  }
  mode_ = Mode::kHead;
  if (!handshaking_) AwaitFirstByte();
}

// ---- events

void ClientConnection::OnReadable(void* self) {
  static_cast<ClientConnection*>(self)->Readable();
}
void ClientConnection::OnWritable(void* self) {
  static_cast<ClientConnection*>(self)->Writable();
}
void ClientConnection::OnExpired(void* self) {
  static_cast<ClientConnection*>(self)->Expired();
}

void ClientConnection::Readable() {
  if (stream_ && stream_->write_wants_read() && !output_.empty()) {
    Writable();
    if (mode_ == Mode::kClosed) return;
  }
  switch (mode_) {
    case Mode::kProxyHeader:
      ReadProxyHeader();
      break;
    case Mode::kHead:
      ReadHeads();
      break;
    case Mode::kExchange:
      ReadDuringExchange();
      break;
    case Mode::kTunnel:
      exchange_.OnClientReadable();
      break;
    case Mode::kHttp2:
      ReadHttp2();
      break;
    case Mode::kFlush:
      watch_->WantRead(false);
      break;  // the next request waits for this answer
    case Mode::kLinger:
      ReadAndDiscard();
      break;
    case Mode::kClosed:
      break;
  }
}

void ClientConnection::Writable() {
  if (stream_->read_wants_write()) {
    watch_->WantWrite(!output_.empty());
    if (output_.empty()) return Readable();
  }
  const std::size_t before = output_.size();
  if (output_.Flush(*stream_) == IoStatus::kBroken) {
    if (exchange_.active()) return exchange_.OnClientGone();
    return Close();
  }
  if (output_.empty()) {
    write_deadline_ = TimePoint::max();
    watch_->WantWrite(false);
    ArmDeadline();
    return Flushed();
  }
  if (output_.size() < before) {
    write_deadline_ = worker_.loop.now() + config().timeouts.write;
    ArmDeadline();
  }
}

void ClientConnection::Expired() {
  if (write_deadline_ <= worker_.loop.now()) {
    worker_.counters.timeouts_client.Add();
    if (exchange_.active()) return exchange_.OnClientTimeout();
    return Close(/*reset=*/true);
  }
  if (read_deadline_ > worker_.loop.now()) return ArmDeadline();
  read_deadline_ = TimePoint::max();
  switch (mode_) {
    case Mode::kHead:
      if (!parser_.started()) return Close();
      worker_.counters.timeouts_client.Add();
      mode_ = Mode::kExchange;
      return exchange_.Refuse(408, "the request head did not come in time");
    case Mode::kExchange:
      worker_.counters.timeouts_client.Add();
      return exchange_.OnBodyTimeout();
    case Mode::kTunnel:
      return exchange_.OnClientTimeout();
    case Mode::kHttp2:
      return http2_->OnExpired();
    case Mode::kProxyHeader:
    case Mode::kFlush:
    case Mode::kLinger:
      return Close();
    case Mode::kClosed:
      return;
  }
}

void ClientConnection::Flushed() {
  switch (mode_) {
    case Mode::kExchange:
    case Mode::kTunnel:
      exchange_.OnClientWritable();
      break;
    case Mode::kHttp2:
      http2_->OnFlushed();
      break;
    case Mode::kFlush:
      keep_after_flush_ ? NextRequest() : Linger();
      break;
    default:
      break;
  }
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

// ---- read head

// Takes exactly the header's bytes from the kernel: what follows may belong to TLS. An incomplete
// header reaches at least to the end of what has come, so that much may be taken.
void ClientConnection::ReadProxyHeader() {
  char bytes[kMaxProxyHeader];
  const std::size_t have = proxy_header_.size();
  const std::size_t room = kMaxProxyHeader - have;
  const ssize_t peeked = ::recv(raw_.get(), bytes, room, MSG_PEEK | MSG_DONTWAIT);
  if (peeked < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (peeked <= 0) return Close();
  proxy_header_.append(bytes, static_cast<std::size_t>(peeked));
  const ProxyHeader header = ParseProxyHeader(proxy_header_);
  const bool done = header.outcome == ProxyHeader::Outcome::kDone;
  if (header.outcome == ProxyHeader::Outcome::kMalformed ||
      (!done && proxy_header_.size() >= kMaxProxyHeader)) {
    log::Debug("{}: no valid PROXY header", peer_text_);
    worker_.counters.connections_refused.Add();
    return Close(/*reset=*/true);
  }
  const std::size_t take = done ? header.size - have : static_cast<std::size_t>(peeked);
  if (::recv(raw_.get(), bytes, take, MSG_DONTWAIT) != static_cast<ssize_t>(take)) return Close();
  if (!done) return;
  if (header.client) {
    peer_ = *header.client;
    peer_text_ = peer_.ToString();
  }
  std::string().swap(proxy_header_);
  StartStream();
  ReadHeads();
}

IoStatus ClientConnection::ReadMore() {
  in_.Reserve(kSmallBlock);
  const std::span<char> room = in_.room();
  if (room.empty()) return IoStatus::kWouldBlock;
  const IoResult result = stream_->Read(room);
  if (result.status == IoStatus::kOk) {
    in_.Added(result.bytes);
    // A plain socket that filled less than the room is empty: another read would be a wasted call.
    if (!encrypted_ && result.bytes < room.size()) return IoStatus::kOk;
  } else if (result.status == IoStatus::kWouldBlock && stream_->read_wants_write()) {
    watch_->WantWrite(true);
  }
  return result.status;
}

void ClientConnection::ReadHeads() {
  // What TLS has decrypted already (at most a record) no event will tell of: that much is read in
  // any case.
  for (int turn = 0; mode_ == Mode::kHead && (turn < kReadsPerTurn || stream_->has_pending());
       ++turn) {
    const bool idle = in_.end() == 0;
    const std::size_t before = in_.end();
    const IoStatus status = ReadMore();
    if (status == IoStatus::kEnd || status == IoStatus::kBroken) return Close();
    if (handshaking_ && stream_->handshake_done()) {
      handshaking_ = false;
      (stream_->resumed() ? worker_.counters.tls_resumed : worker_.counters.tls_full).Add();
      AwaitFirstByte();
    }
    if (status == IoStatus::kWouldBlock) {
      if (idle)
        in_.Release();  // woken for nothing (a TLS handshake): an idle connection holds no block
      return;
    }
    const bool filled = in_.end() == in_.capacity();
    if (requests_ == 0 && stream_->chose_http2()) return BeginHttp2();
    const std::size_t preface = http2_in_clear_ && requests_ == 0 ? PrefaceBytes() : 0;
    if (preface == kPreface.size()) return BeginHttp2();
    if (preface == 0 || preface < in_.end()) ParseHeads();
    // From a head's first byte its own clock runs, and is not started again by later bytes.
    if (mode_ == Mode::kHead && before == 0 && in_.end() > 0)
      SetReadDeadline(config().timeouts.head);
    if (!encrypted_ && !filled) return;
  }
}

void ClientConnection::ParseHeads() {
  if (parsing_) return;  // the loop below goes on with the next one
  parsing_ = true;
  while (mode_ == Mode::kHead) {
    if (parsed_ == in_.end()) {
      if (!parser_.started()) AwaitRequest();
      break;
    }
    const ParseStep step = parser_.Feed(in_.data(), parsed_, in_.end());
    parsed_ = parser_.taken();
    if (step == ParseStep::kHead) {
      BeginExchange();
    } else if (step == ParseStep::kFailed) {
      mode_ = Mode::kExchange;
      exchange_.Refuse(parser_.status(), parser_.error());
    } else {
      // The parser refuses a head beyond its limit; until then the block grows with it.
      if (in_.room().empty()) in_.Reserve(in_.capacity() * 2);
      break;
    }
  }
  parsing_ = false;
}

// ---- HTTP/2

// How much of HTTP/2's preface has come; 0 when it is something else.
std::size_t ClientConnection::PrefaceBytes() {
  const std::string_view begun(in_.data(), std::min(in_.end(), kPreface.size()));
  return kPreface.starts_with(begun) ? begun.size() : 0;
}

void ClientConnection::BeginHttp2() {
  mode_ = Mode::kHttp2;
  const std::string begun(in_.data(), in_.end());  // once for each connection
  in_.Release();
  http2_ = std::make_unique<Http2Connection>(*this);
  http2_->Receive(begun);
  ReadHttp2();
}

void ClientConnection::ReadHttp2() {
  // A block for as long as something is read: between frames a connection holds none.
  Block block = worker_.blocks.Take(kSmallBlock);
  for (int turn = 0; mode_ == Mode::kHttp2 && (turn < kReadsPerTurn || stream_->has_pending());
       ++turn) {
    const IoResult read = stream_->Read({block.data.get(), block.size});
    if (read.status == IoStatus::kWouldBlock) {
      if (stream_->read_wants_write()) watch_->WantWrite(true);
      break;
    }
    if (read.status != IoStatus::kOk) {
      Close();
      break;
    }
    http2_->Receive({block.data.get(), read.bytes});
    if (!encrypted_ && read.bytes < block.size) break;
  }
  worker_.blocks.Give(std::move(block));
}

bool ClientConnection::SendFrames(std::string_view frames) {
  iovec vector = ToVector(frames);
  return Send({&vector, 1});
}

void ClientConnection::EndHttp2() {
  http2_->OnClosed();
  Linger();
}

void ClientConnection::AwaitRequest() {
  in_.Release();
  parsed_ = 0;
  AwaitFirstByte();
  watch_->WantRead(true);
}

// As long for the first request as for the next: a browser that connects ahead of its need is no
// worse than one that stays.
void ClientConnection::AwaitFirstByte() {
  SetReadDeadline(worker_.draining ? kDrainGrace : config().timeouts.idle);
}

void ClientConnection::BeginExchange() {
  ++requests_;
  request_ended_ = false;
  body_wanted_ = false;
  body_from_ = parsed_;
  const RequestHead& head = parser_.head();
  awaits_continue_ = head.expect_continue && head.body != BodyKind::kNone;
  if (head.body != BodyKind::kNone) {
    // A window for the body behind the head; the head itself stays where its views point.
    const std::uint64_t window =
        head.body == BodyKind::kChunked ? kLargeBlock : head.content_length;
    const std::size_t wanted =
        std::max(std::min<std::size_t>(parsed_ + window, kLargeBlock), parsed_ + kSmallBlock / 2);
    const char* old = in_.data();
    in_.Reserve(wanted);
    if (in_.data() != old) parser_.Rebase(old, in_.data());
  }
  mode_ = Mode::kExchange;
  read_deadline_ = TimePoint::max();
  ArmDeadline();
  exchange_.Begin();
}

// ---- during an exchange

void ClientConnection::ReadDuringExchange() {
  // Bytes are read even when no body is wanted: a pipelined request may wait in the block, and an
  // end or a reset must be heard of. When the block is full, reading stops.
  const IoStatus status = ReadMore();
  if (status == IoStatus::kEnd || status == IoStatus::kBroken) return exchange_.OnClientGone();
  if (body_wanted_ && status == IoStatus::kOk) {
    awaits_continue_ = false;
    SetReadDeadline(config().timeouts.body);
    return exchange_.OnClientReadable();
  }
  if (in_.room().empty()) watch_->WantRead(false);
}

ParseStep ClientConnection::NextBodyPiece() {
  if (request_ended_) return ParseStep::kEnd;
  if (parsed_ < in_.end()) awaits_continue_ = false;
  const ParseStep step = parser_.Feed(in_.data(), parsed_, in_.end());
  parsed_ = parser_.taken();
  request_ended_ = step == ParseStep::kEnd;
  return step;
}

bool ClientConnection::ReadBodyAgain() {
  if (!request_ended_ && parsed_ == in_.end()) {
    in_.CutTo(body_from_);
    parsed_ = body_from_;
  }
  if (!encrypted_ || !stream_->has_pending()) return false;
  return ReadMore() == IoStatus::kOk;
}

void ClientConnection::WantBody(bool want) {
  if (mode_ == Mode::kClosed) return;
  if (mode_ == Mode::kTunnel) return watch_->WantRead(want);
  if (want) {
    if (!body_wanted_ && !awaits_continue_) SetReadDeadline(config().timeouts.body);
    watch_->WantRead(true);
  } else if (body_wanted_) {
    read_deadline_ = TimePoint::max();
    ArmDeadline();
  }
  body_wanted_ = want;
}

std::string_view ClientConnection::protocol() const {
  return parser_.head().minor == 0 ? "HTTP/1.0" : "HTTP/1.1";
}

// ---- the answer

bool ClientConnection::SendInterim(const ResponseHead& head) {
  if (parser_.head().minor == 0) return true;  // HTTP/1.0 knows none
  std::string text;                            // interim heads are rare
  WriteResponseHead(head, ForwardResponse{}, &text);
  if (head.status == 100 && awaits_continue_) {
    awaits_continue_ = false;
    if (body_wanted_) SetReadDeadline(config().timeouts.body);
  }
  iovec vector = ToVector(text);
  return Send({&vector, 1});
}

bool ClientConnection::BeginResponse(const ResponseHead& head, const ForwardResponse& forward,
                                     bool keep) {
  ForwardResponse mine = forward;
  mine.client_is_1_0 = parser_.head().minor == 0;
  mine.framing = {head.body, head.content_length};
  if (head.body == BodyKind::kUntilClose || head.body == BodyKind::kChunked) {
    mine.framing.body = mine.client_is_1_0 ? BodyKind::kUntilClose : BodyKind::kChunked;
  }
  keep = keep && may_keep() && mine.framing.body != BodyKind::kUntilClose;
  mine.close = !keep;
  response_chunked_ = mine.framing.body == BodyKind::kChunked;
  WriteResponseHead(head, mine, &response_head_);
  return keep;
}

// Head, pieces and framing leave in one system call.
bool ClientConnection::SendBody(std::vector<iovec>* pieces, bool last,
                                std::span<const HeaderField> trailers) {
  char chunk_head[kMaxChunkHead];
  std::string last_chunk;
  if (response_chunked_) {
    FrameChunk(0, pieces, chunk_head);
    if (last) {
      WriteLastChunk(trailers, &last_chunk);
      pieces->push_back(ToVector(last_chunk));
    }
  }
  if (!response_head_.empty()) pieces->insert(pieces->begin(), ToVector(response_head_));
  const bool sent = pieces->empty() || Send(*pieces);
  ClearForReuse(&response_head_);
  return sent;
}

bool ClientConnection::SendAnswer(const Answer& answer, bool head_only, bool keep, WallTime now) {
  WriteAnswerHead(answer, !keep, parser_.head().minor == 0, now, &response_head_);
  // The body may be large: it is not copied, but for what the kernel does not take at once.
  iovec vectors[] = {ToVector(response_head_),
                     ToVector(head_only ? std::string_view{} : BodyToSend(answer))};
  const bool sent = Send(vectors);
  ClearForReuse(&response_head_);
  return sent;
}

bool ClientConnection::Send(std::span<iovec> vectors) {
  if (mode_ == Mode::kClosed) return false;
  const bool was_empty = output_.empty();
  if (output_.Write(*stream_, vectors) == IoStatus::kBroken) return false;
  if (was_empty && !output_.empty()) {
    watch_->WantWrite(true);
    write_deadline_ = worker_.loop.now() + config().timeouts.write;
    ArmDeadline();
  }
  return true;
}

bool ClientConnection::may_keep() const {
  return parser_.head().keep_alive && !worker_.draining && requests_ < config().max_requests;
}

void ClientConnection::FinishExchange(bool keep) {
  if (mode_ == Mode::kClosed) return;
  body_wanted_ = false;
  read_deadline_ = TimePoint::max();
  ArmDeadline();
  if (!output_.empty()) {
    mode_ = Mode::kFlush;
    keep_after_flush_ = keep;
  } else if (keep) {
    NextRequest();
  } else {
    Linger();
  }
}

void ClientConnection::NextRequest() {
  mode_ = Mode::kHead;
  in_.DropFront(parsed_);
  parsed_ = 0;
  request_ended_ = false;
  parser_.Reset();
  watch_->WantRead(true);
  if (in_.end() > 0) {
    SetReadDeadline(config().timeouts.head);
    ParseHeads();
  } else {
    AwaitRequest();
  }
  // What TLS holds already, no event will tell of.
  if (mode_ == Mode::kHead && !parsing_ && encrypted_ && stream_->has_pending()) ReadHeads();
}

void ClientConnection::Linger() {
  stream_->ShutdownWrite();
  // With nothing unread there is nothing that closing could reset.
  if (request_ended_ && parsed_ == in_.end()) return Close();
  mode_ = Mode::kLinger;
  in_.Release();
  parsed_ = 0;
  watch_->WantRead(true);
  SetReadDeadline(kLinger);
}

void ClientConnection::ReadAndDiscard() {
  Block block = worker_.blocks.Take(kSmallBlock);
  const IoResult result = stream_->Read({block.data.get(), block.size});
  worker_.blocks.Give(std::move(block));
  lingered_ += result.bytes;
  const bool over = result.status == IoStatus::kEnd || result.status == IoStatus::kBroken;
  if (over || lingered_ > kLingerBytes) Close();
}

bool ClientConnection::EnterTunnel(const ResponseHead& head, const ForwardResponse& forward,
                                   std::string_view early) {
  mode_ = Mode::kTunnel;
  TouchTunnel();
  WriteResponseHead(head, forward, &response_head_);
  iovec vectors[] = {ToVector(response_head_), ToVector(early)};
  const bool sent = Send(vectors);
  ClearForReuse(&response_head_);
  return sent;
}

IoResult ClientConnection::ReadTunnel(std::span<char> into) {
  if (parsed_ == in_.end()) return stream_->Read(into);
  // What came right behind the head was read with it.
  const std::size_t size = std::min(into.size(), in_.end() - parsed_);
  std::memcpy(into.data(), in_.data() + parsed_, size);
  parsed_ += size;
  if (parsed_ == in_.end()) in_.CutTo(parsed_);
  return {IoStatus::kOk, size};
}

bool ClientConnection::WriteTunnel(std::string_view bytes) {
  iovec vector = ToVector(bytes);
  return Send({&vector, 1});
}

void ClientConnection::TouchTunnel() {
  SetReadDeadline(config().timeouts.tunnel);
}

void ClientConnection::Close(bool reset) {
  if (mode_ == Mode::kClosed) return;
  mode_ = Mode::kClosed;
  if (handshaking_) {
    worker_.counters.tls_failed.Add();
    const std::string_view fault = stream_->tls_fault();
    log::Debug("{}: TLS handshake failed: {}", peer_text_, fault.empty() ? "given up" : fault);
  }
  exchange_.OnConnectionClosed();
  if (http2_) http2_->OnClosed();
  if (reset && stream_) stream_->ResetOnClose();
  watch_.reset();  // before the descriptor
  stream_.reset();
  raw_.Reset();
  deadline_.Clear();
  in_.Release();
  output_.Clear();
  worker_.counters.connections_open.Subtract();
  worker_.Bury(this);
}

void ClientConnection::Drain() {
  if (mode_ == Mode::kHttp2) return http2_->Drain();
  if (mode_ == Mode::kHead && !parser_.started()) SetReadDeadline(kDrainGrace);
}

}  // namespace spillway
