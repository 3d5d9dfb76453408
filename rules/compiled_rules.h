// SPDX-License-Identifier: MIT
// A rule set laid out for judging. Conditions are flat trees over numbered tests; the tests of one
// field are compiled together (rules/fields.h), so that running one stage answers them for all
// rules at once.
//
// Most rules can't match without one certain test holding: their gate. Only rules without a gate,
// and those whose gate is known to hold, are looked at; so the cost of a request hardly grows with
// rules that have nothing to do with it.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "rules/actions.h"
#include "rules/expression.h"
#include "rules/fields.h"
#include "rules/limit_keys.h"
#include "spillway/policy.h"

namespace spillway {

inline constexpr std::uint32_t kNoGate = std::numeric_limits<std::uint32_t>::max();

// A node of a condition in preorder: its parts follow it, and `end` is the step after the last of
// them.
struct ConditionStep {
  Expression::Kind kind = Expression::Kind::kAll;
  std::uint32_t test = 0;
  std::uint32_t end = 0;
};

struct CompiledRule {
  std::uint32_t condition = 0;   // index of its first step
  std::uint32_t gate = kNoGate;  // a test without which it can't match
  std::uint32_t toggle = kNoRule;
  bool shadow = false;
  RuleAction action;
};

struct CompiledRules {
  std::vector<RuleInfo> infos;      // by rule; Policy::rules()
  std::vector<CompiledRule> rules;  // the same order
  std::vector<LimitInfo> limits;
  std::vector<LimitKeyPlan> limit_keys;  // by limit
  std::vector<std::string> toggles;
  std::vector<std::string> pools;
  Fields fields;
  std::vector<ConditionStep> steps;
  std::vector<std::vector<std::uint32_t>> gated_by;  // test -> rules whose gate it is
  // Bit: a rule without a gate, or the first whose gate a stage decides (which then makes the stage
  // run).
  std::vector<std::uint64_t> first_candidates;
};

}  // namespace spillway
