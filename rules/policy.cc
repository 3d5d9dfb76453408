// SPDX-License-Identifier: MIT
// Judging one request:
//
//   stages that decide whether -> next candidate -> switched on? -> condition holds? -> act ------.
//   rules from here on are            rule                                                      |
//   candidates                          ^                                                       |
//        ^                              |                                                       |
//        +------------------------------+----------------- not final ---------------------------+
//                                              final: settle the limits, done <-----------------'
//
// Limits are tested as their rules come and charged once, together, when the request is known to
// go on.
#include "spillway/policy.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "rules/bits.h"
#include "rules/compiled_rules.h"
#include "rules/scratch.h"
#include "spillway/mix.h"
#include "spillway/target.h"

namespace spillway {
namespace {

// What is known so far of which tests hold for a request, found out stage by stage.
class Findings {
 public:
  Findings(const CompiledRules& rules, const Scene& scene, MatchMemo* memo, DecideScratch* scratch)
      : rules_(rules), scene_(scene), memo_(memo), match_(&scratch->match) {
    scratch->findings = rules.first_findings;
    candidates_ = scratch->findings.data();
    holds_ = candidates_ + rules.holds_at;
    ran_ = candidates_ + rules.ran_at;
    match_->Reset(rules.header_names);
  }

  // The first rule of [rule, end) that may match, as far as is known; `end` when there is none.
  std::uint32_t Candidate(std::uint32_t rule, std::uint32_t end) const {
    if (rule >= end) return end;
    const std::size_t last = (end - 1) / 64;
    std::size_t word = rule / 64;
    std::uint64_t rest = candidates_[word] & (~std::uint64_t{0} << (rule % 64));
    while (rest == 0 && word < last) rest = candidates_[++word];
    if (rest == 0) return end;
    return std::min(end, static_cast<std::uint32_t>(word * 64) +
                             static_cast<std::uint32_t>(std::countr_zero(rest)));
  }

  void Run(std::uint32_t stage) {
    if (Bit(ran_, stage)) return;
    SetBit(ran_, stage);
    rules_.fields.Run(stage, scene_, match_, memo_, [&](std::uint32_t hit) { Holds(hit); });
  }

  bool Test(std::uint32_t test) {
    Run(rules_.fields.stage_of(test));
    return Bit(holds_, test);
  }

  // Whether the condition at `step` holds; asks no more than it must. Most are one test, or that it
  // does not hold.
  bool Condition(std::uint32_t step) {
    bool wanted = true;
    for (; rules_.steps[step].kind == Expression::Kind::kNot; ++step) wanted = !wanted;
    const ConditionStep& node = rules_.steps[step];
    return (node.kind == Expression::Kind::kTest ? Test(node.test) : Joined(step)) == wanted;
  }

 private:
  // REQUIRES: the step is one of `all` or `any`.
  bool Joined(std::uint32_t step) {
    const ConditionStep& node = rules_.steps[step];
    const bool all = node.kind == Expression::Kind::kAll;
    for (std::uint32_t i = step + 1; i < node.end; i = rules_.steps[i].end) {
      if (Condition(i) != all) return !all;
    }
    return all;
  }

  void Holds(std::uint32_t test) {
    if (Bit(holds_, test)) return;
    SetBit(holds_, test);
    for (const std::uint32_t rule : rules_.gated_by[test]) SetBit(candidates_, rule);
  }

  const CompiledRules& rules_;
  const Scene& scene_;
  MatchMemo* const memo_;
  MatchScratch* const match_;
  std::uint64_t *candidates_, *holds_,
      *ran_;  // of the scratch: first_findings, and what came since
};

// One request on its way through the rules.
class Judgement {
 public:
  Judgement(const CompiledRules& rules, const Request& request, const Facts& facts, TimePoint now,
            Verdict* verdict, DecideScratch* scratch)
      : rules_(rules),
        request_(request),
        facts_(facts),
        now_(now),
        verdict_(verdict),
        scratch_(scratch) {
    scratch->pending.clear();
    scratch->shadow_pending.clear();
    scratch->foreseen_pending.clear();
  }

