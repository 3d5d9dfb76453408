// SPDX-License-Identifier: MIT
// Buckets become full by waiting, which costs nothing where the clock is one's own; only when it has
// gone far ahead are the tables made anew. They are small: what is judged between two beginnings is
// one client's, so few keys come together.
#include "spillway/rehearsal.h"

#include <algorithm>

#include "rules/compiled_rules.h"
#include "rules/gcra.h"

namespace spillway {
namespace {

constexpr std::uint64_t kKeys = 1024;
constexpr TimePoint kStart{std::chrono::hours(24)};
// A limit's arithmetic ends at 18 years (rules/gcra.h), and a test may last for 11.
constexpr TimePoint kLatest{std::chrono::hours(24 * 365 * 5)};

}  // namespace

Rehearsal::Rehearsal(const Config& config, HashSecret secret)
    : config_(config),
      memo_(secret),
      around_(config.bots.known),
      toggles_(std::make_unique<bool[]>(config.toggles.size() + 1)),
      begin_(kStart),
      full_(kStart) {
  ResetToggles();
}

Result<std::unique_ptr<Rehearsal>> Rehearsal::Create(const Config& config, HashSecret secret) {
  std::unique_ptr<Rehearsal> rehearsal(new Rehearsal(config, secret));
  if (Result<void> made = rehearsal->MakeTables(); !made) return Fail(made.error().message);
  return rehearsal;
}

void Rehearsal::ResetToggles() {
  for (std::size_t i = 0; i < config_.toggles.size(); ++i) {
    toggles_[i] = config_.toggles[i].initial;
  }
}

Result<void> Rehearsal::MakeTables() {
  Result<TrialTables> made = TrialTables::Create(*config_.policy, kKeys);
  if (!made) return Fail(made.error().message);
  tables_ = std::move(*made);
  return {};
}

Facts Rehearsal::facts(Duration after) {
  Facts facts;
  facts.toggles = {toggles_.get(), config_.toggles.size()};
  facts.passes = &passes_;
  facts.limits = tables_.limits;
  facts.shadow_limits = tables_.shadow_limits;
  facts.memo = &memo_;
  facts.left_out = left_out_;
  facts.wall = wall_ + after;
  facts.surroundings = &around_;
  return facts;
}

const Verdict& Rehearsal::Judge(const Request& request, Duration after) {
  const TimePoint now = begin_ + after;
  after_ = after;
  config_.policy->Decide(request, facts(after), now, &verdict_);
  full_ = std::max(full_, now);
  for (const LimitOutcome& limit : verdict_.limits) {
    full_ = std::max(full_, now + limit.state.reset);
  }
  return verdict_;
}

// A bucket that an answer is charged to is taken for empty: then it is full again at the latest.
void Rehearsal::Answer(const Request& request, const Response& response) {
  const Policy& policy = *config_.policy;
  if (!policy.has_response_rules()) return;
  const TimePoint now = begin_ + after_;
  for (const RuleMatch& match :
       policy.JudgeResponse(request, response, facts(after_), now, &verdict_)) {
    if (match.shadow) continue;
    for (const std::uint32_t limit : policy.compiled().rules[match.rule].action.limits) {
      full_ = std::max(full_, now + Duration(Gcra::For(policy.limits()[limit].spec, 1).full));
    }
  }
}

std::vector<RuleTrace> Rehearsal::Explain(const Request& request) {
  return config_.policy->Explain(request, facts(after_), verdict_);
}

// Limits of rules in shadow mode stay as they are: nothing comes of them.
Result<void> Rehearsal::Fresh() {
  begin_ = full_;
  if (begin_ <= kLatest) return {};
  begin_ = full_ = kStart;
  return MakeTables();
}

}  // namespace spillway
