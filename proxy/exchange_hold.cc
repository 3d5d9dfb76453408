// SPDX-License-Identifier: MIT
// What becomes of a request while no server of its pool answers: it is held before the step admit, and
// goes on from there when one is back, or is told when to come again.
#include <algorithm>
#include <utility>

#include "proxy/client_side.h"
#include "proxy/deadline_fields.h"
#include "proxy/exchange.h"

namespace spillway {
namespace {

// Of a body, what either side of us may hold while it is not read: HTTP/2's window is the larger.
constexpr std::uint64_t kMostBody = 64 * 1024;

std::uint64_t BytesOf(const RequestHead& head) {
  std::uint64_t bytes = head.target.size();
  for (const HeaderField& field : head.headers) bytes += field.name.size() + field.value.size() + 4;
  if (head.body == BodyKind::kNone) return bytes;
  return bytes +
         (head.body == BodyKind::kLength ? std::min(head.content_length, kMostBody) : kMostBody);
}

}  // namespace

// Before it asks for a place. True: it is held, or has been answered.
bool Exchange::MeetOutage() {
  const std::shared_ptr<PoolHold>& hold = pool().hold();
  if (hold == nullptr || hold->state() != PoolHold::State::kDown) return false;
  // A server that its own health check has found well, or a new one, is there before the watch looks.
  if (!pool().AllOut()) {
    hold->Back(worker_.loop.now());
    return false;
  }
  if (!Hold()) TurnAway("no server answers");
  return true;
}

// Its place at the pool is given back: what waits for a server is no load. Its body is not read on.
// REQUIRES: nothing of it is with a server.
bool Exchange::Hold() {
  const std::shared_ptr<PoolHold>& hold = pool().hold();
  if (hold == nullptr || verdict_.traffic_class > pool().config().hold.from) return false;
  HoldTicket ask;
  ask.traffic_class = verdict_.traffic_class;
  ask.bytes = BytesOf(client_.head());
  ask.client = ClientHash();
  if (const auto patience = RequestTimeout(client_.head())) ask.deadline = state_.began + *patience;
  if (!held_) held_ = std::make_unique<Held>(worker_.hold_desk, *this);
  if (!held_->Enter(hold, ask)) return false;
  state_.admission_end = AdmissionEnd::kUnmeasured;
  GiveBackPermit();
  client_.WantBody(false);
  client_.HearOfLeaving();
  step_ = Step::kAdmit;
  state_.held_since = worker_.loop.now();
  return true;
}

void Exchange::OnHoldEnd() {
  state_.held += worker_.loop.now() - state_.held_since;
  if (held_->state() == HoldTicket::State::kReleased) {
    tried_.clear();
    pool().ListRefusing(&tried_);  // it is another that is back
    state_.tries_before += std::exchange(state_.tries, 0);
    state_.reuse_failed = false;
    Admit();
  } else {
    TurnAway("held in vain");
  }
  ArmUpstream();
  client_.Settle();
}

void Exchange::TurnAway(std::string_view why) {
  state_.turned_away = true;
  EndEarly(why);
  AnswerContext context = answer_context();
  context.retry_after = pool().hold()->TurnAway(worker_.loop.now());
  context.shortage = pool().members()->empty() ? Shortage::kServers : Shortage::kHealth;
  Reply(UpstreamErrorAnswer(503, pool().config().errors.page, context), Decision::kUpstreamError);
}

// The server took no connection, so that nothing was sent; TLS that fails is another matter, as somebody
// is there. REQUIRES: the upstream is still ours.
bool Exchange::NoteRefusal(Failure failure) {
  const bool refused = failure == Failure::kConnect || failure == Failure::kConnectTimeout;
  if (!refused || (upstream_ && upstream_->reached())) return false;
  // A connect that takes too long may only have met a crowd.
  if (failure == Failure::kConnect && !state_.busy)
    lease_->refuses.store(true, std::memory_order_relaxed);
  return true;
}

// The last try has failed. True: it is held, or has been answered. What was sent is not repeated, unless it
// may be, and then once: a request that makes its server break would else be tried for as long as it is
// held.
bool Exchange::HoldAfter(Failure failure, bool refused) {
  const std::shared_ptr<PoolHold>& hold = pool().hold();
  if (hold == nullptr) return false;
  const TimePoint now = worker_.loop.now();
  if (refused) {
    // That nobody is there says nothing of how many requests the servers can bear.
    state_.admission_end = AdmissionEnd::kUnmeasured;
    pool().AllOut() ? pool().NoteDown(now) : hold->Suspect(now);
    if (Hold()) return true;
    if (hold->state() != PoolHold::State::kDown) return false;
    TurnAway("upstream failed");
    return true;
  }
  const bool let_out = held_ && held_->state() == HoldTicket::State::kReleased;
  const bool again = failure == Failure::kReset && !state_.lost && !state_.body_touched &&
                     !state_.response_begun && IsIdempotent(state_.request.method) &&
                     verdict_.traffic_class <= pool().config().hold.from;
  if (let_out || again) hold->Suspect(now);
  if (!again) return false;
  state_.lost = true;
  return Hold();
}

// One that was let out is being answered: others may follow.
void Exchange::NoteHeldAnswer() {
  if (held_) held_->Answered(worker_.loop.now() - state_.asked);
}

}  // namespace spillway
