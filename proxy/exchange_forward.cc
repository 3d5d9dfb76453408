// SPDX-License-Identifier: MIT
// The steps of an exchange on its way to an upstream: pick server, connect, send; and what follows
// when one of them fails.
//
// Back-pressure: a side is read only while the other side's output is empty, so an exchange never
// holds more than one window of a body in each direction.
#include <cerrno>
#include <cstring>
#include <utility>

#include "proxy/client_side.h"
#include "proxy/exchange.h"
#include "proxy/fields.h"
#include "proxy/log.h"
#include "spillway/challenge.h"
#include "spillway/hash.h"

namespace spillway {
namespace {

bool AsksForWebSocket(const RequestHead& head) {
  std::string_view offers = head.upgrade;
  while (const auto offer = NextItem(&offers)) {
    if (EqualsIgnoreCase(*offer, "websocket")) return true;
  }
  return false;
}

// When to come back from a 503 of ours: with the jitter, in whole seconds, half are told 1 s and
// half 2 s.
constexpr Duration kSoon = 900ms;

}  // namespace

// ---- pick server, connect

void Exchange::Forward() {
  state_.decision = Decision::kForward;
  pool_counters().requests.Add();
  if (pool().config().protocol == UpstreamProtocol::kHttp2 && AsksForWebSocket(client_.head())) {
    // Any other upgrade is a wish that a server may pass over (RFC 9110 7.8).
    return ReplyError(501, "no WebSockets to servers that are spoken to in HTTP/2",
                      Decision::kUpstreamError);
  }
  pool().budget().CountRequest(worker_.loop.now());
  if (!MeetOutage()) Admit();
}

std::uint64_t Exchange::BalanceKey() const {
  const HashKey& key = state_.generation->hash_keys[verdict_.pool];
  std::string_view from = client_text_;
  switch (key.of) {
    case HashKey::Of::kClient:
      break;
    case HashKey::Of::kPath:
      from = state_.request.path;
      break;
    case HashKey::Of::kHost:
      from = state_.request.host;
      break;
    case HashKey::Of::kHeader:
      if (const HeaderField* field = FindHeader(state_.request.headers, key.name))
        from = field->value;
      break;
    case HashKey::Of::kCookie:
      from = Cookie(key.name).value_or(client_text_);
      break;
  }
  return HashBytes(from, state_.generation->shared->hash_seed);
}

// Clients may send several Cookie fields (HTTP/2 does): the first that has the name counts.
std::optional<std::string_view> Exchange::Cookie(std::string_view name) const {
  const RequestHead& head = client_.head();
  if (!head.fields.Has(Field::kCookie)) return std::nullopt;
  for (std::size_t i = 0; i < head.headers.size(); ++i) {
    if (head.fields[i] != Field::kCookie) continue;
    if (const auto value = FindCookie(head.headers[i].value, name)) return value;
  }
  return std::nullopt;
}

void Exchange::PickServer() {
  step_ = Step::kPickServer;
  PoolLocal& local = state_.generation->pools[verdict_.pool];
  const PoolConfig& config = local.pool().config();
  const std::uint64_t key = config.balance == Balance::kHash ? BalanceKey() : 0;
  lease_ = local.Pick(key, worker_.chance.Next(), tried_, worker_.loop.now());
  if (!lease_) {
    pool_counters().no_server.Add();
    if (pool().hold()) {
      pool().NoteDown(worker_.loop.now());
      if (!Hold()) TurnAway(local.empty() ? "no server" : "no healthy server");
      return;
    }
    EndEarly(local.empty() ? "no server" : "no healthy server");
    AnswerContext context = answer_context();
    context.retry_after = kSoon;
    context.shortage = local.empty() ? Shortage::kServers : Shortage::kHealth;
    return Reply(UpstreamErrorAnswer(503, config.errors.page, context), Decision::kUpstreamError);
  }
  ++state_.tries;
  lease_->requests.fetch_add(1, std::memory_order_relaxed);

  if (config.protocol == UpstreamProtocol::kHttp2) return OpenStream();
  if (TakeKept()) {
    worker_.counters.upstream_reuses.Add();
    return BeginSend();
  }
  Connect();
}

bool Exchange::TakeKept() {
  // What could not be repeated is worth one look at a kept connection before it is trusted.
  const bool look = state_.has_body || !IsIdempotent(state_.request.method);
  while (!state_.reuse_failed) {
    std::unique_ptr<UpstreamConnection> kept = worker_.upstreams.Take(*lease_.get());
    if (!kept) break;
    if (!kept->Trusted(look)) continue;
    kept->Use(*this);
    upstream_ = std::move(kept);
    return true;
  }
  return false;
}

void Exchange::Connect() {
  step_ = Step::kConnect;
  worker_.counters.upstream_connects.Add();
  const PoolConfig& config = pool().config();
  const TlsClientContext* tls = pool().tls().get();
  auto connected = worker_.upstreams.Connect(lease_.endpoint(), config.response_head.count, tls);
  if (!connected && IsOurShortage(connected.error()) && worker_.EndIdleUpstreams()) {
    connected = worker_.upstreams.Connect(lease_.endpoint(), config.response_head.count, tls);
  }
  if (!connected && IsOurShortage(connected.error())) return ReplyShortage("out of descriptors");
  if (!connected) {
    state_.busy = connected.error() == EAGAIN;
    return FailTry(Failure::kConnect, std::strerror(connected.error()));
  }
  (*connected)->Use(*this);
  (*connected)->WantWrite(true);
  upstream_ = std::move(*connected);
}

void Exchange::OpenStream() {
  step_ = Step::kConnect;
  const PoolConfig& config = pool().config();
  const bool look = state_.has_body || !IsIdempotent(state_.request.method);
  const auto open = [&] {
    return worker_.http2_upstreams.Open(lease_.endpoint(), config, pool().tls().get(), *this,
                                        state_.reuse_failed, look);
  };
  auto opened = open();
  if (!opened && IsOurShortage(opened.error())) {
    worker_.EndIdleUpstreams();
    opened = open();
  }
  if (!opened && opened.error() == Http2Upstreams::kFull) return ReplyShortage("out of streams");
  if (!opened && IsOurShortage(opened.error())) return ReplyShortage("out of descriptors");
  if (!opened) {
    state_.busy = opened.error() == EAGAIN;
    return FailTry(Failure::kConnect, std::strerror(opened.error()));
  }
  (opened->connects ? worker_.counters.upstream_connects : worker_.counters.upstream_reuses).Add();
  upstream_ = std::move(opened->side);
  if (upstream_->connected()) BeginSend();
}

// No fault of the server's: it is neither charged with it nor is another one asked.
void Exchange::ReplyShortage(std::string_view why) {
  EndEarly(why);
  DropUpstream();
  AnswerContext context = answer_context();
  context.retry_after = kSoon;
  Reply(UpstreamErrorAnswer(503, pool().config().errors.page, context), Decision::kUpstreamError);
}

// ---- send

void Exchange::BeginSend() {
  step_ = Step::kSend;
  // Looked at first: all workers read it.
  if (lease_->refuses.load(std::memory_order_relaxed))
    lease_->refuses.store(false, std::memory_order_relaxed);
  state_.asked = worker_.loop.now();  // later than the request's end, when this is another try
  const PoolConfig& config = pool().config();
  const RequestHead& head = client_.head();
  ForwardRequest forward;
  forward.target = state_.to_send.target;
  // A client of HTTP/1.0 may have named no host; the upstream is spoken to in 1.1, which wants one.
  forward.host = !config.host.empty()           ? std::string_view(config.host)
                 : !state_.to_send.host.empty() ? state_.to_send.host
                                                : std::string_view(lease_->text);
  forward.framing = {head.body, head.content_length};
  forward.client_address = client_text_;
  forward.peer_address = client_.peer_text();
  forward.peer_trusted = state_.peer_trusted;
  const Config& all = state_.generation->shared->config;
  forward.relied_on = {all.clients.address_header, all.policy->ruled_fields()};
  forward.scheme = state_.request.scheme;
  forward.client_host = state_.to_send.host;
  forward.request_id = request_id_;
  forward.upgrade = !head.upgrade.empty();
  forward.expect_continue = head.expect_continue;
  forward.set_headers = verdict_.set_headers;
  vectors_.clear();
  upstream_->BeginRequest(head, forward, &head_, &vectors_);
  state_.head_unsent = true;
  PumpRequestBody();
}

// Sends what has been read of the request; with the head before it when that has only begun.
void Exchange::PumpRequestBody() {
  const std::uint64_t most = state_.generation->shared->config.clients.sizes.body.count;
  while (upstream_ && !state_.sending_abandoned && upstream_->unsent() == 0) {
    ParseStep step = ParseStep::kNeedMore;
    while (!state_.request_done && vectors_.size() < kMostPieces) {
      step = client_.NextBodyPiece();
      if (step != ParseStep::kBody) break;
      const std::string_view piece = client_.body();
      state_.bytes_in += piece.size();
      state_.body_touched = true;
      vectors_.push_back(ToVector(piece));
    }
    if (step == ParseStep::kFailed || (most > 0 && state_.bytes_in > most)) {
      const bool failed = step == ParseStep::kFailed;
      DropUpstream();  // cut short, so that the upstream does not take it for the whole
      if (state_.response_begun) return AbortRelay("bad request body");
      state_.keep_client = false;
      return ReplyError(failed ? client_.error_status() : 413,
                        failed ? client_.error() : "the body is too large", Decision::kBadRequest);
    }
    // Of a body that is empty another try says the end once more.
    const bool last = state_.request_done ? state_.head_unsent : step == ParseStep::kEnd;
    if (last) {
      state_.request_done = true;
      state_.asked = worker_.loop.now();
    }
    // One upload too many is refused before the server hears of it.
    const bool incomplete = !state_.request_done && step == ParseStep::kNeedMore;
    if (state_.head_unsent && incomplete && permit_ && permit_->ticket().no_upload && !NoteUpload())
      return;
    const bool with_head = std::exchange(state_.head_unsent, false);
    const bool nothing = vectors_.empty() && !last && !with_head;
    const std::span<const HeaderField> trailers =
        last ? client_.trailers() : std::span<const HeaderField>{};
    if (!nothing && upstream_->SendBody(&vectors_, last, trailers) == IoStatus::kBroken) {
      vectors_.clear();
      state_.sending_abandoned = true;  // an early answer may still be waiting to be read
      upstream_->WantRead(true);
      return PumpResponse();
    }
    state_.upstream_moved = state_.upstream_moved || !nothing;
    vectors_.clear();
    if (state_.request_done) break;
    if (step == ParseStep::kBody) continue;  // there were more pieces than one call sends
    if (!client_.ReadBodyAgain()) break;
  }
  if (!upstream_) return;
  const bool blocked = upstream_->unsent() > 0;
  if (!NoteUpload()) return;
  client_.WantBody(!state_.request_done && !blocked && !state_.sending_abandoned);
  if (blocked) upstream_->WantWrite(true);
}

// Who must act for the exchange to go on. Where it is the client it has a limit of its own:
// clients.timeouts.write while output is full, clients.timeouts.body while its body is missing.
Exchange::Wait Exchange::upstream_wait() const {
  if (!upstream_->connected()) return Wait::kConnect;
  if (client_.output_full()) return Wait::kNothing;
  if (upstream_->unsent() > 0) return Wait::kProgress;
  const bool body_missing = !state_.request_done && !state_.sending_abandoned;
  if (body_missing && !client_.awaits_continue()) return Wait::kNothing;
  return state_.response_begun ? Wait::kProgress : Wait::kFirstByte;
}

// The one place that sets the upstream's deadline. A wait has one clock from its beginning; only
// that for progress starts again when there is some.
void Exchange::ArmUpstream() {
  if (!upstream_ || step_ == Step::kTunnel) return;
  const Wait wait = upstream_wait();
  const bool again = wait == Wait::kProgress && state_.upstream_moved;
  state_.upstream_moved = false;
  if (wait == state_.armed_for && !again) return;
  state_.armed_for = wait;
  const PoolConfig::Timeouts& timeouts = pool().config().timeouts;
  switch (wait) {
    case Wait::kNothing:
      return upstream_->ClearDeadline();
    case Wait::kConnect:
      return upstream_->SetDeadline(timeouts.connect);
    case Wait::kFirstByte:
      if (state_.request_done) worker_.silence.Enter(&silent_, pool(), *lease_.get(), state_.asked);
      return upstream_->SetDeadline(timeouts.first_byte);
    case Wait::kProgress:
      return upstream_->SetDeadline(timeouts.idle);
  }
}

void Exchange::OnClientReadable() {
  if (step_ == Step::kTunnel) return PumpTunnel();
  if (state_.internal) return AnswerInternally();
  if (upstream_ && upstream_->connected()) PumpRequestBody();
  ArmUpstream();
}

void Exchange::OnUpstreamWritable() {
  DrainUpstreamOutput();
  ArmUpstream();
  client_.Settle();
}

void Exchange::DrainUpstreamOutput() {
  if (!upstream_->connected()) {
    if (const std::string_view fault = upstream_->FinishConnect(); !fault.empty()) {
      if (upstream_->certificate_refused()) TellOfCertificate(fault);
      return FailTry(Failure::kConnect, fault);
    }
    return BeginSend();
  }
  if (upstream_->Flush(&state_.upstream_moved) == IoStatus::kBroken) {
    if (step_ == Step::kTunnel) {
      if (OutlivesBreak(Side::kUpstream)) PumpTunnel();
      return;
    }
    state_.sending_abandoned = true;
    client_.WantBody(false);
    return PumpResponse();
  }
  if (upstream_->unsent() > 0) return;
  if (step_ == Step::kTunnel) return PumpTunnel();
  PumpRequestBody();
}

void Exchange::OnUpstreamDeadline() {
  if (step_ == Step::kTunnel) return;  // the client's side keeps the tunnel's time
  if (!upstream_->connected()) {
    FailTry(Failure::kConnectTimeout, "connect timeout");
  } else {
    FailUpstream(Failure::kTimeout, state_.response_begun ? "upstream idle" : "upstream timeout");
  }
  ArmUpstream();
  client_.Settle();
}

// ---- when a try fails

// RFC 9110 9.2.2: doing it twice is as good as once.
bool Exchange::IsIdempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS" || method == "TRACE";
}

