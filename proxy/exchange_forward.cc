// SPDX-License-Identifier: MIT
// The steps of an exchange that need an upstream: pick server, connect, send, relay.
//
// Back-pressure: a side is read only while the other side's output is empty, so an exchange never
// holds more than one window of a body in each direction.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <utility>

#include "proxy/client_connection.h"
#include "proxy/exchange.h"
#include "proxy/log.h"
#include "spillway/challenge.h"

namespace spillway {
namespace {

// Pieces of a body that are sent with one system call.
constexpr std::size_t kMostPieces = 64;

// How often one readiness event reads from one upstream before others get their turn.
constexpr int kReadsPerTurn = 4;

// RFC 9110 9.2.2: doing it twice is as good as once.
bool IsIdempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS" || method == "TRACE";
}

// A connect that failed for want of something on this machine.
bool IsOurShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
         error == EADDRNOTAVAIL;
}

std::size_t TotalSize(std::span<const iovec> vectors) {
  std::size_t total = 0;
  for (const iovec& vector : vectors) total += vector.iov_len;
  return total;
}

}  // namespace

// Frames the pieces gathered since `first` as one chunk, if the next hop's body is chunked.
// `storage` holds the chunk's first line until the vectors are written.
static void FrameChunk(std::vector<iovec>* vectors, std::size_t first, char* storage) {
  const std::size_t size = TotalSize(std::span(*vectors).subspan(first));
  if (size == 0) return;
  const std::size_t length = WriteChunkHead(size, storage);
  vectors->insert(vectors->begin() + static_cast<std::ptrdiff_t>(first), iovec{storage, length});
  vectors->push_back(ToVector("\r\n"));
}

// ---- pick server, connect

void Exchange::Forward() {
  decision_ = Decision::kForward;
  PoolLocal& pool = generation_->pools[verdict_.pool];
  generation_->pool_counters[verdict_.pool]->requests.Add();
  pool.pool().budget().CountRequest(worker_.loop.now());
  PickServer();
}

std::uint64_t Exchange::BalanceKey() const {
  const HashKey& key = generation_->hash_keys[verdict_.pool];
  std::string_view from = client_text_;
  switch (key.of) {
    case HashKey::Of::kClient:
      break;
    case HashKey::Of::kPath:
      from = request_.path;
      break;
    case HashKey::Of::kHost:
      from = request_.host;
      break;
    case HashKey::Of::kHeader:
      if (const HeaderField* field = FindHeader(request_.headers, key.name)) from = field->value;
      break;
    case HashKey::Of::kCookie:
      if (const HeaderField* cookies = FindHeader(request_.headers, "cookie")) {
        from = FindCookie(cookies->value, key.name).value_or(client_text_);
      }
      break;
  }
  return std::hash<std::string_view>{}(from);
}

void Exchange::PickServer() {
  step_ = Step::kPickServer;
  PoolLocal& local = generation_->pools[verdict_.pool];
  const PoolConfig& config = local.pool().config();
  const std::uint64_t key = config.balance == Balance::kHash ? BalanceKey() : 0;
  lease_ = local.Pick(key, worker_.chance.Next(), tried_, worker_.loop.now());
  if (!lease_) {
    generation_->pool_counters[verdict_.pool]->no_server.Add();
    end_ = "no server";
    return Reply(UpstreamErrorAnswer(503, config.errors.page, answer_context()),
                 Decision::kUpstreamError);
  }
  ++tries_;
  lease_->requests.fetch_add(1, std::memory_order_relaxed);

  // What could not be repeated is worth one look at a kept connection before it is trusted.
  const bool look_first = has_body_ || !IsIdempotent(request_.method);
  while (!reuse_failed_ && (upstream_ = worker_.upstreams.Take(*lease_.get())) != nullptr) {
    if ((!look_first && !upstream_->doubtful) || upstream_->StillQuiet()) break;
    upstream_.reset();
  }
  if (upstream_) {
    worker_.counters.upstream_reuses.Add();
    upstream_->user = this;
    return BeginSend();
  }
  step_ = Step::kConnect;
  worker_.counters.upstream_connects.Add();
  upstream_ = worker_.upstreams.Connect(lease_.endpoint(), config.response_head.count);
  if (!upstream_ && IsOurShortage(errno) && worker_.upstreams.size() > 0) {
    worker_.upstreams.CloseAll();  // idle connections make room for one that is needed
    upstream_ = worker_.upstreams.Connect(lease_.endpoint(), config.response_head.count);
  }
  if (!upstream_ && IsOurShortage(errno)) {
    // No fault of the server's: it is neither charged with it nor is another one asked.
    end_ = "out of descriptors";
    lease_.Release();
    return Reply(UpstreamErrorAnswer(503, config.errors.page, answer_context()),
                 Decision::kUpstreamError);
  }
  if (!upstream_) return FailTry(Failure::kConnect, std::strerror(errno));
  upstream_->user = this;
  upstream_->watch.WantWrite(true);
  upstream_->deadline.SetAfter(config.timeouts.connect);
}

