// SPDX-License-Identifier: MIT
// Conditions: what `match` may ask of a request. Each family file ends in a table of its
// conditions; conditions.cc joins the tables and reads all, any and not.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/expression.h"
#include "rules/key_table.h"
#include "rules/kind_row.h"
#include "rules/operators.h"
#include "rules/yaml.h"

namespace spillway {

// A condition as it is written: `key` is its node, `name` the user's part of that ("x" of
// "header.x"), `asks` its row's.
struct ConditionSlot {
  const yaml::Node& key;
  std::string_view name;
  const yaml::Node& test;
  const Asks& asks;
};
using ConditionFunction = Expression(ConditionReader& reader, const ConditionSlot& slot);

// As KindRow, with what can be asked.
struct Condition {
  std::string_view name;
  std::string_view type;
  std::string_view text;
  ConditionFunction* parse;
  Asks asks = {};
  // When its test may be a map with keys of its own: their rows.
  void (*list)(const std::string& prefix, std::vector<Kind>* kinds) = nullptr;
};

// The keys of a condition's map, as rows for ListKinds.
template <const auto& kRows>
void ListConditionKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListKeys(kRows, name + ".", kinds, "condition_key");
}

std::span<const Condition> RequestConditions();   // conditions_request.cc
std::span<const Condition> HeaderConditions();    // conditions_header.cc
std::span<const Condition> ClientConditions();    // conditions_client.cc
std::span<const Condition> WorldConditions();     // conditions_world.cc
std::span<const Condition> ResponseConditions();  // conditions_response.cc

// Reads a `match` map; everything that is wrong is reported, and the expression then means nothing.
Expression ReadMatch(ConditionReader& reader, const yaml::Node& node);

void AppendConditionKinds(std::vector<Kind>* kinds);

}  // namespace spillway
