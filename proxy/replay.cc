// SPDX-License-Identifier: MIT
// A line becomes a request as one from a socket does, by IdentifyTarget; where the log has the
// normalised path already, as spillway's JSON does, that is taken as it is.
#include "proxy/replay.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "spillway/mix.h"
#include "spillway/printable.h"
#include "spillway/target.h"

namespace spillway {
namespace {

constexpr std::string_view kOwnPaths = "/.spillway/";
constexpr std::uint64_t kSeed = 1;  // the same input, the same report
constexpr HashSecret kMemoSecret = {1, 2};
constexpr TimePoint kStart{std::chrono::hours(1)};  // of the clock: buckets begin full

KnownFields KnownBy(LogForm form, bool query, bool host) {
  KnownFields known;
  known.query = query;
  known.protocol = true;
  if (form != LogForm::kCommon) known.headers = {"user-agent", "referer"};
  known.scheme = known.ja4 = form == LogForm::kJson;
  known.host = host || form == LogForm::kJson;
  return known;
}

}  // namespace

std::string_view OutcomeName(std::size_t action) {
  static constexpr std::string_view kNames[] = {"forward",  "deny",    "limit", "challenge",
                                                "redirect", "respond", "drop",  "bad_request"};
  static_assert(std::size(kNames) == kOutcomes);
  return kNames[action];
}

std::size_t AddressHash::operator()(const IpAddress& address) const {
  std::uint64_t high = 0, low = 0;
  std::memcpy(&high, address.bytes().data(), 8);
  std::memcpy(&low, address.bytes().data() + 8, 8);
  return Mix(Mix(high) ^ low);
}

// ---- one rule set

Result<std::unique_ptr<ReplaySide>> ReplaySide::Create(Config config,
                                                       const ReplayAssumptions& assumptions) {
  std::unique_ptr<ReplaySide> side(new ReplaySide(std::move(config)));
  const Policy& policy = side->policy();
  constexpr auto kAllKeys = std::numeric_limits<std::uint64_t>::max();
  Result<TrialTables> tables = TrialTables::Create(policy, kAllKeys);
  if (!tables) return Fail(tables.error().message);
  side->tables_ = std::move(*tables);
  for (const std::string& toggle : policy.toggles()) {
    const auto said = assumptions.toggles.find(toggle);
    side->toggles_.push_back(said == assumptions.toggles.end() ? std::nullopt
                                                               : std::optional<bool>(said->second));
  }
  side->memo_ = std::make_unique<MatchMemo>(kMemoSecret);
  side->passes_known_ = assumptions.passes != AssumedPasses::kUnknown;
  side->passes_.holds = assumptions.passes == AssumedPasses::kEverybody;
  side->host_known_ = !assumptions.host.empty();
  side->rules_.resize(policy.rules().size());
  return side;
}

PartialJudge& ReplaySide::JudgeFor(LogForm form, bool query) {
  std::optional<PartialJudge>& judge =
      judges_[static_cast<std::size_t>(form) * 2 + (query ? 1 : 0)];
  if (!judge) judge.emplace(config_.policy, KnownBy(form, query, host_known_), toggles_);
  return *judge;
}

Outcome ReplaySide::Judge(const Entry& entry, TimePoint now, WallTime wall) {
  if (!entry.raw_path.empty() && config_.clients.ambiguous_paths == AmbiguousPaths::kRefuse &&
      !RequireOneReading(entry.raw_path)) {
    ++outcomes_[kRefusedUnjudged];
    return {kRefusedUnjudged};
  }
  PartialJudge& judge = JudgeFor(entry.form, entry.query);
  Facts facts;
  facts.passes = passes_known_ ? &passes_ : nullptr;
  facts.limits = tables_.limits;
  facts.shadow_limits = tables_.shadow_limits;
  facts.seed = kSeed;
  facts.memo = memo_.get();
  facts.wall = wall;
  judge.Judge(entry.request, facts, now, &verdict_, &undecided_);
  for (const RuleMatch& match : verdict_.matches) {
    RuleTally& tally = rules_[match.rule];
    ++tally.matched;
    if (match.over_limit) ++tally.over_limit;
  }
  Outcome outcome{verdict_.action.index(), verdict_.rule};
  ++outcomes_[outcome.action];
  if (verdict_.rule != kNoRule) ++rules_[verdict_.rule].ended;
  outcome.perhaps = CountUndecided(judge);
  if (outcome.perhaps != kNoRule) ++unsure_;
  if (entry.answer && policy().has_response_rules() &&
      std::holds_alternative<Forward>(verdict_.action)) {
    JudgeAnswer(entry, facts, now, &judge);
  }
  return outcome;
}

// The first that weighs, or none.
std::uint32_t ReplaySide::CountUndecided(const PartialJudge& judge) {
  std::uint32_t first = kNoRule;
  const std::span<const std::string> reasons = judge.reasons();
  for (const UndecidedRule& one : undecided_) {
    RuleTally& tally = rules_[one.rule];
    ++tally.undecided;
    ++tally.reasons[reasons[one.reason]];
    if (one.weighs && first == kNoRule) first = one.rule;
  }
  return first;
}

// What the server said then, by the rules on responses, at the time of the request: a log holds no
// other.
void ReplaySide::JudgeAnswer(const Entry& entry, const Facts& facts, TimePoint now,
                             PartialJudge* judge) {
  for (const RuleMatch& match :
       judge->JudgeResponse(entry.request, *entry.answer, facts, now, &verdict_, &undecided_)) {
    ++rules_[match.rule].matched;
    if (match.over_limit) ++rules_[match.rule].over_limit;
  }
  CountUndecided(*judge);
  const bool unsure = std::any_of(
      undecided_.begin(), undecided_.end(),
      [&](const UndecidedRule& one) { return !one.shadow && policy().rules()[one.rule].limits; });
  if (unsure) ++unsure_answers_;
}

// ---- the log

Replay::Replay(std::unique_ptr<ReplaySide> after, std::unique_ptr<ReplaySide> before,
               std::string host)
    : after_(std::move(after)),
      before_(std::move(before)),
      host_(std::move(host)),
      judges_answers_(after_->policy().has_response_rules() ||
                      (before_ != nullptr && before_->policy().has_response_rules())) {
  if (before_ == nullptr) return;
  std::map<std::string_view, std::uint32_t> numbers;
  const auto number = [&](const ReplaySide& side, std::vector<std::uint32_t>* names) {
    for (const RuleInfo& rule : side.policy().rules()) {
      const auto next = static_cast<std::uint32_t>(numbers.size());
      names->push_back(numbers.emplace(rule.name, next).first->second);
    }
  };
  number(*after_, &after_names_);
  number(*before_, &before_names_);
}

namespace {

// With which proxies refuse, or say that no server answered; 444 and 499 are nginx's.
bool MayBeAProxys(int status) {
  constexpr int kStatuses[] = {0, 400, 403, 408, 413, 414, 429, 431, 444, 499, 502, 503, 504};
  return std::find(std::begin(kStatuses), std::end(kStatuses), status) != std::end(kStatuses);
}

// What a server said to it then, as far as the log tells; nothing: it went to one, and either none
// answered, or by 101, which no rule judges.
std::optional<KnownAnswer> AnswerOf(const LoggedRequest& logged) {
  using Is = KnownAnswer::Is;
  const bool json = logged.form == LogForm::kJson;
  const int status = json ? logged.upstream_status : logged.status;
  if (status == 101) return std::nullopt;
  if (json && status == 0) {
    if (logged.decision == "forward") return std::nullopt;
    return KnownAnswer{logged.decision.empty() ? Is::kPerhapsRefused : Is::kRefused, 0};
  }
  if (!json && MayBeAProxys(status)) return KnownAnswer{Is::kPerhapsRefused, 0};
  return KnownAnswer{Is::kGiven, status};
}

}  // namespace

// False when it is nothing that rules judge.
bool Replay::MakeRequest(const LoggedRequest& logged, std::string_view* raw_path) {
  if (logged.method.empty() || logged.path.empty()) return ++no_request_, false;
  const auto client = IpAddress::Parse(logged.client);
  if (!client) return ++no_request_, false;
  request_ = {};
  request_.client = *client;
  request_.method = logged.method;
  request_.target = logged.path;
  request_.protocol = logged.protocol;
  std::size_t headers = 0;
  if (!logged.user_agent.empty()) headers_[headers++] = {"user-agent", logged.user_agent};
  if (!logged.referer.empty()) headers_[headers++] = {"referer", logged.referer};
  request_.headers = {headers_.data(), headers};
  if (logged.form == LogForm::kJson) {
    // It was refused before it was judged; what was refused later had a pool.
    if (logged.decision == "bad_request" && logged.pool.empty()) return ++refused_, false;
    request_.path = logged.path;
    request_.query = logged.query;
    request_.host = logged.host;
    request_.scheme = logged.scheme;
    request_.ja4 = logged.ja4;
  } else if (IdentifyTarget(host_, &request_, &texts_)) {
    *raw_path = logged.path.substr(0, logged.path.find('?'));
  } else if (logged.status != 400 && logged.path.starts_with('/')) {
    // No target can be like this, but it was served: spillway's own combined format, which has the
    // normalised path.
    request_.host = host_;
    request_.path = logged.path.substr(0, logged.path.find('?'));
    request_.query = logged.path.substr(std::min(request_.path.size() + 1, logged.path.size()));
  } else {
    return ++refused_, false;
  }
  if (request_.path.starts_with(kOwnPaths)) return ++own_, false;
  return true;
}

// Whether the two sides do something else with it.
bool Replay::Judge(const LoggedRequest& logged, bool query) {
  if (!begun_) first_ = clock_ = logged.time;
  begun_ = true;
  if (logged.time < clock_) ++late_;
  clock_ = std::max(clock_, logged.time);
  whole_seconds_ = whole_seconds_ || logged.whole_seconds;
  json_ = json_ || logged.form == LogForm::kJson;
  std::string_view raw_path;
  if (!MakeRequest(logged, &raw_path)) return false;
  ++requests_;
  const TimePoint now = kStart + (clock_ - first_);
  const std::optional<KnownAnswer> answer = judges_answers_ ? AnswerOf(logged) : std::nullopt;
  const ReplaySide::Entry entry{request_, logged.form, query, raw_path, answer};
  is_ = after_->Judge(entry, now, clock_);
  Family& family = families_[family_memo_.Of(logged.user_agent)];
  ++family.requests;
  const bool affected = is_.action != 0, perhaps = is_.perhaps != kNoRule;
  if (affected) ++family.affected;
  if (perhaps) ++family.perhaps;
  if (affected || perhaps) {
    clients_.Add(request_.client.AsClient(after_->config().clients.ipv6_prefix));
  }
  if (before_ == nullptr) return false;
  was_ = before_->Judge(entry, now, clock_);
  const bool same = KeyOf(is_, after_names_) == KeyOf(was_, before_names_);
  if (same) ++same_;
  return !same;
}

Replay::OutcomeKey Replay::KeyOf(const Outcome& outcome,
                                 const std::vector<std::uint32_t>& names) const {
  return {outcome.action, outcome.rule == kNoRule ? kNoRule : names[outcome.rule],
          outcome.perhaps == kNoRule ? kNoRule : names[outcome.perhaps]};
}

Difference* Replay::CountDifference() {
  const std::pair key(KeyOf(was_, before_names_), KeyOf(is_, after_names_));
  auto found = differences_.find(key);
  if (found == differences_.end()) {
    if (differences_.size() == kDifferences) return ++other_differences_, nullptr;
    found = differences_.emplace(key, Difference{was_, is_, 0, {}}).first;
  }
  Difference& difference = found->second;
  ++difference.count;
  return difference.examples.size() < kExamples ? &difference : nullptr;
}

void Replay::AddExample(const LoggedRequest& logged, const std::string& place, Difference* to) {
  std::string what(logged.method);
  what.append(" ").append(logged.path);
  if (!logged.user_agent.empty()) what.append(" ").append(logged.user_agent);
  to->examples.push_back(place + ": " + std::string(logged.client) + " " +
                         PrintableStart(what, kLongestExample));
}

std::vector<Difference> Replay::Differences() const {
  std::vector<Difference> all;
  for (const auto& [key, difference] : differences_) all.push_back(difference);
  std::stable_sort(all.begin(), all.end(),
                   [](const Difference& a, const Difference& b) { return a.count > b.count; });
  return all;
}

}  // namespace spillway