// ---- send

void Exchange::BeginSend() {
  step_ = Step::kSend;
  const PoolConfig& config = generation_->pools[verdict_.pool].pool().config();
  const RequestHead& head = client_.parser().head();
  upstream_->parser.Reset(request_.method);
  upstream_->watch.WantRead(true);
  ForwardRequest forward;
  forward.target = upstream_target_;
  // A client of HTTP/1.0 may have named no host; the upstream is spoken to in 1.1, which wants one.
  forward.host = !config.host.empty()      ? std::string_view(config.host)
                 : !upstream_host_.empty() ? upstream_host_
                                           : std::string_view(lease_->text);
  forward.framing = {head.body, head.content_length};
  forward.client_address = client_text_;
  forward.peer_address = client_.peer_text();
  forward.peer_trusted = peer_trusted_;
  forward.address_header = generation_->shared->config.clients.address_header;
  forward.scheme = request_.scheme;
  forward.client_host = upstream_host_;
  forward.request_id = request_id_;
  forward.upgrade = !head.upgrade.empty();
  forward.expect_continue = head.expect_continue;
  forward.set_headers = verdict_.set_headers;
  WriteRequestHead(head, forward, &head_);
  vectors_.clear();
  vectors_.push_back(ToVector(head_));
  PumpRequestBody();
}

// Sends what has been read of the request; with the head before it when vectors_ holds that.
void Exchange::PumpRequestBody() {
  char chunk_head[20];
  std::string last_chunk;
  const bool chunked = client_.parser().head().body == BodyKind::kChunked;
  const std::uint64_t most = generation_->shared->config.clients.sizes.body.count;
  while (upstream_ && !sending_abandoned_ && upstream_->out.empty()) {
    const std::size_t first = vectors_.size();
    ParseStep step = ParseStep::kNeedMore;
    while (!request_done_ && vectors_.size() < kMostPieces) {
      step = client_.NextBodyPiece();
      if (step != ParseStep::kBody) break;
      const std::string_view piece = client_.parser().body();
      bytes_in_ += piece.size();
      body_touched_ = true;
      vectors_.push_back(ToVector(piece));
    }
    if (step == ParseStep::kFailed || (most > 0 && bytes_in_ > most)) {
      const bool failed = step == ParseStep::kFailed;
      DropUpstream();  // cut short, so that the upstream does not take it for the whole
      if (response_begun_) return AbortRelay("bad request body");
      keep_client_ = false;
      return ReplyError(failed ? 400 : 413,
                        failed ? client_.parser().error() : "the body is too large",
                        Decision::kBadRequest);
    }
    if (chunked) FrameChunk(&vectors_, first, chunk_head);
    if (step == ParseStep::kEnd && !request_done_) {
      request_done_ = true;
      if (chunked) {
        WriteLastChunk(client_.parser().trailers(), &last_chunk);
        vectors_.push_back(ToVector(last_chunk));
      }
    }
    const bool nothing = vectors_.empty();
    if (!nothing && upstream_->out.Write(upstream_->stream, vectors_) == IoStatus::kBroken) {
      vectors_.clear();
      sending_abandoned_ = true;  // an early answer may still be waiting to be read
      upstream_->watch.WantRead(true);
      return OnUpstreamReadable();
    }
    vectors_.clear();
    if (request_done_) break;
    if (step == ParseStep::kBody) continue;  // there were more pieces than one call sends
    if (!client_.ReadBodyAgain()) break;
  }
  if (!upstream_) return;
  const auto& timeouts = generation_->pools[verdict_.pool].pool().config().timeouts;
  const bool blocked = !upstream_->out.empty();
  client_.WantBody(!request_done_ && !blocked && !sending_abandoned_);
  if (blocked) {
    upstream_->watch.WantWrite(true);
    upstream_->deadline.SetAfter(timeouts.idle);
  } else if (!response_begun_) {
    const bool awaits_continue = client_.parser().head().expect_continue && !body_touched_;
    if (request_done_ || awaits_continue) {
      upstream_->deadline.SetAfter(timeouts.first_byte);
    } else {
      upstream_->deadline.Clear();  // the client's silence has a limit of its own
    }
  }
}

