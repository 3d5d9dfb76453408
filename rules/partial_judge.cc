// SPDX-License-Identifier: MIT
// Once for a rule set and what is known: which rules can be undecided at all. Once for a request:
// their conditions in three values; those that are unknown are left out, and Decide does the rest.
#include "spillway/partial_judge.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "rules/bits.h"
#include "rules/compiled_rules.h"
#include "spillway/trial.h"

namespace spillway {
namespace {

enum class Truth : std::uint8_t { kFalse, kUnknown, kTrue };

// What is not listed here is unknown: a source that is new must be thought of.
bool IsKnown(const FieldId& field, const KnownFields& known) {
  const std::string_view name = field.source->name;
  for (const std::string_view always : {"method", "path", "path.1", "path.2", "path.3", "path.4",
                                        "client.address", "sample", "time"}) {
    if (name == always) return true;
  }
  if (name == "header.NAME") {
    return std::find(known.headers.begin(), known.headers.end(), field.name) != known.headers.end();
  }
  return (name == "host" && known.host) || (name == "scheme" && known.scheme) ||
         (name == "protocol" && known.protocol) || (name == "query.NAME" && known.query) ||
         (name == "tls.ja4" && known.ja4) ||
         (name == "tls.client_certificate" && known.client_certificate);
}

constexpr std::uint32_t kNoReason = 0xffffffff;

// A rule that can be undecided.
struct Doubt {
  std::uint32_t rule = 0;
  // Whatever else is known, if its condition is not false: its toggle's state, or what a limit of
  // it counts by.
  std::uint32_t reason = kNoReason;
  bool shadow = false, weighs = false;
};

}  // namespace

struct PartialJudge::Impl {
  std::shared_ptr<const Policy> policy;
  const CompiledRules& rules;
  std::vector<std::string> reasons;
  std::vector<std::uint32_t> unknown;  // test -> the reason, or kNoReason: it is known
  // Tests that ask for an answer's status: known or not from one answer to the next.
  std::vector<std::uint32_t> status_tests;
  std::vector<bool> challenges, weighs;  // by rule
  std::vector<Doubt> doubts;
  // Of the rules on responses those that can be undecided where the answer's status is known, and all.
  std::vector<Doubt> response_doubts, on_response;
  std::unique_ptr<bool[]> toggles;
  std::uint32_t no_pass = 0, refused = 0, perhaps_refused = 0;  // reasons
  // Who is asked for a pass would have one. Whether one was asked for is told by the verdict.
  TrialPasses supposed{/*everybody=*/true};
  // Of one request
  MatchScratch match;
  Bits ran, holds, left_out;

  explicit Impl(std::shared_ptr<const Policy> of)
      : policy(std::move(of)), rules(policy->compiled()) {}

  std::uint32_t Reason(std::string text) {
    const auto found = std::find(reasons.begin(), reasons.end(), text);
    if (found != reasons.end()) return static_cast<std::uint32_t>(found - reasons.begin());
    reasons.push_back(std::move(text));
    return static_cast<std::uint32_t>(reasons.size() - 1);
  }

  void FindDoubts(const KnownFields& known, std::span<const std::optional<bool>> states);

  bool Test(std::uint32_t test, const Scene& scene, MatchMemo* memo) {
    const std::uint32_t stage = rules.fields.stage_of(test);
    if (!Bit(ran, stage)) {
      SetBit(&ran, stage);
      rules.fields.Run(stage, scene, &match, memo, [&](std::uint32_t hit) { SetBit(&holds, hit); });
    }
    return Bit(holds, test);
  }

