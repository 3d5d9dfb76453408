// SPDX-License-Identifier: MIT
// The part of a condition after its name: a value, a list, or a map of operators. rules/README.md
// has the grammar. Reading one adds its tests to the fields and gives the expression over them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/expression.h"
#include "rules/fields.h"
#include "rules/rule_set.h"
#include "rules/yaml.h"
#include "spillway/result.h"

namespace spillway {

inline constexpr int kMaxConditionDepth = 16;

// What conditions are read with. Borrowed for the reading of one rule.
struct ConditionReader {
  const RuleScope& scope;
  Fields& fields;
  std::string rule = {};     // its name
  bool on_response = false;  // the rule is judged once there is a response
  int depth = 0;             // of all, any and not around
};

// One value of a test: written in place, or an item of a named list.
struct TestValue {
  std::string text;
  yaml::Node node;   // where it, or the $name, is written
  std::string list;  // the list's name and the item's place; empty when written in place
  void Fail(std::string_view message) const;
};

// The value, the items of the list, and those of every $name among them.
std::vector<TestValue> ReadValues(const ConditionReader& reader, const yaml::Node& node);

// What a condition lets be asked: a column of its row, from which operators are offered, told in
// errors and listed. `not` is for all of them.
struct Asks {
  bool text = false;                             // prefix, suffix, contains, regex, glob
  bool presence = false;                         // present, absent
  bool host = false;                             // the operator host
  bool number = false;                           // above, below
  bool response = false;                         // only where there is a response
  std::span<const std::string_view> words = {};  // all that a plain value may be; empty: anything
};

// The field that a condition asks about, and what it lets be asked.
struct Subject {
  FieldId field;
  Asks asks;
  // Makes a plain value (and, with `and_more`, the beginning of one) what is compared, or says why
  // no request has it.
  Result<std::string> (*check)(std::string_view value, bool and_more) = nullptr;
  // For a field of numbers, and then in the place of `check`: the numbers that a value stands for.
  Result<NumberRange> (*range)(std::string_view value) = nullptr;
};

// A plain number, for Subject::range.
Result<NumberRange> ParseOneNumber(std::string_view text);

Expression ReadTest(ConditionReader& reader, const Subject& subject, const yaml::Node& node);

// Counts one level of all, any or not; false, and reported, when there are too many.
bool EnterLevel(ConditionReader& reader, const yaml::Node& node);

// The names of the operators for what can be asked.
std::vector<std::string> OperatorsFor(const Asks& asks);
// Whether any condition takes an operator of this name.
bool IsOperator(std::string_view name);
void AppendOperatorKinds(std::vector<Kind>* kinds);

}  // namespace spillway
