// SPDX-License-Identifier: MIT
// The steps of an exchange that need no upstream: identify, decide, reply, account.
#include "proxy/exchange.h"

#include <algorithm>
#include <utility>

#include "proxy/challenge_gate.h"
#include "proxy/challenge_page.h"
#include "proxy/client_side.h"
#include "proxy/log.h"
#include "spillway/client_address.h"
#include "spillway/target.h"

namespace spillway {
namespace {

// Paths that spillway answers itself, before any rule.
constexpr std::string_view kOwnPaths = "/.spillway/";

// A form with a challenge's solution is never larger.
constexpr std::size_t kMostInternalBody = 8 * 1024;

// A request id is passed on when a trusted proxy set it and it is short and plain.
bool IsPlainId(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
           c == '_' || c == '.' || c == ':' || c == '/' || c == '+' || c == '=' || c == '@';
  });
}

void WriteHex(std::uint64_t value, std::string* out) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (int shift = 60; shift >= 0; shift -= 4) out->push_back(kDigits[(value >> shift) & 15]);
}

}  // namespace

std::string_view StepName(Step step) {
  switch (step) {
    case Step::kReadHead:
      return "read head";
    case Step::kIdentify:
      return "identify";
    case Step::kDecide:
      return "decide";
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
  step_ = Step::kIdentify;
  generation_ = worker_.generation;
  began_ = worker_.loop.now();
  began_wall_ = worker_.loop.wall_now();
  request_ = {};
  query_ = upstream_target_ = upstream_host_ = end_ = {};
  internal_body_.clear();
  tried_.clear();
  decision_.reset();
  first_byte_ = Duration(-1);
  tries_ = 0;
  bytes_in_ = bytes_out_ = 0;
  status_ = upstream_status_ = 0;
  request_done_ = body_touched_ = internal_ = response_begun_ = false;
  reuse_failed_ = sending_abandoned_ = client_ended_ = upstream_ended_ = false;
  keep_client_ = true;
  verdict_.Clear();

  if (!Identify()) return;
  if (path_.starts_with(kOwnPaths)) {
    internal_ = true;
    return AnswerInternally();
  }
  Decide();
  CarryOut();
}

void Exchange::Refuse(int status, std::string_view why) {
  step_ = Step::kIdentify;
  generation_ = worker_.generation;
  began_ = worker_.loop.now();
  began_wall_ = worker_.loop.wall_now();
  request_ = {};
  path_.clear();
  host_.clear();
  request_id_.clear();
  client_text_ = client_.peer_text();
  request_.client = client_.peer();
  query_ = {};
  verdict_.Clear();
  decision_.reset();
  first_byte_ = Duration(-1);
  tries_ = 0;
  bytes_in_ = bytes_out_ = 0;
  status_ = upstream_status_ = 0;
  request_done_ = response_begun_ = internal_ = keep_client_ = false;
  end_ = why;
  refused_ = true;
  ReplyError(status, why, Decision::kBadRequest);
}

// ---- identify

// Who asks for what, in the form that rules match. False when the request was refused instead.
bool Exchange::Identify() {
  const RequestHead& head = client_.head();
  const Config& config = generation_->shared->config;
  refused_ = false;
  has_body_ = head.body != BodyKind::kNone;
  request_.method = head.method;
  request_.target = head.target;
  request_.headers = head.headers;
  request_.protocol = client_.protocol();
  request_.client = client_.peer();
  path_.clear();
  host_.clear();

  peer_trusted_ = Contains(config.clients.trusted_proxies, client_.peer());
  if (peer_trusted_) {
    request_.client = IdentifyClient(client_.peer(), head.headers, config.clients.trusted_proxies,
                                     config.clients.address_header);
  }
  if (request_.client == client_.peer()) {
    client_text_ = client_.peer_text();
  } else {
    client_text_ = request_.client.ToString();
  }
  request_id_.clear();
  if (const std::string_view id = head.Get(Field::kXRequestId); peer_trusted_ && IsPlainId(id)) {
    request_id_ = id;
  } else {
    WriteHex(worker_.ids.Next(), &request_id_);
    WriteHex(worker_.ids.Next(), &request_id_);
  }
  request_.scheme = client_.encrypted() ? "https" : "http";
  if (peer_trusted_) {
    const std::string_view proto = head.Get(Field::kXForwardedProto);
    if (EqualsIgnoreCase(proto, "https")) request_.scheme = "https";
    if (EqualsIgnoreCase(proto, "http")) request_.scheme = "http";
  }

  const Result<Target> target = ParseTarget(head.target);
  if (!target) {
    return RefuseRequest(400, target.error().message);
  }
  query_ = target->query;
  request_.query = target->query;
  // In the absolute form the target's own authority counts, whatever Host says (RFC 9112 3.2.2).
  const bool absolute = !target->authority.empty();
  upstream_host_ = absolute ? target->authority : head.Get(Field::kHost);
  upstream_target_ = head.target;
  if (absolute) {
    target_.assign(target->raw_path.empty() ? "/" : target->raw_path);
    if (head.target.find('?') != std::string_view::npos)
      target_.append(1, '?').append(target->query);
    upstream_target_ = target_;
  }
  if (target->raw_path == "*") {
    path_.assign(1, '*');
  } else if (const auto normalised =
                 NormalisePath(absolute ? std::string_view(target_).substr(0, target_.find('?'))
                                        : target->raw_path,
                               &path_);
             !normalised) {
    return RefuseRequest(400, normalised.error().message);
  }
  request_.path = path_;
  if (!upstream_host_.empty()) {
    if (const auto normalised = NormaliseHost(upstream_host_, &host_); !normalised) {
      return RefuseRequest(400, normalised.error().message);
    }
  }
  request_.host = host_;
  const std::uint64_t most = config.clients.sizes.body.count;
  if (most > 0 && head.body == BodyKind::kLength && head.content_length > most) {
    return RefuseRequest(413, "the body is too large");
  }
  return true;
}

// What is wrong with one request may be wrong with all that follow on its connection: closed, never
// guessed.
bool Exchange::RefuseRequest(int status, std::string_view why) {
  keep_client_ = false;
  ReplyError(status, why, Decision::kBadRequest);
  return false;
}

// ---- decide

void Exchange::Decide() {
  step_ = Step::kDecide;
  const Generation& shared = *generation_->shared;
  const Policy& policy = *shared.config.policy;
  const ChallengeGate gate(*shared.challenge, began_wall_);
  Facts facts;
  facts.toggles = {generation_->toggles.get(), policy.toggles().size()};
  facts.passes = &gate;
  facts.limits = generation_->limits;
  facts.shadow_limits = generation_->shadow_limits;
  facts.seed = shared.hash_seed;
  policy.Decide(request_, facts, began_, &verdict_);
  for (const RuleMatch& match : verdict_.matches) {
    RuleCounters& counters = *generation_->rule_counters[match.rule];
    (match.shadow ? counters.shadow : counters.enforced).Add();
  }
}

std::string_view Exchange::rule_name() const {
  if (verdict_.rule == kNoRule) return {};
  return generation_->shared->config.policy->rules()[verdict_.rule].name;
}

AnswerContext Exchange::answer_context() {
  return {.audience = refused_ ? Audience::kClient : JudgeAudience(client_.head()),
          .request_id = request_id_,
          .rule = rule_name(),
          .chance = worker_.chance.Next()};
}

// The verdict's final action, done.
void Exchange::CarryOut() {
  const FinalAction& action = verdict_.action;
  if (std::holds_alternative<spillway::Forward>(action)) return Forward();
  if (const auto* deny = std::get_if<Deny>(&action)) {
    return ReplyError(deny->status, "a rule of this site refuses this request", Decision::kDeny);
  }
  if (const auto* over = std::get_if<OverLimit>(&action)) {
    const auto limits = generation_->shared->config.policy->limits();
    return Reply(OverLimitAnswer(*over, verdict_.limits, limits, answer_context()),
                 Decision::kLimit);
  }
  if (const auto* challenge = std::get_if<Challenge>(&action)) {
    worker_.counters.challenges_issued.Add();
    const ChallengeGate gate(*generation_->shared->challenge, began_wall_);
    return Reply(gate.Ask(request_, challenge->demand,
                          {worker_.chance.Next(), worker_.chance.Next()}, answer_context()),
                 Decision::kChallenge);
  }
  if (const auto* redirect = std::get_if<Redirect>(&action)) {
    return Reply(RedirectAnswer(*redirect, answer_context()), Decision::kRedirect);
  }
  if (const auto* respond = std::get_if<Respond>(&action)) {
    return Reply(RespondAnswer(*respond, answer_context()), Decision::kRespond);
  }
  decision_ = Decision::kDrop;
  Account("dropped by rule");
  client_.Close(/*reset=*/true);
}

// ---- reply

// Solutions of challenges. A form arrives in the body, of which a bounded part is kept.
void Exchange::AnswerInternally() {
  step_ = Step::kReply;
  ParseStep step;
  do {
    while ((step = client_.NextBodyPiece()) == ParseStep::kBody) {
      const std::string_view piece = client_.body();
      bytes_in_ += piece.size();
      if (internal_body_.size() + piece.size() > kMostInternalBody) {
        return ReplyError(413, "the form is too large", Decision::kInternal);
      }
      internal_body_.append(piece);
    }
  } while (step == ParseStep::kNeedMore && client_.ReadBodyAgain());
  if (step == ParseStep::kNeedMore) return client_.WantBody(true);
  client_.WantBody(false);
  if (step == ParseStep::kFailed) return ReplyError(400, client_.error(), Decision::kBadRequest);
  request_done_ = true;
  const ChallengeGate gate(*generation_->shared->challenge, began_wall_);
  bool passed = false;
  const Answer answer = gate.Solve(request_, internal_body_, answer_context(), &passed);
  if (path_ == kChallengePath) {
    (passed ? worker_.counters.challenges_passed : worker_.counters.challenges_failed).Add();
  }
  Reply(answer, Decision::kInternal);
}

void Exchange::ReplyError(int status, std::string_view detail, Decision decision) {
  Reply(ErrorAnswer(status, detail, answer_context()), decision);
}

// An answer of our own. What has been read of the request's body is passed over; when that is not
// all of it, the connection cannot be used again.
void Exchange::Reply(const Answer& answer, Decision decision) {
  step_ = Step::kReply;
  decision_ = decision;
  status_ = answer.status;
  if (!refused_ && !request_done_) {
    const bool waits = client_.head().expect_continue && !body_touched_;
    ParseStep step = ParseStep::kNeedMore;
    while (!waits && (step = client_.NextBodyPiece()) == ParseStep::kBody) {
    }
    request_done_ = step == ParseStep::kEnd;
  }
  keep_client_ = keep_client_ && !refused_ && request_done_ && client_.may_keep();
  const bool head_only = request_.method == "HEAD";
  if (!head_only) bytes_out_ += answer.body.size();
  if (!client_.SendAnswer(answer, head_only, keep_client_, began_wall_)) return OnClientGone();
  const bool keep = keep_client_;
  Account(end_);
  client_.FinishExchange(keep);
}

// ---- endings

void Exchange::OnBodyTimeout() {
  if (response_begun_) return AbortRelay("the request body stalled");
  DropUpstream();
  keep_client_ = false;
  ReplyError(408, "the request body did not come in time", Decision::kBadRequest);
}

void Exchange::OnClientTimeout() {
  end_ = step_ == Step::kTunnel ? "tunnel idle" : "client too slow";
  client_.Close(/*reset=*/step_ != Step::kTunnel);
}

void Exchange::OnClientGone() {
  end_ = "client left";
  client_.Close();
}

void Exchange::OnConnectionClosed() {
  if (active()) Account(end_.empty() ? "cut" : end_);
}

// ---- account

// Every exchange ends here, once: it lets go of all it held, and what happened is counted and
// logged.
void Exchange::Account(std::string_view end) {
  if (step_ == Step::kAccount) return;
  step_ = Step::kAccount;
  const Decision decision = decision_.value_or(Decision::kBadRequest);
  const Duration took = worker_.loop.now() - began_;
  WorkerCounters& counters = worker_.counters;
  counters.decisions[static_cast<std::size_t>(decision)].Add();
  counters.status_classes[static_cast<std::size_t>(status_) / 100 % 6].Add();
  counters.bytes_in.Add(bytes_in_);
  counters.bytes_out.Add(bytes_out_);
  counters.request_seconds.Observe(took);

  if (worker_.access_log.enabled()) {
    const Config& config = generation_->shared->config;
    AccessRecord record;
    record.time = began_wall_;
    record.id = request_id_;
    record.client = client_text_;
    record.peer = client_.peer_text();
    record.method = request_.method;
    record.host = host_;
    record.path = path_;
    record.query = query_;
    record.protocol = request_.protocol;
    record.scheme = request_.scheme;
    record.status = status_;
    record.bytes_in = bytes_in_;
    record.bytes_out = bytes_out_;
    record.duration = took;
    record.first_byte = first_byte_;
    if (tries_ > 0) {
      record.pool = config.pools[verdict_.pool].name;
      const Endpoint* last = lease_ ? lease_.get() : failed_.get();
      if (last != nullptr) record.upstream = last->text;
    }
    record.upstream_status = upstream_status_;
    record.tries = tries_;
    record.decision = DecisionName(decision);
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
    if (!refused_) {
      record.user_agent = client_.head().Get(Field::kUserAgent);
      record.referer = client_.head().Get(Field::kReferer);
    }
    record.end = end;
    record.generation = generation_->shared->number;
    worker_.access_log.Write(worker_.index, record);
  }
  DropUpstream();
  verdict_.Clear();  // its views borrow from the policy,
  failed_.reset();
  generation_.reset();  // which an idle connection must not keep alive
}

}  // namespace spillway