  // *why: the first test that leaves it unknown, where it is so.
  Truth Condition(std::uint32_t step, const Scene& scene, MatchMemo* memo, std::uint32_t* why) {
    const ConditionStep& node = rules.steps[step];
    if (node.kind == Expression::Kind::kTest) {
      if (unknown[node.test] != kNoReason) {
        if (*why == kNoReason) *why = unknown[node.test];
        return Truth::kUnknown;
      }
      return Test(node.test, scene, memo) ? Truth::kTrue : Truth::kFalse;
    }
    if (node.kind == Expression::Kind::kNot) {
      const Truth part = Condition(step + 1, scene, memo, why);
      return part == Truth::kUnknown ? part : part == Truth::kTrue ? Truth::kFalse : Truth::kTrue;
    }
    const bool all = node.kind == Expression::Kind::kAll;
    const Truth decides = all ? Truth::kFalse : Truth::kTrue;
    Truth whole = all ? Truth::kTrue : Truth::kFalse;
    for (std::uint32_t i = step + 1; i < node.end; i = rules.steps[i].end) {
      const Truth part = Condition(i, scene, memo, why);
      if (part == decides) return decides;
      if (part == Truth::kUnknown) whole = part;
    }
    return whole;
  }

  void SetStatusTests(std::uint32_t reason) {
    for (const std::uint32_t test : status_tests) unknown[test] = reason;
  }

  // Of another scene nothing is found out yet.
  void Begin() {
    ran.assign((rules.fields.stages() + 63) / 64, 0);
    holds.assign((rules.fields.tests() + 63) / 64, 0);
    match.Reset();
  }

