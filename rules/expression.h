// SPDX-License-Identifier: MIT
// A condition as a tree over numbered tests, as it is read. rule_set.cc lays it out flat for
// judging.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace spillway {

struct Expression {
  enum class Kind : std::uint8_t { kTest, kAll, kAny, kNot };
  Kind kind = Kind::kAll;         // kAll without parts: always true
  std::uint32_t test = 0;         // kTest: number given by Fields::NewTest
  std::vector<Expression> parts;  // kNot: exactly one
  std::string text = {};  // a condition's, as it is written: "path: /a"; empty: a part of one

  static Expression Test(std::uint32_t test) { return {Kind::kTest, test, {}}; }
  static Expression Not(Expression part) {
    Expression negation{Kind::kNot, 0, {}};
    negation.parts.push_back(std::move(part));
    return negation;
  }
  static Expression All(std::vector<Expression> parts) { return {Kind::kAll, 0, std::move(parts)}; }
  static Expression Any(std::vector<Expression> parts) { return {Kind::kAny, 0, std::move(parts)}; }
};

}  // namespace spillway
