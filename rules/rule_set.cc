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

// How dear a test is, by what must be read for it. Only the order matters: of several conditions
// that must all hold, the cheap ones are asked first.
int Cost(const Fields& fields, std::uint32_t test) {
  if (fields.kind_of(test) == Stage::kExpressions) return 6;
  if (fields.kind_of(test) == Stage::kWords) return 5;
  switch (fields.source_of(test)) {
    case Source::kMethod:
    case Source::kScheme:
    case Source::kProtocol:
      return 0;
    case Source::kHost:
    case Source::kPath:
    case Source::kAddress:
    case Source::kJa4:
    case Source::kClientCertificate:
      return 1;
    case Source::kHeader:
      return 2;
    case Source::kCookie:
      return 3;
    case Source::kQuery:
      return 4;
  }
  return 6;
}

int Cost(const Fields& fields, const Expression& expression) {
  if (expression.kind == Expression::Kind::kTest) return Cost(fields, expression.test);
  int most = 0;
  for (const Expression& part : expression.parts) most = std::max(most, Cost(fields, part));
  return most;
}

// How few requests a test lets through, as a rule of thumb; the lowest makes the best gate. One
// that searches is taken only for want of others, since it must run before its rule is looked at.
int GateRank(const Fields& fields, std::uint32_t test) {
  if (fields.kind_of(test) != Stage::kLookup) return Cost(fields, test);
  switch (fields.source_of(test)) {
    case Source::kPath:
      return 0;
    case Source::kAddress:
      return 1;
    case Source::kJa4:
    case Source::kClientCertificate:
    case Source::kQuery:
    case Source::kCookie:
    case Source::kHeader:
      return 2;
    case Source::kHost:
      return 3;
    case Source::kMethod:
    case Source::kScheme:
    case Source::kProtocol:
      return 4;
  }
  return 6;
}

// A map with one key, or an operator map with one operator, is that one; and "all" inside "all" is
// one "all".
Expression Simplify(Expression expression) {
  std::vector<Expression> parts;
  for (Expression& part : expression.parts) {
    Expression simple = Simplify(std::move(part));
    if (simple.kind == expression.kind && simple.kind == Expression::Kind::kAll) {
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
    return only;
  }
  return expression;
}

std::uint32_t GateOf(const Fields& fields, const Expression& condition) {
  if (condition.kind == Expression::Kind::kTest) return condition.test;
  std::uint32_t gate = kNoGate;
  if (condition.kind != Expression::Kind::kAll) return gate;
  for (const Expression& part : condition.parts) {
    if (part.kind != Expression::Kind::kTest) continue;
    if (gate == kNoGate || GateRank(fields, part.test) < GateRank(fields, gate)) gate = part.test;
  }
  return gate;
}

void LayOut(const Fields& fields, const Expression& expression, std::vector<ConditionStep>* steps) {
  const std::size_t at = steps->size();
  steps->push_back({expression.kind, expression.test, 0});
  std::vector<const Expression*> parts;
  for (const Expression& part : expression.parts) parts.push_back(&part);
  std::stable_sort(parts.begin(), parts.end(), [&](const Expression* a, const Expression* b) {
    return Cost(fields, *a) < Cost(fields, *b);
  });
  for (const Expression* part : parts) LayOut(fields, *part, steps);
  (*steps)[at].end = static_cast<std::uint32_t>(steps->size());
}

// Which rules are looked at in any case, and which once their gate is known to hold.
void PlaceGates(CompiledRules* rules) {
  rules->gated_by.resize(rules->fields.tests());
  rules->first_candidates.resize((rules->rules.size() + 63) / 64);
  std::vector<bool> stage_starts(rules->fields.stages(), false);
  for (std::uint32_t i = 0; i < rules->rules.size(); ++i) {
    if (rules->infos[i].mode == RuleInfo::Mode::kOff) continue;
    const std::uint32_t gate = rules->rules[i].gate;
    if (gate == kNoGate) {
      SetBit(&rules->first_candidates, i);
      continue;
    }
    rules->gated_by[gate].push_back(i);
    const std::uint32_t stage = rules->fields.stage_of(gate);
    if (!stage_starts[stage]) SetBit(&rules->first_candidates, i);
    stage_starts[stage] = true;
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
    {"match", "map of conditions", "", "all of which must hold; without it every request",
     &Keep<&RuleDraft::match>},
    {"action", "action or map of actions", "", "what is done then", &Keep<&RuleDraft::action>,
     nullptr, "an action such as deny, or a map of actions"},
};

}  // namespace

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
    LimitKeyPlan plan{"client.address", {{.source = Source::kAddress}}, scope.ipv6_prefix};
    if (i < scope.limit_keys.size() && !scope.limit_keys[i].missing()) {
      if (auto read = ReadLimitKey(scope.limit_keys[i], scope.ipv6_prefix)) plan = std::move(*read);
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
    ConditionReader reader{impl_->scope, rules.fields};
    condition = Simplify(ReadMatch(reader, draft.match));
  }
  if (!draft.action.missing()) rule.action = ReadAction(impl_->scope, draft.action);
  info.action = rule.action.name;
  info.limits = !rule.action.limits.empty();
  rule.toggle = info.toggle;
  rule.shadow = info.mode == RuleInfo::Mode::kShadow;
  for (const std::uint32_t limit : rule.action.limits) {
    rules.limits[limit].in_shadow_use = rules.limits[limit].in_shadow_use || rule.shadow;
  }
  rule.gate = GateOf(rules.fields, condition);
  rule.condition = static_cast<std::uint32_t>(rules.steps.size());
  LayOut(rules.fields, condition, &rules.steps);
  rules.infos.push_back(std::move(info));
  rules.rules.push_back(std::move(rule));
}

std::shared_ptr<const Policy> RuleSetBuilder::Build(std::string* error) {
  if (!impl_->rules->fields.Build(error)) return nullptr;
  PlaceGates(impl_->rules.get());
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