void Exchange::OnClientReadable() {
  if (step_ == Step::kTunnel) return PumpTunnel();
  if (internal_) return AnswerInternally();
  if (upstream_ && upstream_->connected) PumpRequestBody();
}

void Exchange::OnUpstreamWritable() {
  if (!upstream_->connected) {
    if (const int error = ConnectError(upstream_->stream.fd()); error != 0) {
      return FailTry(Failure::kConnect, std::strerror(error));
    }
    upstream_->connected = true;
    upstream_->watch.WantWrite(false);
    return BeginSend();
  }
  const std::size_t before = upstream_->out.size();
  if (upstream_->out.Flush(upstream_->stream) == IoStatus::kBroken) {
    upstream_->out.Clear();
    upstream_->watch.WantWrite(false);
    if (step_ == Step::kTunnel) return PumpTunnel();
    sending_abandoned_ = true;
    client_.WantBody(false);
    return OnUpstreamReadable();
  }
  if (upstream_->out.empty()) {
    upstream_->watch.WantWrite(false);
    if (step_ == Step::kTunnel) return PumpTunnel();
    return PumpRequestBody();
  }
  if (upstream_->out.size() < before && step_ != Step::kTunnel) {
    upstream_->deadline.SetAfter(generation_->pools[verdict_.pool].pool().config().timeouts.idle);
  }
}

void Exchange::OnUpstreamDeadline() {
  if (step_ == Step::kTunnel) return;  // the client's side keeps the tunnel's time
  if (response_begun_) return AbortRelay("upstream idle");
  FailTry(upstream_->connected ? Failure::kTimeout : Failure::kConnect,
          upstream_->connected ? "upstream timeout" : "connect timeout");
}

// ---- relay

void Exchange::OnUpstreamReadable() {
  if (step_ == Step::kTunnel) return PumpTunnel();
  PumpResponse();
}

void Exchange::PumpResponse() {
  const auto& timeouts = generation_->pools[verdict_.pool].pool().config().timeouts;
  for (int turn = 0; turn < kReadsPerTurn; ++turn) {
    if (client_.output_full()) return upstream_->watch.WantRead(false);
    InputBuffer& in = upstream_->in;
    in.Reserve(response_begun_ ? kLargeBlock : kSmallBlock);
    if (in.room().empty())
      in.Reserve(in.capacity() * 2);  // a large head; the parser sets the limit
    const std::size_t room = in.room().size();
    const IoResult read = upstream_->stream.Read(in.room());
    if (read.status == IoStatus::kWouldBlock) return;
    if (read.status == IoStatus::kBroken) {
      return response_begun_ ? AbortRelay("upstream reset")
                             : FailTry(Failure::kReset, "upstream reset");
    }
    const bool ended = read.status == IoStatus::kEnd;
    in.Added(read.bytes);
    if (!PassOnResponse(ended)) return;
    if (ended) {
      return response_begun_ ? AbortRelay("upstream cut its answer short")
                             : FailTry(Failure::kReset, "upstream closed");
    }
    if (response_begun_ && !client_.output_full()) upstream_->deadline.SetAfter(timeouts.idle);
    if (read.bytes < room) return;
  }
}

