// SPDX-License-Identifier: MIT
// A rule set laid out for judging. Conditions are flat trees over numbered tests; the tests of one
// field are compiled together (rules/fields.h), so that running one stage answers them for all
// rules at once.
//
// Most rules can't match without one of a few certain tests holding: their gates. Only rules without
// gates, and those with one that is known to hold, are looked at; so the cost of a request hardly
// grows with rules that have nothing to do with it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules/actions.h"
#include "rules/expression.h"
#include "rules/fields.h"
#include "rules/limit_keys.h"
#include "spillway/policy.h"

namespace spillway {

// A node of a condition in preorder: its parts follow it, and `end` is the step after the last of
// them.
struct ConditionStep {
  Expression::Kind kind = Expression::Kind::kAll;
  std::uint32_t test = 0;
  std::uint32_t end = 0;
};

struct CompiledRule {
  std::uint32_t condition = 0;  // index of its first step
  std::uint32_t toggle = kNoRule;
  bool shadow = false;
  RuleAction action;
};

struct CompiledRules {
  std::vector<RuleInfo> infos;             // by rule; Policy::rules()
  std::vector<CompiledRule> rules;         // the same order
  std::vector<std::uint32_t> on_response;  // those for responses, in order; they have no gates
  std::vector<LimitInfo> limits;
  std::vector<LimitKeyPlan> limit_keys;  // by limit
  std::vector<std::string> toggles;
  std::vector<std::string> pools;
  Fields fields;
  std::vector<ConditionStep> steps;
  std::vector<std::string> step_texts;  // by step: what Expression::text was, for who asks why
  std::vector<std::vector<std::uint32_t>> gated_by;  // test -> rules of whose gates it is one
  // Stages that decide gates, each with the first rule that has one of them, in the order of the
  // rules: it must have run before that rule is known to be worth a look or not.
  struct Start {
    std::uint32_t rule;
    std::uint32_t stage;
  };
  std::vector<Start> starts;
  // What is known of a request at first, in one piece, so that it is laid out by one copy. Bits by
  // rule: it is worth a look (now only those without gates); by test: it is known to hold (none); by
  // stage: it has run, so that its other tests do not hold (none).
  std::vector<std::uint64_t> first_findings;
  std::size_t holds_at = 0, ran_at = 0;   // where in it the tests and the stages begin
  HeaderNames header_names;               // of the fields that may be looked at
  std::vector<std::string> ruled_fields;  // Policy::ruled_fields()
};

}  // namespace spillway
