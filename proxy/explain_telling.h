// SPDX-License-Identifier: MIT
// A verdict and its trace in words, for `spillway explain` and for receipts. Pure.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "spillway/policy.h"
#include "spillway/trace.h"
#include "spillway/verdict.h"

namespace spillway {

// What one rule made of the request.
struct ToldRule {
  std::string word;         // "yes", "no", "off"
  std::string name, place;  // "gate", "site.yaml:8"
  std::string text;         // why, or what it did; may be empty
};

struct ToldRules {
  std::vector<ToldRule> rules;  // those that were tried, in order
  std::size_t untried = 0;
};

// What is not known of a field that conditions ask ("header.accept"): "header.accept is not kept".
// Empty: all is known.
using Ignorance = std::function<std::string(const std::string& field)>;

ToldRules TellRules(const Policy& policy, const Verdict& verdict,
                    const std::vector<RuleTrace>& traces, const Ignorance& ignorance = {});
// "  no   gate (site.yaml:8): path: /gate does not hold: path is '/'"
std::string LineOf(const ToldRule& rule);
// "  ...  2 more rules are not tried"
std::string LineOfUntried(std::size_t untried);

// "deny with status 403".
std::string TellAction(const FinalAction& action);

}  // namespace spillway
