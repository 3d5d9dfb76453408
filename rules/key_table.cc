// SPDX-License-Identifier: MIT
// Reading values by their row's type column.
#include "rules/key_table.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "rules/meant.h"

namespace spillway {
namespace {

constexpr std::size_t kKeysShown = 8;
constexpr std::size_t kKeysWithTypes = 3;

// "duration 1ms..1h" -> {"1ms", "1h"}. A row without a range is a mistake of ours, found by the
// test that reads every row's edges; here it gives empty strings.
std::pair<std::string_view, std::string_view> Edges(std::string_view type) {
  std::size_t dots = type.find("..");
  if (dots == std::string_view::npos) return {};
  std::size_t space = type.rfind(' ', dots);
  std::size_t begin = space == std::string_view::npos ? 0 : space + 1;
  std::string_view high = type.substr(dots + 2);
  return {type.substr(begin, dots - begin), high.substr(0, high.find_first_of(" ,"))};
}

std::optional<std::uint64_t> ReadRanged(const Slot& slot) {
  auto [low, high] = Edges(slot.type);
  return ReadInteger(slot.node, ParseInteger(low).value_or(0), ParseInteger(high).value_or(0));
}

}  // namespace

void ReadValue(const Slot& slot, std::string* out) {
  if (auto text = ReadText(slot.node)) *out = *std::move(text);
}

void ReadValue(const Slot& slot, bool* out) {
  if (auto value = ReadBool(slot.node)) *out = *value;
}

void ReadValue(const Slot& slot, std::uint32_t* out) {
  if (slot.type.starts_with("percent")) {
    if (auto value = ReadPercent(slot.node)) *out = *value;
  } else if (auto value = ReadRanged(slot)) {
    *out = static_cast<std::uint32_t>(*value);
  }
}

void ReadValue(const Slot& slot, std::uint64_t* out) {
  if (auto value = ReadRanged(slot)) *out = *value;
}

void ReadValue(const Slot& slot, int* out) {
  if (auto value = ReadRanged(slot)) *out = static_cast<int>(*value);
}

void ReadValue(const Slot& slot, Duration* out) {
  auto [low, high] = Edges(slot.type);
  Duration lowest = ParseDuration(low).value_or(Duration(0));
  Duration highest = ParseDuration(high).value_or(Duration(0));
  if (auto value = ReadDuration(slot.node, lowest, highest)) *out = *value;
}

void ReadValue(const Slot& slot, Bytes* out) {
  auto [low, high] = Edges(slot.type);
  Bytes lowest = ParseBytes(low).value_or(Bytes{});
  Bytes highest = ParseBytes(high).value_or(Bytes{});
  if (auto value = ReadBytes(slot.node, lowest, highest)) *out = *value;
}

void ReadValue(const Slot& slot, Rate* out) {
  if (auto value = ReadRate(slot.node)) *out = *value;
}

std::optional<std::string> ReadPath(const Slot& slot, std::string_view what) {
  if (!ExpectScalar(slot.node, what)) return std::nullopt;
  return slot.loader.Resolve(slot.node.text());
}

std::optional<std::size_t> ReadChoice(const yaml::Node& node, std::string_view choices,
                                      std::string_view what) {
  std::vector<std::string> legal;
  for (std::string_view rest = choices;;) {
    std::size_t bar = rest.find(" | ");
    legal.emplace_back(rest.substr(0, bar));
    if (bar == std::string_view::npos) break;
    rest.remove_prefix(bar + 3);
  }
  if (!ExpectScalar(node, "one of " + std::string(choices))) return std::nullopt;
  for (std::size_t i = 0; i < legal.size(); ++i) {
    if (node.text() == legal[i]) return i;
  }
  node.Fail("unknown " + std::string(what) + " " + yaml::Quote(node.text()) +
            yaml::ExpectedOneOf(node.text(), legal));
  return std::nullopt;
}

bool ExpectMap(const yaml::Node& node, std::string_view example,
               const std::vector<LegalKey>& keys) {
  if (node.is_map()) return true;
  std::string message = "expected a map ";
  message += example.empty() ? "(key: value)" : "such as " + std::string(example);
  message += ", found " + Found(node);
  for (std::size_t i = 0; i < std::min(keys.size(), kKeysShown); ++i) {
    message += (i == 0 ? "; its keys are " : ", ") + std::string(keys[i].name);
    // Of a few keys there is room for what they take.
    if (keys.size() <= kKeysWithTypes && !keys[i].type.empty()) {
      message += " (" + std::string(keys[i].type) + ")";
    }
    if (keys[i].required) message += " (needed)";
  }
  if (keys.size() > kKeysShown) {
    message +=
        " and " + std::to_string(keys.size() - kKeysShown) + " more (all of them: spillway kinds)";
  }
  node.Fail(std::move(message));
  return false;
}

void FailUnknownKey(const yaml::Node& map, const yaml::Node& key, std::vector<std::string> legal) {
  key.Fail(UnknownIn(map, "key", key.text(), std::move(legal)));
}

bool RequireKey(const yaml::Node& map, std::string_view key, std::string_view what) {
  yaml::Node value = map.Get(key);
  if (!value.missing()) return true;
  value.Fail("is missing; expected " + std::string(what));
  return false;
}

bool CheckName(const yaml::Node& key) {
  if (IsName(key.text())) return true;
  key.Fail("the name " + yaml::Quote(key.text()) +
           " cannot be used; a name has 1 to 64 letters, digits, '-' and '_', and begins with a "
           "letter or digit");
  return false;
}

}  // namespace spillway