// Parses what has been read and sends it on. False when the exchange has left the relay, or this
// upstream.
bool Exchange::PassOnResponse(bool ended) {
  char chunk_head[20];
  std::string last_chunk;
  vectors_.clear();
  std::size_t first = 0;  // where this batch's pieces of the body begin
  bool done = false;
  for (;;) {
    InputBuffer& in = upstream_->in;
    ParseStep step = upstream_->parser.Feed(in.data(), upstream_->parsed, in.end());
    upstream_->parsed = upstream_->parser.taken();
    if (step == ParseStep::kNeedMore && ended) {
      step = upstream_->parser.FeedEnd();
      if (step == ParseStep::kFailed) return true;  // cut short: the caller deals with the end
    }
    if (step == ParseStep::kFailed) {
      const std::string_view why = upstream_->parser.error();
      log::Warning("upstream {}: {}", lease_->text, log::Escape(why));
      generation_->pool_counters[verdict_.pool]->protocol_errors.Add();
      response_begun_ ? AbortRelay("bad upstream answer")
                      : FailTry(Failure::kProtocol, "bad upstream answer");
      return false;
    }
    if (step == ParseStep::kHead) {
      if (!TakeResponseHead()) return false;
      if (response_begun_) {
        vectors_.push_back(ToVector(head_));
        first = vectors_.size();
      }
      continue;
    }
    if (step == ParseStep::kBody) {
      const std::string_view piece = upstream_->parser.body();
      bytes_out_ += piece.size();
      vectors_.push_back(ToVector(piece));
      if (vectors_.size() < kMostPieces) continue;
    }
    done = step == ParseStep::kEnd;
    if (response_framing_.body == BodyKind::kChunked) {
      FrameChunk(&vectors_, first, chunk_head);
      if (done) {
        WriteLastChunk(client_.parser().head().minor == 0 ? std::span<const HeaderField>{}
                                                          : upstream_->parser.trailers(),
                       &last_chunk);
        vectors_.push_back(ToVector(last_chunk));
      }
    }
    if (!vectors_.empty() && !client_.Send(vectors_)) {
      OnClientGone();
      return false;
    }
    vectors_.clear();
    first = 0;
    if (step != ParseStep::kBody) break;
  }
  if (response_begun_ && upstream_->parsed == upstream_->in.end()) {
    upstream_->in.CutTo(0);
    upstream_->parsed = 0;
  }
  if (done) {
    FinishResponse();
    return false;
  }
  if (client_.output_full()) {
    upstream_->watch.WantRead(false);
    upstream_->deadline.Clear();  // the client's slowness has a limit of its own
  }
  return true;
}

// True to go on parsing: an interim head was passed on, or head_ is the final head, to be sent.
bool Exchange::TakeResponseHead() {
  const ResponseHead& head = upstream_->parser.head();
  const RequestHead& request = client_.parser().head();
  const PoolConfig& config = generation_->pools[verdict_.pool].pool().config();
  if (head.interim()) {
    SendInterim();
    return upstream_ != nullptr;
  }
  PoolCounters& counters = *generation_->pool_counters[verdict_.pool];
  upstream_status_ = head.status;
  first_byte_ = worker_.loop.now() - began_;
  counters.first_byte_seconds.Observe(first_byte_);
  counters.status_classes[static_cast<std::size_t>(head.status) / 100 % 6].Add();
  const bool server_error = head.status == 502 || head.status == 503 || head.status == 504;
  generation_->pools[verdict_.pool].pool().Report(
      *lease_.get(), server_error ? TryOutcome::kServerError : TryOutcome::kAnswered,
      worker_.loop.now());

  if (head.status == 101) {
    if (request.upgrade.empty() || !head.upgrade) {
      FailTry(Failure::kProtocol, "unasked 101");
      return false;
    }
    EnterTunnel();
    return false;
  }
  const std::vector<int>& hide = config.errors.hide;
  if (std::find(hide.begin(), hide.end(), head.status) != hide.end()) {
    const int status = head.status;
    counters.hidden_errors.Add();
    DropUpstream();
    Reply(UpstreamErrorAnswer(status, config.errors.page, answer_context()), Decision::kForward);
    return false;
  }

  step_ = Step::kRelay;
  status_ = head.status;
  response_begun_ = true;
  response_framing_ = {head.body, head.content_length};
  const bool old_client = request.minor == 0;
  if (head.body == BodyKind::kUntilClose || (old_client && head.body == BodyKind::kChunked)) {
    response_framing_.body = old_client ? BodyKind::kUntilClose : BodyKind::kChunked;
  }
  keep_client_ =
      keep_client_ && client_.may_keep() && response_framing_.body != BodyKind::kUntilClose;
  WriteFinalHead();
  return true;
}

void Exchange::WriteFinalHead() {
  ForwardResponse forward;
  forward.framing = response_framing_;
  forward.close = !keep_client_;
  forward.client_is_1_0 = client_.parser().head().minor == 0;
  forward.request_id = request_id_;
  forward.date = worker_.date();
  // A client that is about to run into a limit is told of it; others are spared the bytes.
  response_fields_.clear();
  limit_fields_.clear();
  const std::span<const LimitInfo> limits = generation_->shared->config.policy->limits();
  const bool near =
      std::any_of(verdict_.limits.begin(), verdict_.limits.end(), [&](const LimitOutcome& each) {
        return each.state.remaining * 5 < limits[each.limit].spec.burst;
      });
  if (near) {
    AppendRateLimitFields(verdict_.limits, limits, &limit_fields_);
    for (const auto& [name, value] : limit_fields_) response_fields_.push_back({name, value});
  }
  forward.set_headers = response_fields_;
  WriteResponseHead(upstream_->parser.head(), forward, &head_);
}