  // The rules on responses, each by itself: none ends it.
  void RunOnResponse(const Response& response) {
    const Scene scene{request_, facts_.wall, facts_.surroundings, &response};
    Findings findings(rules_, scene, facts_.memo, scratch_);
    for (const std::uint32_t i : rules_.on_response) {
      const CompiledRule& rule = rules_.rules[i];
      if (rule.toggle != kNoRule && !facts_.toggles[rule.toggle]) continue;
      if (!findings.Condition(rule.condition)) continue;
      if (facts_.left_out != nullptr && Bit(*facts_.left_out, i)) continue;
      verdict_->matches.push_back({i, rule.shadow, false});
      verdict_->matches.back().over_limit = ChargeForResponse(i);
      if (rule.shadow) continue;
      for (const std::string& tag : rule.action.tags) verdict_->tags.push_back(tag);
    }
  }

  void Run() {
    const Scene scene{request_, facts_.wall, facts_.surroundings};
    Findings findings(rules_, scene, facts_.memo, scratch_);
    const auto end = static_cast<std::uint32_t>(rules_.rules.size());
    auto start = rules_.starts.begin();
    for (std::uint32_t i = 0;; ++i) {
      // A stage runs when the first rule that waits for it is come to: no candidate before that one
      // ended it.
      for (; start != rules_.starts.end(); ++start) {
        i = findings.Candidate(i, start->rule);
        if (i < start->rule) break;
        findings.Run(start->stage);
      }
      if (start == rules_.starts.end()) i = findings.Candidate(i, end);
      if (i == end) break;
      const CompiledRule& rule = rules_.rules[i];
      if (rule.toggle != kNoRule && !facts_.toggles[rule.toggle]) {
        if (facts_.foresee && !rule.shadow) Foresee(i, &findings);
        continue;
      }
      if (!findings.Condition(rule.condition)) continue;
      if (facts_.left_out != nullptr && Bit(*facts_.left_out, i)) continue;
      verdict_->matches.push_back({i, rule.shadow, false});
      if (rule.shadow) {
        TestShadowLimits(i);
      } else if (Act(i)) {
        break;
      }
    }
    Settle();
  }

 private:
  // True when the rule ends it.
  bool Act(std::uint32_t index) {
    const RuleAction& action = rules_.rules[index].action;
    for (const std::uint32_t limit : action.limits) {
      if (!TestLimit(index, limit)) return true;
    }
    for (const auto& [name, value] : action.set_headers)
      verdict_->set_headers.push_back({name, value});
    for (const std::string& tag : action.tags) verdict_->tags.push_back(tag);
    if (action.pool) verdict_->pool = *action.pool;
    if (action.traffic_class) verdict_->traffic_class = *action.traffic_class;
    if (action.protect) verdict_->protect = *action.protect;
    if (action.final_action == nullptr) return false;
    if (const auto* challenge = std::get_if<Challenge>(&action.final_action->action)) {
      if (facts_.passes->HasPass(request_, challenge->demand)) return false;
    }
    verdict_->action = action.final_action->action;
    verdict_->rule = index;
    if (action.final_action->keep_path) AppendPath();
    return true;
  }

  Scene scene() const { return {request_, facts_.wall, facts_.surroundings}; }

  LimitKey Key(std::uint32_t limit) {
    return KeyFor(rules_.limit_keys[limit], scene(), facts_.seed, &scratch_->match);
  }

  static bool Has(const std::vector<PendingCharge>& pending, std::uint32_t limit) {
    for (const PendingCharge& charge : pending) {
      if (charge.limit == limit) return true;
    }
    return false;
  }

  bool TestLimit(std::uint32_t rule, std::uint32_t limit) {
    if (Has(scratch_->pending, limit)) return true;
    const PendingCharge charge{limit, Key(limit), rule, rules_.rules[rule].action.limit_status};
    const LimitState state = facts_.limits[limit]->Test(charge.key, now_);
    if (!state.allowed) return Refuse(charge, state), false;
    if (rules_.rules[rule].action.charges) scratch_->pending.push_back(charge);
    return true;
  }

