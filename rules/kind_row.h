// SPDX-License-Identifier: MIT
// A row of the table that ends each family file: a name, what it takes, a sentence, and the
// function that reads it. The same rows feed error messages, `spillway kinds` and `spillway
// schema`, so that nothing is listed twice. What is here takes any row with these members.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "spillway/config.h"

namespace spillway {

template <class Function>
struct KindRow {
  std::string_view name;  // "path"; with a part of the user's: "header.NAME"
  std::string_view type;
  std::string_view text;
  Function* parse;
  // When it takes a map: the rows inside it, named with `prefix` before them.
  void (*list)(const std::string& prefix, std::vector<Kind>* kinds) = nullptr;
};

// The user's part of `name` when `row` covers it: "" for a name that is the row's, "x" for
// "header.x".
template <class Row>
bool Covers(const Row& row, std::string_view name, std::string_view* users_part) {
  constexpr std::string_view kUsersPart = "NAME";
  *users_part = {};
  const std::size_t at = row.name.find(kUsersPart);
  if (at == std::string_view::npos) return row.name == name;
  const std::string_view before = row.name.substr(0, at);
  const std::string_view after = row.name.substr(at + kUsersPart.size());
  if (!name.starts_with(before) || !name.substr(before.size()).ends_with(after)) return false;
  *users_part = name.substr(at, name.size() - before.size() - after.size());
  return true;
}

template <class Row>
void AppendNames(std::span<const Row> rows, std::vector<std::string>* names) {
  for (const Row& row : rows) names->emplace_back(row.name);
}

// What any row says of itself.
template <class Row>
Kind KindOf(std::string_view group, const Row& row) {
  return {std::string(group), std::string(row.name), std::string(row.type), "",
          std::string(row.text)};
}

template <class Function>
void AppendKinds(std::string_view group, std::span<const KindRow<Function>> rows,
                 std::vector<Kind>* kinds) {
  for (const KindRow<Function>& row : rows) {
    kinds->push_back(KindOf(group, row));
    if (row.list != nullptr) row.list(std::string(row.name), kinds);
  }
}

}  // namespace spillway
