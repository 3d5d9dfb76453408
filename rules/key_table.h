// SPDX-License-Identifier: MIT
// A section of the configuration is a table of its keys. The one table reads the section, lists the
// legal keys in errors, and feeds `spillway kinds`, `spillway schema` and the reference.
//
// A range stands in the `type` column, where a person reads it, and is parsed from there ("duration
// 1ms..1h", "round_robin | least_requests | hash"), so it cannot differ from what is enforced.
// Defaults are the initialisers of spillway/config.h; a test compares them with the `fallback`
// column.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "rules/loader.h"
#include "rules/scalars.h"
#include "rules/yaml.h"
#include "spillway/config.h"

namespace spillway {

// What a parse function is given: the value, its row's type column, and the load under way.
struct Slot {
  const yaml::Node& node;
  std::string_view type;
  Loader& loader;
};

// REQUIRES: strings are literals. `parse` reports what is wrong and then leaves *out as it was.
template <class T>
struct KeyRow {
  std::string_view name;
  std::string_view type;
  std::string_view fallback;  // as it would be written; empty: none
  std::string_view text;      // one sentence
  void (*parse)(const Slot& slot, T* out);
  // For a section: the rows inside it, named with `prefix` before them.
  void (*list)(const std::string& prefix, std::vector<Kind>* kinds) = nullptr;
  // For a key that must be there: what it would be, as the error says it; empty: it need not be.
  std::string_view required = {};
};

void ReadValue(const Slot& slot, std::string* out);
void ReadValue(const Slot& slot, bool* out);
void ReadValue(const Slot& slot, std::uint32_t* out);
void ReadValue(const Slot& slot, std::uint64_t* out);
void ReadValue(const Slot& slot, int* out);
void ReadValue(const Slot& slot, Duration* out);
void ReadValue(const Slot& slot, Bytes* out);
void ReadValue(const Slot& slot, Rate* out);

// The position of the node's text among the words of "a | b | c".
std::optional<std::size_t> ReadChoice(const yaml::Node& node, std::string_view choices,
                                      std::string_view what = "value");
template <class E>
requires std::is_enum_v<E>
void ReadValue(const Slot& slot, E* out) {
  if (auto choice = ReadChoice(slot.node, slot.type)) *out = static_cast<E>(*choice);
}

// A key as it is told to someone who wrote no map.
struct LegalKey {
  std::string_view name;
  std::string_view type;
  bool required = false;
};
// True when the node is a map; otherwise reported, with an example and the first of its keys, where
// there are any.
bool ExpectMap(const yaml::Node& node, std::string_view example,
               const std::vector<LegalKey>& keys = {});
// Reports `key` of `map` as none of `legal`.
void FailUnknownKey(const yaml::Node& map, const yaml::Node& key, std::vector<std::string> legal);
// Reports it when the map has no such key, and what it would be; true when it has.
bool RequireKey(const yaml::Node& map, std::string_view key, std::string_view what);
// Reports a name of the user's that breaks the rule for names; true when it is good.
bool CheckName(const yaml::Node& key);

template <class T, std::size_t kSize>
void ReadKeys(const yaml::Node& map, const KeyRow<T> (&rows)[kSize], Loader& loader, T* out,
              std::string_view example = {}) {
  if (!map.is_map()) {
    std::vector<LegalKey> keys;
    for (const KeyRow<T>& row : rows) keys.push_back({row.name, row.type, !row.required.empty()});
    ExpectMap(map, example, keys);
    return;
  }
  for (const auto& [key, value] : map.Entries()) {
    const KeyRow<T>* found = nullptr;
    for (const KeyRow<T>& row : rows) {
      if (row.name == key.text()) found = &row;
    }
    if (found != nullptr) {
      found->parse(Slot{value, found->type, loader}, out);
      continue;
    }
    std::vector<std::string> legal;
    for (const KeyRow<T>& row : rows) legal.emplace_back(row.name);
    FailUnknownKey(map, key, std::move(legal));
  }
  for (const KeyRow<T>& row : rows) {
    if (!row.required.empty()) RequireKey(map, row.name, row.required);
  }
}

template <class T, std::size_t kSize>
void ListKeys(const KeyRow<T> (&rows)[kSize], const std::string& prefix, std::vector<Kind>* kinds,
              const std::string& group = "key") {
  for (const KeyRow<T>& row : rows) {
    std::string name = prefix + std::string(row.name);
    kinds->push_back({group, name, std::string(row.type), std::string(row.fallback),
                      std::string(row.text), !row.required.empty()});
    if (row.list != nullptr) row.list(name, kinds);
  }
}

// The rest makes the last columns of rows.
template <class M>
struct MemberTraits;
template <class T, class V>
struct MemberTraits<V T::*> {
  using Owner = T;
  using Value = V;
};
template <auto kMember>
using OwnerOf = typename MemberTraits<decltype(kMember)>::Owner;

// Reads a member by its type.
template <auto kMember>
void Set(const Slot& slot, OwnerOf<kMember>* out) {
  ReadValue(slot, &(out->*kMember));
}

// The same for a member of a member.
template <auto kOuter, auto kInner>
void SetIn(const Slot& slot, OwnerOf<kOuter>* out) {
  ReadValue(slot, &(out->*kOuter.*kInner));
}

// What a path leads to, as an error says it.
inline constexpr std::string_view kFilePath = "the path of a file";
inline constexpr std::string_view kPemPath = "the path of a PEM file";

// Reads a path, made relative to the file that names it.
std::optional<std::string> ReadPath(const Slot& slot, std::string_view what);
// Reads a member that names a file.
template <auto kMember, const auto& kWhat = kFilePath>
void SetPath(const Slot& slot, OwnerOf<kMember>* out) {
  if (auto path = ReadPath(slot, kWhat)) out->*kMember = *std::move(path);
}

// Keeps the node itself, for what only its neighbours or the names of other sections can judge.
template <auto kMember>
void Keep(const Slot& slot, OwnerOf<kMember>* out) {
  out->*kMember = slot.node;
}

// Reads a member that is a section with rows of its own.
template <auto kMember, const auto& kRows>
void Section(const Slot& slot, OwnerOf<kMember>* out) {
  ReadKeys(slot.node, kRows, slot.loader, &(out->*kMember));
}

template <const auto& kRows>
void ListSection(const std::string& name, std::vector<Kind>* kinds) {
  ListKeys(kRows, name + ".", kinds);
}
// A map from names of the user's to sections, and a list of sections.
template <const auto& kRows>
void ListNamed(const std::string& name, std::vector<Kind>* kinds) {
  ListKeys(kRows, name + ".NAME.", kinds);
}
template <const auto& kRows>
void ListItems(const std::string& name, std::vector<Kind>* kinds) {
  ListKeys(kRows, name + "[].", kinds);
}

// A map that an action takes.
template <const auto& kRows>
void ListArguments(const std::string& name, std::vector<Kind>* kinds) {
  ListKeys(kRows, name + ".", kinds, "action");
}

}  // namespace spillway
