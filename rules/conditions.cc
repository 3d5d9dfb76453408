// SPDX-License-Identifier: MIT
// The map under `match`: its keys are conditions, all of which must hold, or one of the three words
// that join other such maps.
#include "rules/conditions.h"

#include <array>
#include <string>
#include <utility>

#include "rules/clip.h"
#include "rules/meant.h"
#include "rules/scalars.h"

namespace spillway {
namespace {

std::vector<Expression> ReadEach(ConditionReader& reader, const yaml::Node& list) {
  std::vector<Expression> parts;
  if (!list.is_list() || list.Items().empty()) {
    list.Fail("expected a list of conditions such as [{ path: /a }, { method: POST }]");
    return parts;
  }
  if (!EnterLevel(reader, list)) return parts;
  for (const yaml::Node& item : list.Items()) parts.push_back(ReadMatch(reader, item));
  --reader.depth;
  return parts;
}

Expression ReadAll(ConditionReader& reader, const ConditionSlot& slot) {
  return Expression::All(ReadEach(reader, slot.test));
}

Expression ReadAny(ConditionReader& reader, const ConditionSlot& slot) {
  return Expression::Any(ReadEach(reader, slot.test));
}

Expression ReadNot(ConditionReader& reader, const ConditionSlot& slot) {
  if (!EnterLevel(reader, slot.test)) return {};
  Expression inner = ReadMatch(reader, slot.test);
  --reader.depth;
  return Expression::Not(std::move(inner));
}

constexpr Condition kJoins[] = {
    {"all", "list of conditions", "every one of them holds", &ReadAll},
    {"any", "list of conditions", "at least one of them holds", &ReadAny},
    {"not", "map of conditions", "it does not hold", &ReadNot},
};

std::array<std::span<const Condition>, 6> Families() {
  return {RequestConditions(), HeaderConditions(),   ClientConditions(),
          WorldConditions(),   ResponseConditions(), kJoins};
}

bool IsJoin(const Condition& row) {
  return &row >= std::begin(kJoins) && &row < std::end(kJoins);
}

constexpr std::size_t kMostWritten = 160;  // bytes of a condition that are kept for who asks why

void Write(const yaml::Node& node, std::string* out) {
  if (out->size() > kMostWritten) return;
  if (node.is_list()) {
    *out += '[';
    const auto items = node.Items();
    for (std::size_t i = 0; i < items.size() && out->size() <= kMostWritten; ++i) {
      if (i > 0) *out += ", ";
      Write(items[i], out);
    }
    *out += ']';
  } else if (node.is_map()) {
    *out += "{ ";
    const auto entries = node.Entries();
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) *out += ", ";
      *out += std::string(Clip(entries[i].first.text(), kMostWritten)) + ": ";
      Write(entries[i].second, out);
    }
    *out += " }";
  } else {
    *out += Clip(node.text(), kMostWritten);
  }
}

// "path: { prefix: [/a, /b] }", in one line.
std::string AsWritten(const yaml::Node& key, const yaml::Node& test) {
  std::string text(Clip(key.text(), kMostWritten));
  text += ": ";
  Write(test, &text);
  if (text.size() > kMostWritten) text = std::string(Clip(text, kMostWritten)) + "...";
  return text;
}

const Condition* FindCondition(std::string_view key, std::string_view* name) {
  for (const std::span<const Condition> family : Families()) {
    for (const Condition& row : family) {
      if (Covers(row, key, name)) return &row;
    }
  }
  return nullptr;
}

}  // namespace

Expression ReadMatch(ConditionReader& reader, const yaml::Node& node) {
  if (!node.is_map()) {
    node.Fail("expected a map of conditions such as { path: /admin }, found " + Found(node) +
              (node.is_list() ? "; what holds of a list is said by { any: [...] } or { all: [...] }"
                              : ""));
    return {};
  }
  const auto entries = node.Entries();
  if (entries.empty())
    node.Fail("an empty map asks nothing; leave match out to match every request");
  std::vector<Expression> parts;
  for (const auto& [key, test] : entries) {
    std::string_view name;
    if (const Condition* row = FindCondition(key.text(), &name)) {
      if (row->asks.response && !reader.on_response) {
        key.Fail(yaml::Quote(key.text()) +
                 " is not known before the answer; a rule that asks for it says when: response, "
                 "and its actions are limit and tag");
      }
      parts.push_back(row->parse(reader, {key, name, test, row->asks}));
      if (!IsJoin(*row)) parts.back().text = AsWritten(key, test);
      continue;
    }
    if (IsOperator(key.text())) {
      key.Fail(yaml::Quote(key.text()) +
               " stands below what it looks at, such as { user_agent: { " +
               std::string(key.text()) + ": ... } }");
      continue;
    }
    std::vector<std::string> legal;
    for (const std::span<const Condition> family : Families()) AppendNames(family, &legal);
    key.Fail(UnknownIn(node, "condition", key.text(), std::move(legal)));
  }
  return Expression::All(std::move(parts));
}

void AppendConditionKinds(std::vector<Kind>* kinds) {
  for (const std::span<const Condition> family : Families()) {
    for (const Condition& row : family) {
      kinds->push_back(KindOf("condition", row));
      kinds->back().operators = OperatorsFor(row.asks);
      kinds->back().words.assign(row.asks.words.begin(), row.asks.words.end());
      if (row.list != nullptr) row.list(std::string(row.name), kinds);
    }
  }
}

}  // namespace spillway
