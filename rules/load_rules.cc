// SPDX-License-Identifier: MIT
// What rules refer to, and the rules themselves: `limits`, `lists`, `rules`. These may stand in
// included files too, so a name can be taken twice; the second one is told where the first stands.
#include "rules/draft.h"

namespace spillway {
namespace {

constexpr std::size_t kMaxListFile = std::size_t{64} << 20;
constexpr std::size_t kMaxListItems = 1'000'000;

// The builder of rules reads it (RuleScope::limit_keys): it knows what a key may be.
void LeaveLimitKey(const Slot&, LimitSpec*) {}

constexpr KeyRow<LimitSpec> kLimitRows[] = {
    {"key", "limit key, or list of these", "",
     "what has a bucket of its own, such as client.address", &LeaveLimitKey, nullptr,
     "what has a bucket of its own, such as client.address, or global"},
    {"rate", "rate", "", "how many requests pass over time, such as 10/s, 30/m or 5/10s",
     &Set<&LimitSpec::rate>, nullptr, "a rate such as 10/s"},
    {"burst", "integer 1..1000000000", "",
     "how many pass at once; without it the rate's own number", &Set<&LimitSpec::burst>},
    {"keys", "integer 1024..268435456", "1048576",
     "how many buckets the table holds, 16 bytes each", &Set<&LimitSpec::keys>},
    {"parent_share", "integer 1..1000", "4",
     "how many times the rate a network has when its clients must share a bucket",
     &Set<&LimitSpec::parent_share>},
};

// A full bucket must be a time that can be counted in nanoseconds: burst x period / events.
constexpr Duration kLongestRefill = std::chrono::hours(24 * 366);

void CheckRefill(const yaml::Node& limit, const LimitSpec& spec) {
  double seconds = std::chrono::duration<double>(spec.rate.period).count() *
                   static_cast<double>(spec.burst) / static_cast<double>(spec.rate.events);
  if (seconds <= std::chrono::duration<double>(kLongestRefill).count()) return;
  limit.Get("burst").Fail("at this rate a burst of " + std::to_string(spec.burst) +
                          " takes longer than 366d to refill; expected a smaller burst");
}

constexpr std::string_view kListFile =
    "a file with one item on each line, where lines that begin with '#' are left out";
constexpr std::string_view kListPath =
    "the path of a file with one item on each line, or no map but a list of the items, such as "
    "[192.0.2.1, 198.51.100.0/24]";

void ReadListFile(const Slot& slot, NamedList* out) {
  std::optional<std::string> bytes = slot.loader.ReadNamed(slot.node, kListFile, kMaxListFile);
  if (!bytes) return;
  std::string path = slot.loader.Resolve(slot.node.text());
  std::string_view rest = *bytes;
  if (rest.starts_with("\xef\xbb\xbf")) rest.remove_prefix(3);
  for (int number = 1; !rest.empty(); ++number) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos || line[begin] == '#') continue;
    line = line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
    if (out->items.size() == kMaxListItems) {
      slot.node.Fail(yaml::Quote(path) + " has more than " + std::to_string(kMaxListItems) +
                     " items");
      return;
    }
    out->items.emplace_back(line);
    out->places.push_back(path + ":" + std::to_string(number));
  }
}

constexpr KeyRow<NamedList> kListRows[] = {
    {"file", "path", "",
     "one item on each line; blank lines and those that begin with '#' are left out", &ReadListFile,
     nullptr, kListPath},
};

// Of `rules: { bots: { ... } }`, as every other section is written, where the name goes.
std::string NameInside(const yaml::Node& rules) {
  const auto entries = rules.Entries();
  if (entries.empty() || !entries[0].second.is_map()) return {};
  const std::string_view name = entries[0].first.text();
  if (!IsName(name)) return {};
  return "; the name of a rule is one of its keys, such as - { name: " + std::string(name) +
         ", match: ..., action: ... }";
}

}  // namespace

bool TakeName(const std::string& kind, const yaml::Node& key, Draft* draft) {
  std::string name(key.text());
  auto [found, fresh] = draft->places.emplace(kind + " " + name, key.place());
  if (!fresh) key.Fail(kind + " " + yaml::Quote(name) + " stands at " + found->second + " already");
  return fresh;
}

void ReadLimits(const Slot& slot, Draft* draft) {
  constexpr std::string_view kExample = "{ key: client.address, rate: 10/s }";
  ForEachNamed(
      slot.node, "per-client: " + std::string(kExample),
      [&](const yaml::Node& key, const yaml::Node& value) {
        if (!TakeName("limit", key, draft)) return;
        std::size_t errors = key.diagnostics().size();
        LimitSpec spec;
        ReadKeys(value, kLimitRows, slot.loader, &spec, kExample);
        if (value.is_map()) {
          if (value.Get("burst").missing()) spec.burst = spec.rate.events;
          if (key.diagnostics().size() == errors) CheckRefill(value, spec);
        }
        // One that is wrong is known by name all the same, or each rule that uses it would be called
        // wrong.
        draft->scope.limits.push_back({std::string(key.text()), {}, spec});
        draft->scope.limit_keys.push_back(value.is_map() ? value.Get("key") : yaml::Node());
      });
}

void ListLimitKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListNamed<kLimitRows>(name, kinds);
}

void ReadLists(const Slot& slot, Draft* draft) {
  constexpr std::string_view kExample = "office: [192.0.2.1, 198.51.100.0/24]";
  ForEachNamed(slot.node, kExample, [&](const yaml::Node& key, const yaml::Node& value) {
    if (!TakeName("list", key, draft)) return;
    NamedList& list = draft->scope.lists[std::string(key.text())];
    if (value.is_map()) {
      ReadKeys(value, kListRows, slot.loader, &list);
      return;
    }
    if (value.kind() == yaml::NodeKind::kNull)
      value.Fail("expected a list of items, or { file: path }, found nothing");
    for (const yaml::Node& item : value.Items()) {
      if (!ExpectScalar(item, "an item of the list")) continue;
      list.items.emplace_back(item.text());
      list.places.push_back(item.place());
    }
  });
}

void ListListKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListNamed<kListRows>(name, kinds);
}

void ReadRules(const Slot& slot, Draft* draft) {
  if (slot.node.kind() == yaml::NodeKind::kNull) return;
  if (!slot.node.is_list()) {
    slot.node.Fail(
        "expected a list of rules, each beginning with '- ', such as - { match: { path: /admin }, "
        "action: deny }, found " +
        Found(slot.node) + NameInside(slot.node));
    // What else is wrong with a rule without its '-' is told at once.
    const bool rule = slot.node.is_map() && !slot.node.Get("name").missing();
    if (rule) draft->rules.push_back(slot.node);
    return;
  }
  for (const yaml::Node& rule : slot.node.Items()) draft->rules.push_back(rule);
}

}  // namespace spillway
