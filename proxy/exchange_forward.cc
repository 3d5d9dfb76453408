// SPDX-License-Identifier: MIT
// The steps of an exchange on its way to an upstream: pick server, connect, send; and what follows
// when one of them fails.
//
// Back-pressure: a side is read only while the other side's output is empty, so an exchange never
// holds more than one window of a body in each direction.
#include <cerrno>
#include <cstring>
#include <functional>
#include <utility>

#include "proxy/client_side.h"
#include "proxy/exchange.h"
#include "proxy/log.h"
#include "spillway/challenge.h"

namespace spillway {
namespace {

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

}  // namespace

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
    end_ = local.empty() ? "no server" : "no healthy server";
    AnswerContext context = answer_context();
    context.shortage = local.empty() ? Shortage::kServers : Shortage::kHealth;
    return Reply(UpstreamErrorAnswer(503, config.errors.page, context), Decision::kUpstreamError);
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
  const RequestHead& head = client_.head();
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
  char chunk_head[kMaxChunkHead];
  std::string last_chunk;
  const bool chunked = client_.head().body == BodyKind::kChunked;
  const std::uint64_t most = generation_->shared->config.clients.sizes.body.count;
  while (upstream_ && !sending_abandoned_ && upstream_->out.empty()) {
    const std::size_t first = vectors_.size();
    ParseStep step = ParseStep::kNeedMore;
    while (!request_done_ && vectors_.size() < kMostPieces) {
      step = client_.NextBodyPiece();
      if (step != ParseStep::kBody) break;
      const std::string_view piece = client_.body();
      bytes_in_ += piece.size();
      body_touched_ = true;
      vectors_.push_back(ToVector(piece));
    }
    if (step == ParseStep::kFailed || (most > 0 && bytes_in_ > most)) {
      const bool failed = step == ParseStep::kFailed;
      DropUpstream();  // cut short, so that the upstream does not take it for the whole
      if (response_begun_) return AbortRelay("bad request body");
      keep_client_ = false;
      return ReplyError(failed ? 400 : 413, failed ? client_.error() : "the body is too large",
                        Decision::kBadRequest);
    }
    if (chunked) FrameChunk(first, &vectors_, chunk_head);
    if (step == ParseStep::kEnd && !request_done_) {
      request_done_ = true;
      if (chunked) {
        WriteLastChunk(client_.trailers(), &last_chunk);
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
    const bool awaits_continue = client_.head().expect_continue && !body_touched_;
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

void Exchange::DropUpstream() {
  upstream_.reset();
  lease_.Release();
  vectors_.clear();
}

}  // namespace spillway