bool Exchange::may_retry(Failure failure) const {
  if (state_.body_touched || state_.response_begun) return false;
  const bool unsent = failure == Failure::kConnect || failure == Failure::kConnectTimeout ||
                      (upstream_ && upstream_->unprocessed());
  if (!unsent && (failure != Failure::kReset || !IsIdempotent(state_.request.method))) {
    return false;  // it may have been carried out, or the upstream is too slow already
  }
  return state_.tries <= pool().config().retries.attempts &&
         pool().budget().TryRetry(worker_.loop.now());
}

// On its account: in the numbers, and in the pool's view of it.
void Exchange::ChargeUpstream(Failure failure) {
  switch (failure) {
    case Failure::kConnect:
    case Failure::kConnectTimeout:
      pool_counters().connect_errors.Add();
      break;
    case Failure::kReset:
      pool_counters().resets.Add();
      break;
    case Failure::kTimeout:
      pool_counters().timeouts.Add();
      break;
    case Failure::kProtocol:
      pool_counters().protocol_errors.Add();
      break;
  }
  state_.admission_end = AdmissionEnd::kDropped;
  lease_->errors.fetch_add(1, std::memory_order_relaxed);
  pool().Report(*lease_.get(), TryOutcome::kFailed, worker_.loop.now());
}

