// SPDX-License-Identifier: MIT
// Actions: what a rule that matches does. actions.cc ends in the table of them; here is what
// reading one gives. Everything a verdict borrows is owned by the RuleAction, and stays where it is
// when that is moved.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/rule_set.h"
#include "rules/yaml.h"
#include "spillway/traffic_class.h"
#include "spillway/units.h"
#include "spillway/verdict.h"

namespace spillway {

// A rule's final action with the texts it borrows, on the heap so that views into short ones
// survive a move.
struct FinalText {
  FinalAction action;
  bool keep_path = false;    // Redirect: append the request's path and query
  std::string location;      // Redirect
  std::string content_type;  // Respond
  std::string body;
  std::vector<std::pair<std::string, std::string>> header_texts;
  std::vector<HeaderToSet> headers;  // views of header_texts
};

struct RuleAction {
  std::string name;                   // the first action written: "deny"
  std::vector<std::uint32_t> limits;  // in the order they are tested, each once
  bool charges = true;                // or they are only tested
  int limit_status = 429;
  std::vector<std::pair<std::string, std::string>> set_headers;
  std::vector<std::string> tags;
  std::optional<std::uint32_t> pool;
  std::optional<TrafficClass> traffic_class;
  std::optional<Duration> protect;                // the visitor, for so long after the answer
  std::unique_ptr<const FinalText> final_action;  // null: goes on to the next rule
};

// Reads an `action` node; everything that is wrong is reported. REQUIRES: the scope has a loader.
RuleAction ReadAction(const RuleScope& scope, const yaml::Node& node);

// What may stand in a header field: no control characters, no white space at its ends.
bool LegalFieldValue(std::string_view value);

void AppendActionKinds(std::vector<Kind>* kinds);

}  // namespace spillway
