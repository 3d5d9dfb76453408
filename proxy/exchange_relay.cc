// SPDX-License-Identifier: MIT
// The step relay: the response on its way back, interim heads first, in the framing that the client
// understands. The upstream is read only while the client's output is empty.
#include <algorithm>
#include <utility>

#include "proxy/client_side.h"
#include "proxy/exchange.h"
#include "proxy/http1_rules.h"
#include "proxy/log.h"

namespace spillway {

void Exchange::OnUpstreamReadable() {
  if (step_ == Step::kTunnel) {
    PumpTunnel();
  } else {
    PumpResponse();
    ArmUpstream();
  }
  client_.Settle();
}

void Exchange::PumpResponse() {
  // What TLS has decrypted already (at most a record) no event will tell of: it is read in any case.
  for (int turn = 0; turn < kReadsPerTurn || upstream_->has_pending(); ++turn) {
    if (client_.output_full()) {
      NoteSlowReader();
      return upstream_->WantRead(false);
    }
    const UpstreamSide::ReadResult read = upstream_->Read();
    if (read.status == IoStatus::kWouldBlock) return;
    if (read.status == IoStatus::kBroken) {
      const std::string_view fault = upstream_->tls_fault();
      return FailUpstream(Failure::kReset, fault.empty() ? "upstream reset" : fault);
    }
    state_.upstream_moved = true;
    const bool ended = read.status == IoStatus::kEnd;
    if (!PassOnResponse(ended)) return;
    if (ended) {
      return FailUpstream(Failure::kReset, state_.response_begun ? "upstream cut its answer short"
                                                                 : "upstream closed");
    }
    if (state_.response_begun) SpareClient();
    if (!read.more) return;
  }
}

// An answer that comes while the request goes on is half of a conversation: the client may be silent
// while it listens, and its clock starts again.
void Exchange::SpareClient() {
  if (state_.request_done || state_.sending_abandoned || upstream_->unsent() > 0) return;
  client_.WantBody(false);
  client_.WantBody(true);
}

// Passes on what has been read. False when the exchange has left the relay, or this upstream.
//
// A head is taken when something is to be sent: what is found bad in one reading with it makes it a
// bad answer as a whole, of which the client has seen nothing yet.
bool Exchange::PassOnResponse(bool ended) {
  vectors_.clear();
  bool done = false, head_waits = false;
  std::uint64_t size = 0;  // of the pieces
  for (;;) {
    const ParseStep step = upstream_->Next(ended);
    if (step == ParseStep::kNeedMore && ended) {
      return true;  // cut short: the caller deals with the end
    }
    if (step == ParseStep::kFailed) {
      const std::string_view why = upstream_->error();
      log::Warning("upstream {}: {}", lease_->text, log::Escape(why));
      FailUpstream(Failure::kProtocol, "bad upstream answer");
      return false;
    }
    if (step == ParseStep::kHead) {
      head_waits = upstream_->head().status >= 200;
      if (!head_waits && !TakeResponseHead()) return false;
      continue;
    }
    if (step == ParseStep::kBody) {
      const std::string_view piece = upstream_->body();
      size += piece.size();
      vectors_.push_back(ToVector(piece));
      if (vectors_.size() < kMostPieces) continue;
    }
    if (std::exchange(head_waits, false) && !TakeResponseHead()) return false;
    state_.bytes_out += std::exchange(size, 0);
    done = step == ParseStep::kEnd;
    const std::span<const HeaderField> trailers =
        done ? upstream_->trailers() : std::span<const HeaderField>{};
    if (state_.response_begun && !client_.SendBody(&vectors_, done, trailers)) {
      OnClientGone();
      return false;
    }
    vectors_.clear();
    if (step != ParseStep::kBody) break;
  }
  if (state_.response_begun) upstream_->ReleasePieces();
  if (done) {
    FinishResponse();
    return false;
  }
  if (client_.output_full()) {
    NoteSlowReader();
    upstream_->WantRead(false);
  }
  if (state_.response_begun && permit_) {
    permit_->Settle();
    NoteStream();
  }
  return true;
}

// True to go on: an interim head was passed on, or the final one is ready to be sent.
bool Exchange::TakeResponseHead() {
  const ResponseHead& head = upstream_->head();
  const RequestHead& request = client_.head();
  const PoolConfig& config = pool().config();
  if (head.interim()) {
    SendInterim();
    return upstream_ != nullptr;
  }
  state_.upstream_status = head.status;
  state_.first_byte = worker_.loop.now() - state_.began;
  silent_.Leave();
  // An answer to half a request says nothing of how long one takes.
  std::optional<Duration> took;
  if (state_.request_done) took = worker_.loop.now() - state_.asked;
  if (took) pool_counters().first_byte_seconds.Observe(*took);
  pool_counters().status_classes[static_cast<std::size_t>(head.status) / 100 % 6].Add();
  pool().Answered(*lease_.get(), head.status, took, worker_.loop.now());

  if (head.status == 101 &&
      (!head.upgrade || !WereOffered(head.Get(Field::kUpgrade), request.upgrade))) {
    FailTry(Failure::kProtocol, "unasked 101");
    return false;
  }
  NoteFirstByte(head);
  NoteHeldAnswer();
  if (head.status == 101) {
    EnterTunnel();
    return false;
  }
  JudgeResponse(head);
  const std::vector<int>& hide = config.errors.hide;
  if (std::find(hide.begin(), hide.end(), head.status) != hide.end()) {
    const int status = head.status;
    pool_counters().hidden_errors.Add();
    DropUpstream();
    Reply(UpstreamErrorAnswer(status, config.errors.page, answer_context()), Decision::kForward);
    return false;
  }

  step_ = Step::kRelay;
  state_.status = head.status;
  state_.response_begun = true;
  BeginResponse();
  return true;
}

void Exchange::BeginResponse() {
  ForwardResponse forward;
  forward.request_id = request_id_;
  forward.date = worker_.date();
  // A client that is about to run into a limit is told of it; others are spared the bytes.
  response_fields_.clear();
  limit_fields_.clear();
  const std::span<const LimitInfo> limits = state_.generation->shared->config.policy->limits();
  const bool near =
      std::any_of(verdict_.limits.begin(), verdict_.limits.end(), [&](const LimitOutcome& each) {
        return each.state.remaining * 5 < limits[each.limit].spec.burst;
      });
  if (near) {
    AppendRateLimitFields(verdict_.limits, state_.generation->answers.words(), &limit_fields_);
    for (const auto& [name, value] : limit_fields_) response_fields_.push_back({name, value});
  }
  forward.set_headers = response_fields_;
  forward.set_cookie = ProtectionToSet(upstream_->head());
  state_.keep_client = client_.BeginResponse(upstream_->head(), forward, state_.keep_client);
}

void Exchange::SendInterim() {
  if (!client_.SendInterim(upstream_->head())) {
    DropUpstream();  // nobody could read on: the head has not been taken
    return OnClientGone();
  }
  upstream_->NextHead();
}

void Exchange::OnClientWritable() {
  if (step_ == Step::kTunnel) return PumpTunnel();
  if (!upstream_ || !upstream_->connected()) return;
  upstream_->WantRead(true);
  if (upstream_->has_pending()) PumpResponse();
  ArmUpstream();
}

void Exchange::FinishResponse() {
  const PoolConfig::KeepAlive& kept = pool().config().keep_alive;
  upstream_.release()->Finish({.request_sent = state_.request_done && !state_.sending_abandoned,
                               .to_head = state_.request.method == "HEAD",
                               .keep = kept.connections,
                               .idle = kept.idle});
  const bool keep = state_.keep_client && state_.request_done;
  Account();
  client_.FinishExchange(keep);
}

// The upstream failed, before its answer or in it.
void Exchange::FailUpstream(Failure failure, std::string_view why) {
  if (!state_.response_begun) return FailTry(failure, why);
  ChargeUpstream(failure);
  AbortRelay(why);
}

// The answer has begun and cannot be finished, through whomever: the client must not take what it
// got for the whole.
void Exchange::AbortRelay(std::string_view why) {
  EndEarly(why);
  client_.Close(/*reset=*/true);
}

}  // namespace spillway