// The next try begins within this one's end; retries.attempts (at most 10) and one stale connection
// bound how deep that goes.
void Exchange::FailTry(Failure failure, std::string_view why) {
  // A kept connection that the server closed just before it was used says nothing about the server.
  const bool stale =
      failure == Failure::kReset && upstream_ && upstream_->stale() && !state_.body_touched &&
      (upstream_->unprocessed() || IsIdempotent(state_.request.method)) && !state_.reuse_failed;
  if (stale) {
    DropUpstream();
    state_.reuse_failed = true;
    --state_.tries;
    return PickServer();
  }
  ChargeUpstream(failure);
  log::Debug("upstream {}: {}", lease_->text, why);
  const bool late = failure == Failure::kTimeout || failure == Failure::kConnectTimeout;
  std::string_view end = late ? "upstream timeout" : "upstream failed";
  if (failure == Failure::kConnect && upstream_ && !upstream_->tls_fault().empty()) {
    end = upstream_->certificate_refused() ? "upstream certificate refused" : "upstream TLS failed";
  }
  const bool again = may_retry(failure);
  const bool refused = NoteRefusal(failure);
  tried_.push_back(lease_.get());
  DropUpstream();
  if (again) {
    // The next may take as long again: whether anybody is there is found out meanwhile.
    if (refused && late && pool().hold()) pool().hold()->Suspect(worker_.loop.now());
    pool_counters().retries.Add();
    return PickServer();
  }
  if (HoldAfter(failure, refused)) return;
  EndEarly(end);
  Reply(UpstreamErrorAnswer(late ? 504 : 502, pool().config().errors.page, answer_context()),
        Decision::kUpstreamError);
}

// That a certificate is not accepted needs somebody's hand, and every request may find it so: told
// once in ten seconds for each server.
void Exchange::TellOfCertificate(std::string_view fault) {
  constexpr std::int64_t kAgain = std::chrono::nanoseconds(10s).count();
  const std::int64_t now = worker_.loop.now().time_since_epoch().count();
  std::int64_t last = lease_->told_of_certificate.load(std::memory_order_relaxed);
  if (last != 0 && now - last < kAgain) return;
  if (!lease_->told_of_certificate.compare_exchange_strong(last, now)) return;
  log::Warning("pool {}: the certificate of {} is not accepted: {}", pool().config().name,
               lease_->text, fault);
}

void Exchange::DropUpstream() {
  silent_.Leave();
  upstream_.reset();
  if (lease_) state_.last = lease_.Release();
  vectors_.clear();
  state_.armed_for = Wait::kNothing;
}

}  // namespace spillway