  // Leaves out those of these rules that are undecided.
  void FindUndecided(std::span<const Doubt> among, const Scene& scene, MatchMemo* memo,
                     std::vector<UndecidedRule>* undecided) {
    Begin();
    std::fill(left_out.begin(), left_out.end(), 0);
    for (const Doubt& doubt : among) {
      std::uint32_t why = doubt.reason;
      const Truth truth = Condition(rules.rules[doubt.rule].condition, scene, memo, &why);
      if (truth == Truth::kFalse || (truth == Truth::kTrue && doubt.reason == kNoReason)) continue;
      SetBit(&left_out, doubt.rule);
      undecided->push_back({doubt.rule, why, doubt.shadow, doubt.weighs});
    }
  }
};

void PartialJudge::Impl::FindDoubts(const KnownFields& known,
                                    std::span<const std::optional<bool>> states) {
  unknown.assign(rules.fields.tests(), kNoReason);
  for (std::uint32_t test = 0; test < rules.fields.tests(); ++test) {
    const FieldId& field = rules.fields.field_of(test);
    if (!IsKnown(field, known)) unknown[test] = Reason(NameOf(field));
    if (field.source->name == "response.status") status_tests.push_back(test);
  }
  SetStatusTests(kNoReason);
  no_pass = Reason("a pass");
  refused = Reason("an answer (refused then)");
  perhaps_refused = Reason("an answer (perhaps refused then)");
  for (std::uint32_t i = 0; i < rules.rules.size(); ++i) {
    const CompiledRule& rule = rules.rules[i];
    const FinalText* final_text = rule.action.final_action.get();
    challenges.push_back(final_text != nullptr &&
                         std::holds_alternative<Challenge>(final_text->action));
    weighs.push_back(!rule.shadow && (final_text != nullptr || !rule.action.limits.empty()));
    if (rules.infos[i].mode == RuleInfo::Mode::kOff) continue;
    const bool responds = rules.infos[i].on_response;
    Doubt doubt{i, kNoReason, rule.shadow, weighs.back() && !responds};
    if (rule.toggle != kNoRule) {
      if (!states[rule.toggle]) doubt.reason = Reason("toggle " + rules.toggles[rule.toggle]);
      if (states[rule.toggle] == false) continue;
    }
    for (const std::uint32_t limit : rule.action.limits) {
      for (const FieldId& part : rules.limit_keys[limit].parts) {
        if (doubt.reason == kNoReason && !IsKnown(part, known)) {
          doubt.reason = Reason(NameOf(part) + " (a limit counts by it)");
        }
      }
    }
    bool in_doubt = doubt.reason != kNoReason;
    for (std::uint32_t step = rule.condition; step < rules.steps[rule.condition].end; ++step) {
      const ConditionStep& node = rules.steps[step];
      if (node.kind == Expression::Kind::kTest && unknown[node.test] != kNoReason) in_doubt = true;
    }
    if (responds) on_response.push_back(doubt);
    if (in_doubt) (responds ? response_doubts : doubts).push_back(doubt);
  }
}

PartialJudge::PartialJudge(std::shared_ptr<const Policy> policy, const KnownFields& known,
                           std::span<const std::optional<bool>> toggles)
    : impl_(std::make_unique<Impl>(std::move(policy))) {
  const std::size_t count = impl_->rules.toggles.size();
  impl_->toggles = std::make_unique<bool[]>(count + 1);
  for (std::size_t i = 0; i < count; ++i) impl_->toggles[i] = toggles[i].value_or(true);
  impl_->FindDoubts(known, toggles);
  impl_->left_out.resize((impl_->rules.rules.size() + 63) / 64);
}

PartialJudge::~PartialJudge() = default;
PartialJudge::PartialJudge(PartialJudge&&) noexcept = default;

std::span<const std::string> PartialJudge::reasons() const {
  return impl_->reasons;
}

void PartialJudge::Judge(const Request& request, const Facts& facts, TimePoint now,
                         Verdict* verdict, std::vector<UndecidedRule>* undecided) {
  Impl& self = *impl_;
  undecided->clear();
  Facts own = facts;
  own.toggles = {self.toggles.get(), self.rules.toggles.size()};
  if (facts.passes == nullptr) own.passes = &self.supposed;
  if (!self.doubts.empty()) {
    self.FindUndecided(self.doubts, {request, facts.wall, facts.surroundings}, facts.memo,
                       undecided);
    own.left_out = &self.left_out;
  }
  self.policy->Decide(request, own, now, verdict);
  if (verdict->rule != kNoRule) {
    std::erase_if(*undecided, [&](const UndecidedRule& one) { return one.rule > verdict->rule; });
  }
  if (facts.passes != nullptr) return;
  bool added = false;
  for (const RuleMatch& match : verdict->matches) {
    if (match.shadow || match.rule == verdict->rule || !self.challenges[match.rule]) continue;
    undecided->push_back({match.rule, self.no_pass, false, true});
    added = true;
  }
  if (added) {
    std::sort(undecided->begin(), undecided->end(),
              [](const UndecidedRule& a, const UndecidedRule& b) { return a.rule < b.rule; });
  }
}

std::span<const RuleMatch> PartialJudge::JudgeResponse(const Request& request,
                                                       const KnownAnswer& answer,
                                                       const Facts& facts, TimePoint now,
                                                       Verdict* verdict,
                                                       std::vector<UndecidedRule>* undecided) {
  Impl& self = *impl_;
  undecided->clear();
  const Response response{answer.status, {}};
  Scene scene{request, facts.wall, facts.surroundings};
  if (answer.is != KnownAnswer::Is::kGiven) {
    // Also where a condition holds whatever is answered: there may have been no answer.
    const bool refused = answer.is == KnownAnswer::Is::kRefused;
    const std::uint32_t reason = refused ? self.refused : self.perhaps_refused;
    self.SetStatusTests(reason);
    self.Begin();
    for (const Doubt& doubt : self.on_response) {
      std::uint32_t why = kNoReason;
      const std::uint32_t condition = self.rules.rules[doubt.rule].condition;
      if (self.Condition(condition, scene, facts.memo, &why) == Truth::kFalse) continue;
      undecided->push_back({doubt.rule, reason, doubt.shadow, doubt.weighs});
    }
    return {};
  }
  scene.response = &response;
  self.SetStatusTests(kNoReason);
  Facts own = facts;
  own.toggles = {self.toggles.get(), self.rules.toggles.size()};
  if (!self.response_doubts.empty()) {
    self.FindUndecided(self.response_doubts, scene, facts.memo, undecided);
    own.left_out = &self.left_out;
  }
  return self.policy->JudgeResponse(request, response, own, now, verdict);
}

}  // namespace spillway
