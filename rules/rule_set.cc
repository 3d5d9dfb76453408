// SPDX-License-Identifier: MIT
// Reads rules, and lays them out for judging.
#include "rules/rule_set.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "rules/actions.h"
#include "rules/bits.h"
#include "rules/compiled_rules.h"
#include "rules/conditions.h"
#include "rules/key_table.h"
#include "rules/limit_keys.h"
#include "rules/scalars.h"

namespace spillway {
namespace {

// How dear a test is; only the order matters.
int Cost(const Fields& fields, std::uint32_t test) {
  if (fields.kind_of(test) == Stage::kExpressions) return 6;
  if (fields.kind_of(test) == Stage::kWords) return 5;
  return static_cast<int>(fields.source_of(test).cost);
}

int Cost(const Fields& fields, const Expression& expression) {
  if (expression.kind == Expression::Kind::kTest) return Cost(fields, expression.test);
  int most = 0;
  for (const Expression& part : expression.parts) most = std::max(most, Cost(fields, part));
  return most;
}

constexpr int kWorstRank = 10;  // above all that GateRank gives

// The lowest makes the best gate. A test that searches is taken only for want of others, since it
// must run before its rule is looked at.
int GateRank(const Fields& fields, std::uint32_t test) {
  if (fields.kind_of(test) != Stage::kLookup) return Cost(fields, test);
  return static_cast<int>(fields.source_of(test).lets);
}

// A map with one key, or an operator map with one operator, is that one; and "all" inside "all" is
// one "all".
Expression Simplify(Expression expression) {
  std::vector<Expression> parts;
  for (Expression& part : expression.parts) {
    Expression simple = Simplify(std::move(part));
    if (simple.kind == expression.kind && simple.kind == Expression::Kind::kAll) {
      for (Expression& each : simple.parts) {
        if (each.text.empty()) each.text = simple.text;
      }
      std::move(simple.parts.begin(), simple.parts.end(), std::back_inserter(parts));
    } else {
      parts.push_back(std::move(simple));
    }
  }
  expression.parts = std::move(parts);
  const bool joins =
      expression.kind == Expression::Kind::kAll || expression.kind == Expression::Kind::kAny;
  if (joins && expression.parts.size() == 1) {
    Expression only = std::move(expression.parts.front());
    if (only.text.empty()) only.text = std::move(expression.text);
    return only;
  }
  return expression;
}

// What stands between a rule and being looked at: it can't match unless one of `tests` holds.
struct Gates {
  std::vector<std::uint32_t> tests;  // empty: nothing does
  int rank = 0;                      // of the worst of them
};

// A gate that many rules share holds for many of them at once; another is then worth its search.
// And of very many, one is likely to hold.
constexpr std::uint32_t kShared = 16;
constexpr std::size_t kMostGates = 64;

// `uses`: test -> in how many places of conditions it stands.
Gates GatesOf(const CompiledRules& rules, std::uint32_t step,
              const std::vector<std::uint32_t>& uses) {
  const ConditionStep& node = rules.steps[step];
  if (node.kind == Expression::Kind::kNot) return {};
  if (node.kind == Expression::Kind::kTest) {
    return {{node.test},
            GateRank(rules.fields, node.test) + (uses[node.test] > kShared ? kWorstRank : 0)};
  }
  Gates gates;
  for (std::uint32_t i = step + 1; i < node.end; i = rules.steps[i].end) {
    Gates part = GatesOf(rules, i, uses);
    if (node.kind == Expression::Kind::kAll) {  // the best part's
      if (part.tests.empty()) continue;
      if (gates.tests.empty() || part.rank < gates.rank) gates = std::move(part);
    } else {  // those of all parts, or there is a way around them
      if (part.tests.empty()) return {};
      gates.tests.insert(gates.tests.end(), part.tests.begin(), part.tests.end());
      gates.rank = std::max(gates.rank, part.rank);
      if (gates.tests.size() > kMostGates) return {};
    }
  }
  return gates;
}

void LayOut(const Expression& expression, CompiledRules* rules) {
  const Fields& fields = rules->fields;
  const std::size_t at = rules->steps.size();
  rules->steps.push_back({expression.kind, expression.test, 0});
  rules->step_texts.push_back(expression.text);
  std::vector<const Expression*> parts;
  for (const Expression& part : expression.parts) parts.push_back(&part);
  std::stable_sort(parts.begin(), parts.end(), [&](const Expression* a, const Expression* b) {
    return Cost(fields, *a) < Cost(fields, *b);
  });
  for (const Expression* part : parts) LayOut(*part, rules);
  rules->steps[at].end = static_cast<std::uint32_t>(rules->steps.size());
}

// Which header fields may be looked at, by conditions or for the keys of limits; and, with those that
// are set, which ones servers may rely on.
void ExpectHeaders(CompiledRules* rules) {
  std::vector<std::string>& names = rules->ruled_fields;
  rules->fields.AddHeaderNames(&names);
  for (const LimitKeyPlan& plan : rules->limit_keys) {
    for (const FieldId& part : plan.parts) {
      if (const std::string_view name = HeaderNameOf(part); !name.empty()) names.emplace_back(name);
    }
  }
  for (const std::string& name : names) rules->header_names.Add(name);
  for (const CompiledRule& rule : rules->rules) {
    for (const auto& [name, value] : rule.action.set_headers) names.push_back(LowerAscii(name));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

// Which rules are looked at in any case, and which once a gate is known to hold.
void PlaceGates(CompiledRules* rules) {
  rules->gated_by.resize(rules->fields.tests());
  rules->holds_at = WordsFor(rules->rules.size());
  rules->ran_at = rules->holds_at + WordsFor(rules->fields.tests());
  rules->first_findings.resize(rules->ran_at + WordsFor(rules->fields.stages()));
  std::vector<std::uint32_t> uses(rules->fields.tests(), 0);
  for (const ConditionStep& step : rules->steps) {
    if (step.kind == Expression::Kind::kTest) ++uses[step.test];
  }
  std::vector<bool> started(rules->fields.stages(), false);
  for (std::uint32_t i = 0; i < rules->rules.size(); ++i) {
    if (rules->infos[i].mode == RuleInfo::Mode::kOff) continue;
    if (rules->infos[i].on_response) {
      rules->on_response.push_back(i);
      continue;
    }
    const Gates gates = GatesOf(*rules, rules->rules[i].condition, uses);
    for (const std::uint32_t gate : gates.tests) {
      std::vector<std::uint32_t>& gated = rules->gated_by[gate];
      if (gated.empty() || gated.back() != i) gated.push_back(i);
      const std::uint32_t stage = rules->fields.stage_of(gate);
      if (!started[stage]) rules->starts.push_back({i, stage});
      started[stage] = true;
    }
    if (gates.tests.empty()) SetBit(&rules->first_findings, i);
  }
}

}  // namespace

namespace {

class NoFiles : public FileSource {
 public:
  Result<std::string> Read(const std::string&) const override {
    return Fail("there are no files to be read here");
  }
  std::vector<std::string> Glob(const std::string&) const override { return {}; }
};

// A rule as its keys are read, in any order.
struct RuleDraft {
  const RuleScope& scope;
  RuleInfo info = {};
  yaml::Node name = {}, match = {}, action = {};
};

void CheckDescription(const Slot& slot, RuleDraft*) {
  ReadText(slot.node);
}

void ReadToggle(const Slot& slot, RuleDraft* out) {
  out->info.toggle = ReadName(slot.node, "toggle", out->scope.toggles).value_or(kNoRule);
}

void ReadWhen(const Slot& slot, RuleDraft* out) {
  out->info.on_response = ReadChoice(slot.node, slot.type) == std::size_t{1};
}

void ReadMode(const Slot& slot, RuleDraft* out) {
  if (const auto choice = ReadChoice(slot.node, slot.type, "mode")) {
    out->info.mode = static_cast<RuleInfo::Mode>(*choice);
  }
}

constexpr KeyRow<RuleDraft> kRuleRows[] = {
    {"name", "name", "", "what logs and metrics call it; without it rule-1, rule-2, ...; unique",
     &Keep<&RuleDraft::name>},
    {"description", "text", "", "what it is for", &CheckDescription},
    {"toggle", "name", "", "in force only while this toggle is on", &ReadToggle},
    {"mode", "enforce | shadow | off", "enforce", "shadow: counted, but without effect", &ReadMode},
    {"when", "request | response", "request",
     "response: judged once a server has answered; its actions are limit and tag", &ReadWhen},
    {"match", "map of conditions", "", "all of which must hold; without it every request",
     &Keep<&RuleDraft::match>},
    {"action", "action or map of actions", "", "what is done then", &Keep<&RuleDraft::action>,
     nullptr, "an action such as deny, or a map of actions"},
};

}  // namespace

// What came back is passed on as it is, so little is left to do.
void CheckResponseAction(const RuleAction& action, const yaml::Node& node) {
  if (action.final_action != nullptr || !action.set_headers.empty() || action.pool ||
      action.traffic_class || action.protect) {
    node.Fail(
        "a rule on responses changes no answer; expected an action such as { tag: seen } or "
        "{ limit: per-client }, where limits has one of this name");
  } else if (!action.charges) {
    node.Fail("a rule on responses refuses nothing, so charge: false would do nothing here");
  }
}

struct RuleSetBuilder::Impl {
  NoFiles no_files;
  Loader no_loader{no_files};
  RuleScope scope;
  std::unique_ptr<CompiledRules> rules = std::make_unique<CompiledRules>();
  std::map<std::string, std::string> places;  // of the rules, by name

  void ReadLimits();
  std::string ReadRuleName(const yaml::Node& rule, const yaml::Node& node);
};

void RuleSetBuilder::Impl::ReadLimits() {
  for (std::size_t i = 0; i < scope.limits.size(); ++i) {
    LimitKeyPlan plan{"client.address", {{.source = &source::kAddress}}, scope.ipv6_prefix};
    if (i < scope.limit_keys.size() && !scope.limit_keys[i].missing()) {
      if (auto read = ReadLimitKey(scope.limit_keys[i], scope)) plan = std::move(*read);
    }
    scope.limits[i].key = plan.text;
    scope.limits[i].in_shadow_use = false;
    rules->limit_keys.push_back(std::move(plan));
  }
  rules->limits = scope.limits;
  rules->toggles = scope.toggles;
  rules->pools = scope.pools;
}

// The name must be told apart in logs, metrics and tests; without one the place in the order is the
// name.
std::string RuleSetBuilder::Impl::ReadRuleName(const yaml::Node& rule, const yaml::Node& node) {
  std::string name = "rule-" + std::to_string(rules->infos.size() + 1);
  if (!node.missing()) {
    name = node.text();
    if (!IsName(name)) {
      node.Fail(yaml::Quote(name) +
                " is not a name; expected letters, digits, '-' and '_', 64 at most");
    }
  }
  const auto [other, added] = places.try_emplace(name, rule.place());
  if (!added) {
    (node.missing() ? rule : node)
        .Fail("the name " + yaml::Quote(name) + " is taken by the rule at " + other->second);
  }
  return name;
}

RuleSetBuilder::RuleSetBuilder(RuleScope scope) : impl_(std::make_unique<Impl>()) {
  impl_->scope = std::move(scope);
  if (impl_->scope.loader == nullptr) impl_->scope.loader = &impl_->no_loader;
  impl_->ReadLimits();
}

RuleSetBuilder::~RuleSetBuilder() = default;

void RuleSetBuilder::Add(const yaml::Node& node) {
  CompiledRules& rules = *impl_->rules;
  if (!node.is_map()) {
    node.Fail("expected a rule: a map with match and action, found " +
              std::string(KindName(node.kind())));
    return;
  }
  RuleDraft draft{impl_->scope};
  ReadKeys(node, kRuleRows, *impl_->scope.loader, &draft);
  RuleInfo& info = draft.info;
  CompiledRule rule;
  info.name = impl_->ReadRuleName(node, draft.name);
  info.place = node.place();

  Expression condition;
  if (!draft.match.missing()) {
    ConditionReader reader{impl_->scope, rules.fields, info.name, info.on_response};
    condition = Simplify(ReadMatch(reader, draft.match));
  }
  if (!draft.action.missing()) rule.action = ReadAction(impl_->scope, draft.action);
  if (info.on_response) CheckResponseAction(rule.action, draft.action);
  info.action = rule.action.name;
  info.limits = !rule.action.limits.empty();
  rule.toggle = info.toggle;
  rule.shadow = info.mode == RuleInfo::Mode::kShadow;
  for (const std::uint32_t limit : rule.action.limits) {
    rules.limits[limit].in_shadow_use =
        rules.limits[limit].in_shadow_use || rule.shadow || rule.toggle != kNoRule;
  }
  rule.condition = static_cast<std::uint32_t>(rules.steps.size());
  LayOut(condition, &rules);
  rules.infos.push_back(std::move(info));
  rules.rules.push_back(std::move(rule));
}

std::vector<std::string> RuleSetBuilder::names() const {
  std::vector<std::string> names;
  for (const RuleInfo& info : impl_->rules->infos) names.push_back(info.name);
  return names;
}

std::shared_ptr<const Policy> RuleSetBuilder::Build(std::string* error, Diagnostics* warnings) {
  if (!impl_->rules->fields.Build(error, warnings)) return nullptr;
  PlaceGates(impl_->rules.get());
  ExpectHeaders(impl_->rules.get());
  auto built = std::exchange(impl_->rules, std::make_unique<CompiledRules>());
  return std::make_shared<const Policy>(std::move(built));
}

void ListRuleKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListItems<kRuleRows>(name, kinds);
}

void AppendRuleKinds(std::vector<Kind>* kinds) {
  AppendLimitKeyKinds(kinds);
  AppendConditionKinds(kinds);
  AppendOperatorKinds(kinds);
  AppendActionKinds(kinds);
}

}  // namespace spillway
