// SPDX-License-Identifier: MIT
// Which rules matched is what Decide has found. For the others all stages are run, and the steps of
// their conditions, the same that Decide walks, are walked to where they fail. That both say the same
// of each rule is what the tests of two engines show.
#include "spillway/trace.h"

#include <algorithm>

#include "rules/bits.h"
#include "rules/clip.h"
#include "rules/compiled_rules.h"
#include "rules/week.h"

namespace spillway {
namespace {

using Fate = RuleTrace::Fate;

constexpr std::size_t kMostFound = 3;    // values of one condition
constexpr std::size_t kMostValue = 120;  // bytes of one

// A number as a rule has it: "mon 02:03" in the window's own zone, "50.125%".
std::string AsTyped(const FieldId& field, std::uint64_t number) {
  const std::string_view name = field.source->name;
  if (name == "time") {
    const std::uint64_t minute = number % kMinutesOfDay;
    char text[] = "00:00";
    text[0] = static_cast<char>('0' + minute / 600);
    text[1] = static_cast<char>('0' + minute / 60 % 10);
    text[3] = static_cast<char>('0' + minute % 60 / 10);
    text[4] = static_cast<char>('0' + minute % 10);
    return std::string(kDays[number / kMinutesOfDay % std::size(kDays)]) + " " + text;
  }
  if (name == "sample") {  // thousandths of a percent
    const std::string rest = std::to_string(1000 + number % 1000);
    return std::to_string(number / 1000) + "." + rest.substr(1) + "%";
  }
  const bool share =
      name.ends_with(".servers_up") || name.ends_with(".utilisation") || name.ends_with(".apdex");
  return std::to_string(number) + (share ? "%" : "");
}

class Asker {
 public:
  Asker(const CompiledRules& rules, const Scene& scene) : rules_(rules), scene_(scene) {
    holds_.assign((rules.fields.tests() + 63) / 64, 0);
    std::vector<bool> ran(rules.fields.stages(), false);  // only stages that decide a test can run
    for (std::uint32_t i = 0; i < rules.fields.tests(); ++i) {
      const std::uint32_t stage = rules.fields.stage_of(i);
      if (ran[stage]) continue;
      ran[stage] = true;
      rules.fields.Run(stage, scene_, &scratch_, nullptr,
                       [&](std::uint32_t test) { SetBit(&holds_, test); });
    }
  }

  bool Holds(std::uint32_t step) const {
    const ConditionStep& node = rules_.steps[step];
    if (node.kind == Expression::Kind::kTest) return Bit(holds_, node.test);
    if (node.kind == Expression::Kind::kNot) return !Holds(step + 1);
    const bool all = node.kind == Expression::Kind::kAll;
    for (std::uint32_t i = step + 1; i < node.end; i = rules_.steps[i].end) {
      if (Holds(i) != all) return !all;
    }
    return all;
  }

  // What would have to be otherwise for the step to be what it is not. REQUIRES: it is `is`.
  void Blame(std::uint32_t step, bool is, std::vector<ConditionTrace>* why) {
    if (why->size() == kMostWhy) return;
    const ConditionStep& node = rules_.steps[step];
    if (!rules_.step_texts[step].empty()) {
      ConditionTrace& trace = why->emplace_back();
      trace.text = rules_.step_texts[step];
      trace.holds = is;
      LookAt(step, &trace);
      return;
    }
    if (node.kind == Expression::Kind::kNot) return Blame(step + 1, !is, why);
    // One that fails is enough for `all` to fail, and one that holds for `any` to hold.
    const bool one = is == (node.kind == Expression::Kind::kAny);
    for (std::uint32_t i = step + 1; i < node.end; i = rules_.steps[i].end) {
      if (Holds(i) != is) continue;
      Blame(i, is, why);
      if (one) return;
    }
  }

 private:
  // The fields that the step looks at, and their values.
  void LookAt(std::uint32_t step, ConditionTrace* trace) {
    std::vector<std::string>& seen = trace->asked;
    auto& found = trace->found;
    for (std::uint32_t i = step; i < rules_.steps[step].end; ++i) {
      if (rules_.steps[i].kind != Expression::Kind::kTest) continue;
      FieldId field = rules_.fields.field_of(rules_.steps[i].test);
      field.host_of = false;  // as it came
      const std::string name = NameOf(field);
      if (std::find(seen.begin(), seen.end(), name) != seen.end()) continue;
      seen.push_back(name);
      const auto add = [&](std::string_view value) {
        std::string text(Clip(value, kMostValue));
        if (text.size() < value.size()) text += "...";
        found.emplace_back(name, std::move(text));
      };
      if (field.source->form == Source::Form::kAddress) add(scene_.request.client.ToString());
      if (field.source->form == Source::Form::kNumber) {
        if (const auto number = field.source->number(scene_, field)) add(AsTyped(field, *number));
        continue;
      }
      FieldValues values(field, scene_, &scratch_);
      while (found.size() < kMostFound) {
        const auto value = values.Next();
        if (!value) break;
        add(*value);
      }
    }
  }

  const CompiledRules& rules_;
  const Scene scene_;
  MatchScratch scratch_;
  std::vector<std::uint64_t> holds_;
};

// What a rule does beside ending it.
void AddEffects(const CompiledRules& rules, const RuleAction& action, RuleTrace* trace) {
  trace->limits = action.limits;
  for (const auto& [name, value] : action.set_headers) {
    trace->effects.push_back(std::string("set_header ").append(name).append(": ").append(value));
  }
  for (const std::string& tag : action.tags) trace->effects.push_back("tag " + tag);
  if (action.pool) trace->effects.push_back("pool " + rules.pools[*action.pool]);
  if (action.traffic_class) {
    trace->effects.push_back(std::string("class ").append(TrafficClassName(*action.traffic_class)));
  }
  if (action.protect) trace->effects.push_back("protect " + FormatDuration(*action.protect));
}

}  // namespace

std::vector<RuleTrace> Policy::Explain(const Request& request, const Facts& facts,
                                       const Verdict& verdict) const {
  const CompiledRules& rules = *rules_;
  Asker asker(rules, {request, facts.wall, facts.surroundings});
  std::vector<RuleTrace> traces(rules.rules.size());
  for (std::uint32_t i = 0; i < traces.size(); ++i) {
    RuleTrace& trace = traces[i];
    const CompiledRule& rule = rules.rules[i];
    trace.rule = i;
    const bool matched = std::any_of(verdict.matches.begin(), verdict.matches.end(),
                                     [&](const RuleMatch& match) { return match.rule == i; });
    if (matched) {
      trace.fate = Fate::kMatched;
      AddEffects(rules, rule.action, &trace);
    } else if (verdict.rule != kNoRule && i > verdict.rule) {
      trace.fate = Fate::kNotReached;
    } else if (rules.infos[i].on_response) {
      trace.fate = Fate::kOnResponse;
    } else if (rules.infos[i].mode == RuleInfo::Mode::kOff) {
      trace.fate = Fate::kModeOff;
    } else if (rule.toggle != kNoRule && !facts.toggles[rule.toggle]) {
      trace.fate = Fate::kToggleOff;
    } else if (!asker.Holds(rule.condition)) {
      asker.Blame(rule.condition, false, &trace.why);
    }
  }
  return traces;
}

}  // namespace spillway
