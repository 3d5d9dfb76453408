// SPDX-License-Identifier: MIT
// The end of an exchange: what became of it is counted and logged.
#include <algorithm>

#include "proxy/client_side.h"
#include "proxy/exchange.h"

namespace spillway {

// Every exchange ends here, once: it lets go of all it held, and what happened is counted and
// logged.
void Exchange::Account() {
  if (step_ == Step::kAccount) return;
  step_ = Step::kAccount;
  const Decision decision = state_.decision.value_or(Decision::kBadRequest);
  const Duration took = worker_.loop.now() - state_.began;
  Count(decision, took);
  if (LeavesReceipt(decision)) LeaveReceipt(decision);
  if (worker_.access_log.enabled()) LogAccess(decision, took);
  held_.reset();
  silent_.Leave();
  if (!LetItFinish()) {
    DropUpstream();
    GiveBackPermit();
  }
  ForgetAll();
}

void Exchange::Count(Decision decision, Duration took) {
  WorkerCounters& counters = worker_.counters;
  counters.decisions[static_cast<std::size_t>(decision)].Add();
  counters.status_classes[static_cast<std::size_t>(state_.status) / 100 % 6].Add();
  counters.bytes_in.Add(state_.bytes_in);
  counters.bytes_out.Add(state_.bytes_out);
  counters.request_seconds.Observe(took);
  const bool answered = decision == Decision::kForward && state_.upstream_status != 0;
  if (answered || decision == Decision::kUpstreamError) {
    pool_counters().apdex.Count(state_.first_byte, answered && state_.upstream_status < 500,
                                pool().config().apdex, worker_.loop.now());
  }
}

void Exchange::LogAccess(Decision decision, Duration took) {
  const Config& config = state_.generation->shared->config;
  AccessRecord record;
  record.time = state_.began_wall;
  record.id = request_id_;
  record.client = client_text_;
  record.peer = client_.peer_text();
  record.method = state_.request.method;
  record.host = state_.request.host;
  record.path = target_.path;
  record.query = state_.request.query;
  record.protocol = state_.request.protocol;
  record.scheme = state_.request.scheme;
  record.ja4 = client_.tls_facts().ja4;
  record.status = state_.status;
  record.bytes_in = state_.bytes_in;
  record.bytes_out = state_.bytes_out;
  record.duration = took;
  record.first_byte = state_.first_byte;
  if (state_.tries_before + state_.tries > 0) {
    record.pool = config.pools[verdict_.pool].name;
    const Endpoint* last = lease_ ? lease_.get() : state_.last.get();
    if (last != nullptr) record.upstream = last->text;
  }
  record.upstream_status = state_.upstream_status;
  record.tries = state_.tries_before + state_.tries;
  record.decision = DecisionName(decision);
  if (permit_ || state_.turned_away)
    record.traffic_class = TrafficClassName(verdict_.traffic_class);
  record.queued = state_.queued;
  record.is_protected = state_.protection.has_value();
  record.held = state_.held;
  record.rule = rule_name();
  record.tags = verdict_.tags;
  const auto tightest = std::min_element(verdict_.limits.begin(), verdict_.limits.end(),
                                         [](const LimitOutcome& a, const LimitOutcome& b) {
                                           return a.state.remaining < b.state.remaining;
                                         });
  if (tightest != verdict_.limits.end()) {
    record.limit = config.policy->limits()[tightest->limit].name;
    record.limit_remaining = tightest->state.remaining;
  }
  if (!state_.refused) {
    record.user_agent = client_.head().Get(Field::kUserAgent);
    record.referer = client_.head().Get(Field::kReferer);
  }
  record.end = state_.end;
  if (!state_.end.empty()) record.step = StepName(state_.ended_at);
  record.generation = state_.generation->shared->number;
  worker_.access_log.Write(worker_.index, record);
}

}  // namespace spillway