  void TestShadowLimits(std::uint32_t rule) {
    const std::size_t before = scratch_->shadow_pending.size();
    for (const std::uint32_t limit : rules_.rules[rule].action.limits) {
      if (Has(scratch_->shadow_pending, limit)) continue;
      const PendingCharge charge{limit, Key(limit), rule, 0};
      const bool charges = rules_.rules[rule].action.charges;
      // A limit that is only tested may be charged by rules in force.
      if (facts_.shadow_limits[limit]->Test(charge.key, now_).allowed &&
          (charges || facts_.limits[limit]->Test(charge.key, now_).allowed)) {
        if (charges) scratch_->shadow_pending.push_back(charge);
      } else {
        // As a refusal would: no limit is charged for this rule.
        scratch_->shadow_pending.resize(before);
        verdict_->matches.back().over_limit = true;
        return;
      }
    }
  }

  // What the rule would do if its toggle were on.
  void Foresee(std::uint32_t index, Findings* findings) {
    const CompiledRule& rule = rules_.rules[index];
    auto at = std::find_if(verdict_->foreseen.begin(), verdict_->foreseen.end(),
                           [&](const Foreseen& one) { return one.toggle == rule.toggle; });
    if (at != verdict_->foreseen.end() && at->final) return;
    if (!findings->Condition(rule.condition)) return;
    if (at == verdict_->foreseen.end()) {
      verdict_->foreseen.push_back({rule.toggle, index});
      at = verdict_->foreseen.end() - 1;
    }
    for (const std::uint32_t limit : rule.action.limits) {
      const bool room = rule.action.charges ? ForeseeLimit(rule.toggle, limit)
                                            : facts_.limits[limit]->Test(Key(limit), now_).allowed;
      if (!room) return End(&*at, index, Foreseen::Effect::kLimit);
    }
    if (rule.action.final_action == nullptr) return;
    const FinalAction& action = rule.action.final_action->action;
    if (std::holds_alternative<Forward>(action)) {
      End(&*at, index, Foreseen::Effect::kPass);
    } else if (const auto* challenge = std::get_if<Challenge>(&action)) {
      if (!facts_.passes->HasPass(request_, challenge->demand))
        End(&*at, index, Foreseen::Effect::kChallenge);
    } else if (std::holds_alternative<Deny>(action) || std::holds_alternative<Drop>(action)) {
      End(&*at, index, Foreseen::Effect::kDeny);
    } else {
      End(&*at, index, Foreseen::Effect::kAnswer);
    }
  }

  static void End(Foreseen* foreseen, std::uint32_t rule, Foreseen::Effect effect) {
    foreseen->rule = rule;
    foreseen->effect = effect;
    foreseen->final = true;
  }

  // False: the toggle's own bucket is empty.
  bool ForeseeLimit(std::uint32_t toggle, std::uint32_t limit) {
    for (const ForeseenCharge& charge : scratch_->foreseen_pending) {
      if (charge.toggle == toggle && charge.limit == limit) return true;
    }
    // Buckets of its own: the seed is another for each toggle, and for rules in shadow mode.
    const std::uint64_t seed = facts_.seed ^ Mix(std::uint64_t{toggle} + 1);
    const LimitKey key = KeyFor(rules_.limit_keys[limit], scene(), seed, &scratch_->match);
    if (!facts_.shadow_limits[limit]->Test(key, now_).allowed) return false;
    scratch_->foreseen_pending.push_back({toggle, limit, key});
    return true;
  }

  // As Settle, for what the toggles' rules would have charged.
  void SettleForeseen(bool refused) {
    for (const ForeseenCharge& charge : scratch_->foreseen_pending) {
      for (const Foreseen& foreseen : verdict_->foreseen) {
        if (foreseen.toggle != charge.toggle) continue;
        const bool costs = foreseen.final ? foreseen.effect != Foreseen::Effect::kDeny &&
                                                foreseen.effect != Foreseen::Effect::kLimit
                                          : !refused;
        if (costs) facts_.shadow_limits[charge.limit]->Charge(charge.key, now_);
      }
    }
  }

  // Each limit once for a response. True when one of them is used up, which refuses nothing.
  bool ChargeForResponse(std::uint32_t rule) {
    const bool shadow = rules_.rules[rule].shadow;
    std::vector<PendingCharge>& charged = shadow ? scratch_->shadow_pending : scratch_->pending;
    const std::span<LimitTable* const> tables = shadow ? facts_.shadow_limits : facts_.limits;
    bool over = false;
    for (const std::uint32_t limit : rules_.rules[rule].action.limits) {
      if (Has(charged, limit)) continue;
      charged.push_back({limit, Key(limit), rule, 0});
      if (!tables[limit]->Charge(charged.back().key, now_).allowed) over = true;
    }
    return over;
  }

