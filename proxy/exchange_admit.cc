// SPDX-License-Identifier: MIT
// The step admit: a request waits for its turn at the pool, or is told that there is none; and what
// becomes of its place when it ends.
#include <algorithm>
#include <utility>

#include "proxy/client_side.h"
#include "proxy/deadline_fields.h"
#include "proxy/exchange.h"
#include "spillway/hash.h"
#include "spillway/mix.h"
#include "spillway/route.h"
#include "spillway/text.h"

namespace spillway {
namespace {

constexpr std::int64_t kCohortHour = 3600;
constexpr Duration kStream = std::chrono::seconds(2);  // after the first byte

// When to come back after a refusal for want of room; with the jitter.
constexpr Duration kComeBack = std::chrono::seconds(5);

bool IsEventStream(const ResponseHead& head) {
  constexpr std::string_view kType = "text/event-stream";
  return EqualsIgnoreCase(head.Get(Field::kContentType).substr(0, kType.size()), kType);
}

}  // namespace

// Of its address, or its network.
std::uint64_t Exchange::ClientHash() const {
  const Generation& shared = *state_.generation->shared;
  return HashBytes(state_.request.client.AsClient(shared.config.clients.ipv6_prefix).byte_view(),
                   shared.hash_seed);
}

// A visitor is an address (of IPv6 its network) and a browser: what a page loads belongs to its
// visitor. Cohorts change by the hour, each visitor at another minute of it.
AdmissionAsk Exchange::AskOf() {
  const Generation& shared = *state_.generation->shared;
  const Request& request = state_.request;
  AdmissionAsk ask;
  ask.traffic_class = verdict_.traffic_class;
  ask.client = ClientHash();
  const std::uint64_t visitor =
      Mix(ask.client ^ HashBytes(client_.head().Get(Field::kUserAgent), shared.hash_seed));
  const std::int64_t second =
      std::chrono::duration_cast<std::chrono::seconds>(state_.began_wall.time_since_epoch())
          .count();
  const auto hour = static_cast<std::uint64_t>(
      (second + static_cast<std::int64_t>(visitor % kCohortHour)) / kCohortHour);
  ask.is_protected = state_.protection.has_value();
  ask.cohort = static_cast<std::uint8_t>(Mix(visitor ^ Mix(hour)) & 127);
  ask.route = HashRoute(request.method, request.path, shared.hash_seed);
  ask.method = request.method;
  ask.path = request.path;
  if (const auto patience = RequestTimeout(client_.head())) ask.deadline = state_.began + *patience;
  return ask;
}

// A client that asks by HTTP/1 may go while it waits, which its connection tells as ever.
void Exchange::Admit() {
  step_ = Step::kAdmit;
  const std::shared_ptr<PoolAdmission>& admission = pool().admission();
  if (admission == nullptr) return PickServer();
  if (TakeUp()) return;
  permit_ = worker_.desk.Take();
  permit_->Enter(admission, AskOf(), this);
  CarryOutAdmission();
}

void Exchange::CarryOutAdmission() {
  switch (permit_->state()) {
    case AdmissionTicket::State::kAdmitted:
      return PickServer();
    case AdmissionTicket::State::kShed:
      return ReplyShed();
    case AdmissionTicket::State::kQueued:
      return client_.HearOfLeaving();
    case AdmissionTicket::State::kOutside:
      return;
  }
}

void Exchange::OnAdmission() {
  // Not from the request's beginning: it may have been held before.
  const Duration waited =
      std::max<Duration>(worker_.loop.now() - permit_->ticket().entered, Duration{0});
  state_.queued += waited;
  pool_counters().queue_seconds.Observe(waited);
  CarryOutAdmission();
  ArmUpstream();
  client_.Settle();
}

void Exchange::ReplyShed() {
  EndEarly(ShedReasonText(permit_->ticket().reason));
  AnswerContext context = answer_context();
  context.retry_after = kComeBack;
  Reply(UpstreamErrorAnswer(503, pool().config().errors.page, context), Decision::kShed);
}

// The server has begun to answer.
void Exchange::NoteFirstByte(const ResponseHead& head) {
  if (!permit_) return;
  state_.admission_end = head.status >= 500 ? AdmissionEnd::kError : AdmissionEnd::kAnswered;
  if (const std::string_view pressure = head.Get(Field::kSpillwayPressure); !pressure.empty()) {
    if (const auto value = ParseShare(pressure))
      permit_->pool()->Pressure(*value, worker_.loop.now(), &worker_.desk);
  }
  // Half a request says nothing of how long one takes.
  if (state_.request_done) permit_->FirstByte(worker_.loop.now() - state_.asked, head.status);
  if (head.status != 101 && !IsEventStream(head)) return;
  state_.apart = true;
  permit_->StandApart();
}

// Called whenever what is here of the request has been sent. What is not here is no work for the server
// yet: else a few who send slowly would have all the places. False when there are too many of these
// already, and the exchange has ended.
bool Exchange::NoteUpload() {
  // Nor are those who were held to wait for it behind one.
  if (held_ && !state_.request_done) held_->Leave();
  if (!permit_ || state_.apart || state_.uploading != state_.request_done) return true;
  // Too late to refuse it: what is still to come comes to an answer.
  if (!state_.uploading && (state_.response_begun || state_.sending_abandoned)) return true;
  state_.uploading = !state_.request_done;
  state_.uploading ? permit_->AwaitRequest() : permit_->RequestDone();
  if (permit_->state() != AdmissionTicket::State::kShed) return true;
  DropUpstream();
  state_.keep_client = false;
  ReplyShed();
  return false;
}

// An answer that goes on and on is a conversation, and no measure of what the servers can do.
void Exchange::NoteStream() {
  if (!permit_ || state_.apart || worker_.loop.now() - state_.began - state_.first_byte < kStream)
    return;
  state_.apart = true;
  permit_->StandApart();
}

// What it waits for is the client: a few slow ones would have all the places.
void Exchange::NoteSlowReader() {
  if (!permit_ || !state_.response_begun || state_.apart) return;
  state_.apart = true;
  permit_->StandApart();
}

void Exchange::GiveBackPermit() {
  if (!permit_) return;
  permit_->Leave(state_.admission_end);
  worker_.desk.PutBack(std::move(permit_));
}

}  // namespace spillway