void Exchange::SendInterim() {
  const ResponseHead& head = upstream_->parser.head();
  if (client_.parser().head().minor >= 1) {
    WriteResponseHead(head, ForwardResponse{}, &head_);
    if (!client_.Send(head_)) return OnClientGone();
  }
  upstream_->in.DropFront(upstream_->parsed);
  upstream_->parsed = 0;
  upstream_->parser.NextHead();
}

void Exchange::OnClientWritable() {
  if (step_ == Step::kTunnel) return PumpTunnel();
  if (!upstream_ || !upstream_->connected) return;
  upstream_->watch.WantRead(true);
  if (response_begun_) {
    upstream_->deadline.SetAfter(generation_->pools[verdict_.pool].pool().config().timeouts.idle);
  }
}

void Exchange::FinishResponse() {
  const PoolConfig& config = generation_->pools[verdict_.pool].pool().config();
  const ResponseHead& head = upstream_->parser.head();
  // After HEAD, a server that wrongly sends the body too would have it taken for the next answer.
  const bool bodiless = request_.method == "HEAD";
  const bool reusable = head.keep_alive && head.body != BodyKind::kUntilClose && !bodiless &&
                        request_done_ && !sending_abandoned_ && upstream_->out.empty() &&
                        upstream_->in.end() == 0;
  upstream_->doubtful = head.body == BodyKind::kNone;
  if (reusable) {
    worker_.upstreams.Put(std::move(upstream_), config.keep_alive.connections,
                          config.keep_alive.idle);
  }
  const bool keep = keep_client_ && request_done_;
  Account(end_);
  client_.FinishExchange(keep);
}

// ---- when a try fails

bool Exchange::may_retry(Failure failure) const {
  if (body_touched_ || response_begun_) return false;
  if (failure != Failure::kConnect &&
      (failure != Failure::kReset || !IsIdempotent(request_.method))) {
    return false;  // it may have been carried out, or the upstream is too slow already
  }
  Pool& pool = generation_->pools[verdict_.pool].pool();
  return tries_ <= pool.config().retries.attempts && pool.budget().TryRetry(worker_.loop.now());
}

void Exchange::FailTry(Failure failure, std::string_view why) {
  Pool& pool = generation_->pools[verdict_.pool].pool();
  PoolCounters& counters = *generation_->pool_counters[verdict_.pool];
  // A kept connection that the server closed just before it was used says nothing about the server.
  const bool stale = failure == Failure::kReset && upstream_ && upstream_->reused &&
                     !body_touched_ && IsIdempotent(request_.method) && !reuse_failed_;
  const bool connect_timeout = failure == Failure::kConnect && why == "connect timeout";
  if (stale) {
    DropUpstream();
    reuse_failed_ = true;
    --tries_;
    return PickServer();
  }
  switch (failure) {
    case Failure::kConnect:
      counters.connect_errors.Add();
      break;
    case Failure::kReset:
      counters.resets.Add();
      break;
    case Failure::kTimeout:
      counters.timeouts.Add();
      break;
    case Failure::kProtocol:
      break;
  }
  lease_->errors.fetch_add(1, std::memory_order_relaxed);
  pool.Report(*lease_.get(), TryOutcome::kFailed, worker_.loop.now());
  log::Debug("upstream {}: {}", lease_->text, why);
  const bool again = may_retry(failure);
  tried_.push_back(lease_.get());
  failed_ = lease_.endpoint();
  DropUpstream();
  if (again) {
    counters.retries.Add();
    worker_.counters.upstream_retries.Add();
    return PickServer();
  }
  end_ = failure == Failure::kTimeout || connect_timeout ? "upstream timeout" : "upstream failed";
  const int status = failure == Failure::kTimeout || connect_timeout ? 504 : 502;
  Reply(UpstreamErrorAnswer(status, pool.config().errors.page, answer_context()),
        Decision::kUpstreamError);
}

// The answer has begun and cannot be finished: the client must not take what it got for the whole.
void Exchange::AbortRelay(std::string_view why) {
  if (lease_) {
    generation_->pool_counters[verdict_.pool]->resets.Add();
    generation_->pools[verdict_.pool].pool().Report(*lease_.get(), TryOutcome::kFailed,
                                                    worker_.loop.now());
  }
  end_ = why;
  client_.Close(/*reset=*/true);
}

void Exchange::DropUpstream() {
  upstream_.reset();
  lease_.Release();
  vectors_.clear();
}

}  // namespace spillway