  void Refuse(const PendingCharge& charge, const LimitState& state) {
    verdict_->action = OverLimit{charge.status};
    verdict_->rule = charge.rule;
    verdict_->limits.clear();
    verdict_->limits.push_back({charge.limit, state});
    for (RuleMatch& match : verdict_->matches) {
      if (match.rule == charge.rule) match.over_limit = true;
    }
  }

  // What is refused outright costs its client nothing; all else is charged to every limit it
  // passed.
  void Settle() {
    const FinalAction& action = verdict_->action;
    const bool refused = std::holds_alternative<Deny>(action) ||
                         std::holds_alternative<Drop>(action) ||
                         std::holds_alternative<OverLimit>(action);
    SettleForeseen(refused);
    if (refused) return;
    const std::vector<PendingCharge>& pending = scratch_->pending;
    for (std::size_t i = 0; i < pending.size(); ++i) {
      const LimitState state = facts_.limits[pending[i].limit]->Charge(pending[i].key, now_);
      if (!state.allowed) {  // another thread took the last one since it was tested
        for (std::size_t back = 0; back < i; ++back) {
          facts_.limits[pending[back].limit]->Refund(pending[back].key, now_);
        }
        return Refuse(pending[i], state);
      }
      verdict_->limits.push_back({pending[i].limit, state});
    }
    for (const PendingCharge& charge : scratch_->shadow_pending) {
      facts_.shadow_limits[charge.limit]->Charge(charge.key, now_);
    }
  }

  // The request's own path and query go behind the location. However many slashes the path begins
  // with, one is left: "//host" would lead to another site.
  void AppendPath() {
    Redirect& redirect = std::get<Redirect>(verdict_->action);
    std::string_view base = redirect.location;
    if (base.ends_with('/')) base.remove_suffix(1);
    const Result<Target> target = ParseTarget(request_.target);
    std::string_view path =
        target && target->raw_path != "*" ? target->raw_path : std::string_view();
    path.remove_prefix(std::min(path.find_first_not_of("/\\"), path.size()));
    scratch_->location.assign(base).append("/").append(path);
    if (!request_.query.empty()) scratch_->location.append("?").append(request_.query);
    redirect.location = scratch_->location;
  }

  const CompiledRules& rules_;
  const Request& request_;
  const Facts& facts_;
  const TimePoint now_;
  Verdict* verdict_;
  DecideScratch* scratch_;
};

}  // namespace

Policy::Policy(std::unique_ptr<const CompiledRules> rules) : rules_(std::move(rules)) {}
Policy::~Policy() = default;

void Policy::Decide(const Request& request, const Facts& facts, TimePoint now,
                    Verdict* verdict) const {
  verdict->Clear();
  if (verdict->scratch_ == nullptr)
    verdict->scratch_ = std::make_unique<DecideScratch>();  // was moved from
  Judgement(*rules_, request, facts, now, verdict, verdict->scratch_.get()).Run();
}

std::span<const RuleMatch> Policy::JudgeResponse(const Request& request, const Response& response,
                                                 const Facts& facts, TimePoint now,
                                                 Verdict* verdict) const {
  const std::size_t before = verdict->matches.size();
  Judgement(*rules_, request, facts, now, verdict, verdict->scratch_.get()).RunOnResponse(response);
  return std::span<const RuleMatch>(verdict->matches).subspan(before);
}

bool Policy::has_response_rules() const {
  return !rules_->on_response.empty();
}

std::string_view ModeName(RuleInfo::Mode mode) {
  constexpr std::string_view kNames[] = {"enforce", "shadow", "off"};
  return kNames[static_cast<std::size_t>(mode)];
}

std::span<const RuleInfo> Policy::rules() const {
  return rules_->infos;
}
std::span<const LimitInfo> Policy::limits() const {
  return rules_->limits;
}
std::span<const std::string> Policy::toggles() const {
  return rules_->toggles;
}
std::span<const std::string> Policy::pools() const {
  return rules_->pools;
}

std::span<const std::string> Policy::ruled_fields() const {
  return rules_->ruled_fields;
}

}  // namespace spillway
