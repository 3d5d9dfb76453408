// SPDX-License-Identifier: MIT
// The steps of an exchange that need no upstream: decide, reply.
#include "proxy/exchange.h"

#include <algorithm>
#include <utility>

#include "proxy/challenge_gate.h"
#include "proxy/challenge_page.h"
#include "proxy/client_side.h"
#include "proxy/log.h"
#include "proxy/reuse.h"
#include "proxy/worker_surroundings.h"

namespace spillway {
namespace {

// Paths that spillway answers itself, before any rule.
constexpr std::string_view kOwnPaths = "/.spillway/";

// A form with a challenge's solution is never larger.
constexpr std::size_t kMostInternalBody = 8 * 1024;

}  // namespace

std::string_view StepName(Step step) {
  switch (step) {
    case Step::kReadHead:
      return "read head";
    case Step::kIdentify:
      return "identify";
    case Step::kDecide:
      return "decide";
    case Step::kAdmit:
      return "admit";
    case Step::kPickServer:
      return "pick server";
    case Step::kConnect:
      return "connect";
    case Step::kSend:
      return "send";
    case Step::kRelay:
      return "relay";
    case Step::kTunnel:
      return "tunnel";
    case Step::kReply:
      return "reply";
    case Step::kAccount:
      return "account";
  }
  return "";
}

Exchange::Exchange(ClientSide& client) : client_(client), worker_(client.worker()) {}
Exchange::~Exchange() = default;

void Exchange::Begin() {
  Start();
  Proceed();
  ArmUpstream();
}

void Exchange::Proceed() {
  step_ = Step::kIdentify;
  if (!Identify()) return;
  if (target_.path.starts_with(kOwnPaths)) {
    state_.internal = true;
    return AnswerInternally();
  }
  ReadProtection();
  Decide();
  CarryOut();
}

void Exchange::Refuse(int status, std::string_view why) {
  step_ = Step::kReadHead;
  Start();
  state_.refused = true;
  EndEarly(why);
  state_.request.client = client_.peer();
  client_text_ = client_.peer_text();
  step_ = Step::kIdentify;
  ReplyError(status, why, Decision::kBadRequest);
}

// REQUIRES: the request before it has been accounted for; so nothing of it is left.
void Exchange::Start() {
  state_.generation = worker_.generation;
  state_.began = worker_.loop.now();
  state_.began_wall = worker_.wall_now();
}

// Nothing of a request outlives it: an idle connection must not keep a generation alive. Only how
// its host was read does, which is 255 bytes at most.
void Exchange::ForgetAll() {
  std::destroy_at(&state_);  // made in its place: it is large, and most of it is nothing
  std::construct_at(&state_);
  verdict_.Clear();  // its views borrow from the policy
  for (std::string* text :
       {&target_.path, &target_.target, &request_id_, &client_text_, &internal_body_, &head_,
        &protection_field_, &answer_.fields, &answer_.body}) {
    ClearForReuse(text);
  }
  answer_.mould = nullptr;
  tried_.clear();
  vectors_.clear();
  ClearForReuse(&limit_fields_);
  ClearForReuse(&response_fields_);
}

// ---- decide

Facts Exchange::KnownFacts(const Surroundings& surroundings) const {
  const Generation& shared = *state_.generation->shared;
  Facts facts;
  facts.toggles = {state_.generation->toggles.get(), shared.config.policy->toggles().size()};
  facts.limits = state_.generation->limits;
  facts.shadow_limits = state_.generation->shadow_limits;
  facts.seed = shared.hash_seed;
  facts.memo = &state_.generation->memo;
  facts.wall = state_.began_wall;
  facts.surroundings = &surroundings;
  return facts;
}

void Exchange::Decide() {
  step_ = Step::kDecide;
  const Generation& shared = *state_.generation->shared;
  const ChallengeGate gate(*shared.challenge, state_.began_wall, state_.protection.has_value());
  const WorkerSurroundings surroundings(*state_.generation, state_.began);
  Facts facts = KnownFacts(surroundings);
  facts.passes = &gate;
  Forecast* const forecast = state_.generation->forecast;
  facts.foresee = forecast != nullptr;
  shared.config.policy->Decide(state_.request, facts, state_.began, &verdict_);
  state_.bot = surroundings.bot();
  if (forecast != nullptr) {
    forecast->Count(state_.began);
    for (const Foreseen& one : verdict_.foreseen) forecast->Note(state_.request, one, state_.began);
  }
  CountMatches(verdict_.matches);
}

// What the server answered, by the rules on responses; it stays as it is.
void Exchange::JudgeResponse(const ResponseHead& head) {
  const Policy& policy = *state_.generation->shared->config.policy;
  if (!policy.has_response_rules()) return;
  const TimePoint now = worker_.loop.now();
  const WorkerSurroundings surroundings(*state_.generation, now);
  CountMatches(policy.JudgeResponse(state_.request, {head.status, head.headers},
                                    KnownFacts(surroundings), now, &verdict_));
}

void Exchange::CountMatches(std::span<const RuleMatch> matches) {
  for (const RuleMatch& match : matches) {
    RuleCounters& counters = *state_.generation->rule_counters[match.rule];
    (match.shadow ? counters.shadow : counters.enforced).Add();
    if (match.over_limit) (match.shadow ? counters.shadow_over_limit : counters.over_limit).Add();
  }
}

std::string_view Exchange::rule_name() const {
  if (verdict_.rule == kNoRule) return {};
  return state_.generation->shared->config.policy->rules()[verdict_.rule].name;
}

AnswerContext Exchange::answer_context() {
  return {.audience = state_.refused ? Audience::kClient : JudgeAudience(client_.head()),
          .request_id = request_id_,
          .rule = rule_name(),
          .chance = worker_.chance.Next()};
}

// The verdict's final action, done.
void Exchange::CarryOut() {
  const FinalAction& action = verdict_.action;
  if (std::holds_alternative<spillway::Forward>(action)) {
    return client_.head().max_forwards == 0U ? AnswerAsLastHop() : Forward();
  }
  if (const auto* deny = std::get_if<Deny>(&action)) {
    return ReplyError(deny->status, "a rule of this site refuses this request", Decision::kDeny);
  }
  if (const auto* over = std::get_if<OverLimit>(&action)) {
    state_.generation->answers.SayOverLimit(verdict_.rule, *over, verdict_.limits, answer_context(),
                                            &answer_);
    if (!client_.takes_moulds() || state_.request.method == "HEAD") Complete(&answer_);
    return Reply(answer_, Decision::kLimit);
  }
  if (const auto* challenge = std::get_if<Challenge>(&action)) {
    worker_.counters.challenges_issued.Add();
    const ChallengeGate gate(*state_.generation->shared->challenge, state_.began_wall);
    return Reply(gate.Ask(state_.request, challenge->demand,
                          {worker_.ids.Next(), worker_.ids.Next()}, answer_context()),
                 Decision::kChallenge);
  }
  if (const auto* redirect = std::get_if<Redirect>(&action)) {
    SayRedirect(*redirect, answer_context(), &answer_);
    return Reply(answer_, Decision::kRedirect);
  }
  if (const auto* respond = std::get_if<Respond>(&action)) {
    SayResponse(*respond, answer_context(), &answer_);
    return Reply(answer_, Decision::kRespond);
  }
  state_.decision = Decision::kDrop;
  EndEarly("dropped by rule");
  Account();
  client_.Close(/*reset=*/true);
}

// ---- reply

// Max-Forwards: 0 asks whoever gets it, and is not to go on (RFC 9110 7.6.2). What the resource
// allows only its server could say. A TRACE would show the client what proxies before us added.
void Exchange::AnswerAsLastHop() {
  if (state_.request.method == "TRACE") {
    return ReplyError(501, "TRACE is passed on, but not answered here", Decision::kInternal);
  }
  SayResponse(Respond{}, answer_context(), &answer_);
  Reply(answer_, Decision::kInternal);
}

// Solutions of challenges. A form arrives in the body, of which a bounded part is kept.
void Exchange::AnswerInternally() {
  step_ = Step::kReply;
  if (client_.head().content_length > kMostInternalBody) {
    return ReplyError(413, "the form is too large", Decision::kInternal);
  }
  ParseStep step;
  do {
    while ((step = client_.NextBodyPiece()) == ParseStep::kBody) {
      const std::string_view piece = client_.body();
      state_.bytes_in += piece.size();
      if (internal_body_.size() + piece.size() > kMostInternalBody) {
        return ReplyError(413, "the form is too large", Decision::kInternal);
      }
      internal_body_.append(piece);
    }
  } while (step == ParseStep::kNeedMore && client_.ReadBodyAgain());
  if (step == ParseStep::kNeedMore) {
    ResponseHead go_on;
    go_on.status = 100;
    go_on.reason = "Continue";
    if (client_.awaits_continue() && !client_.SendInterim(go_on)) return OnClientGone();
    return client_.WantBody(true);
  }
  client_.WantBody(false);
  if (step == ParseStep::kFailed) {
    return ReplyError(client_.error_status(), client_.error(), Decision::kBadRequest);
  }
  state_.request_done = true;
  const ChallengeGate gate(*state_.generation->shared->challenge, state_.began_wall);
  bool passed = false;
  const Answer answer = gate.Solve(state_.request, internal_body_, answer_context(), &passed);
  if (target_.path == kChallengePath) {
    (passed ? worker_.counters.challenges_passed : worker_.counters.challenges_failed).Add();
  }
  Reply(answer, Decision::kInternal);
}

void Exchange::ReplyError(int status, std::string_view detail, Decision decision) {
  SayError(status, detail, answer_context(), &answer_);
  Reply(answer_, decision);
}

// An answer of our own. What has been read of the request's body is passed over; when that is not
// all of it, the connection cannot be used again.
void Exchange::Reply(const Answer& answer, Decision decision) {
  step_ = Step::kReply;
  state_.decision = decision;
  state_.status = answer.status;
  if (!state_.refused && !state_.request_done) {
    ParseStep step;
    while ((step = client_.NextBodyPiece()) == ParseStep::kBody) {
    }
    state_.request_done = step == ParseStep::kEnd;
  }
  state_.keep_client =
      state_.keep_client && !state_.refused && state_.request_done && client_.may_keep();
  const bool head_only = state_.request.method == "HEAD";
  if (!head_only) state_.bytes_out += BodySize(answer);
  if (!client_.SendAnswer(answer, head_only, state_.keep_client)) return OnClientGone();
  const bool keep = state_.keep_client;
  Account();
  client_.FinishExchange(keep);
}

// ---- endings

void Exchange::OnBodyTimeout() {
  if (state_.response_begun) return AbortRelay("the request body stalled");
  DropUpstream();
  state_.keep_client = false;
  ReplyError(408, "the request body did not come in time", Decision::kBadRequest);
}

void Exchange::OnClientTimeout() {
  EndEarly(step_ == Step::kTunnel ? "tunnel idle" : "client too slow");
  client_.Close(/*reset=*/step_ != Step::kTunnel);
}

void Exchange::OnClientGone() {
  if (!active()) return client_.Close();
  worker_.counters.client_aborts.Add();
  EndEarly("client left");
  client_.Close();
}

void Exchange::OnConnectionClosed() {
  if (!active()) return;
  if (state_.end.empty()) EndEarly("cut");
  Account();
}

void Exchange::EndEarly(std::string_view why) {
  state_.end = why;
  state_.ended_at = step_;
}

}  // namespace spillway
