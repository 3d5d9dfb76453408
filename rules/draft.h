// SPDX-License-Identifier: MIT
// A configuration while it is read: the values so far, and the nodes that wait until every name is
// known. Each section has its own file, load_<section>.cc; this header is the list of them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rules/key_table.h"
#include "rules/rule_set.h"
#include "rules/yaml.h"
#include "spillway/config.h"

namespace spillway {

struct Draft {
  Config config;
  RuleScope scope;                // lists, limits and their key nodes
  std::vector<yaml::Node> rules;  // in the order in which they are judged
  std::vector<yaml::Node> tests;
  // "limit per-client" -> "shop.yaml:14", over all files
  std::map<std::string, std::string> places;
  yaml::Node root;  // the main file's; belongs to no document without one
  bool listeners_from_environment = false;
  bool servers_from_environment = false;
  bool admin_from_environment = false;
};

// Calls read(name's key, value) for each entry of a map whose keys are names of the user's. Nothing
// at all counts as an empty map. `example`: of one entry, "app: { ... }".
template <class Function>
void ForEachNamed(const yaml::Node& map, std::string_view example, Function read) {
  if (map.kind() == yaml::NodeKind::kNull) return;
  if (!map.is_map()) {
    map.Fail("expected a map of names that you choose, such as { " + std::string(example) +
             " }, found " + Found(map));
    return;
  }
  for (const auto& [key, value] : map.Entries()) {
    if (CheckName(key)) read(key, value);
  }
}

// "a, b ,c" -> {"a", "b", "c"}, for the environment; empty parts are left out.
std::vector<std::string> SplitCommas(std::string_view text);

// Sections. Each reads one value into the draft; each ListX gives the rows inside it.
void ReadListeners(const Slot& slot, Draft* draft);
void ListListenerKeys(const std::string& name, std::vector<Kind>* kinds);
bool SameListener(const SocketAddress& a, const SocketAddress& b);
// The same, or one of them takes every address at the port of the other. Listeners of clients may
// (the more definite one has the connection); nobody else may listen beside them.
bool SharesPlace(const SocketAddress& a, const SocketAddress& b);
void ReadAdmin(const Slot& slot, Draft* draft);
void ListAdminKeys(const std::string& name, std::vector<Kind>* kinds);
void ReadClients(const Slot& slot, Draft* draft);
void ListClientKeys(const std::string& name, std::vector<Kind>* kinds);
std::vector<IpRange> ReadRanges(const yaml::Node& node, const std::vector<std::string>& texts);
void ReadBots(const Slot& slot, Draft* draft);
void ListBotKeys(const std::string& name, std::vector<Kind>* kinds);
// Those that are built in, but for those whose names are taken.
void AddBuiltInBots(BotsConfig* bots);
void ReadGeo(const Slot& slot, Draft* draft);
void ListGeoKeys(const std::string& name, std::vector<Kind>* kinds);
void ReadPools(const Slot& slot, Draft* draft);
void ListPoolKeys(const std::string& name, std::vector<Kind>* kinds);
void ReadWorkers(const Slot& slot, Draft* draft);
void ReadAccessLog(const Slot& slot, Draft* draft);
void ListAccessLogKeys(const std::string& name, std::vector<Kind>* kinds);
void ReadLog(const Slot& slot, Draft* draft);
void ReadLogLevel(const Slot& slot, Draft* draft);
void ListLogKeys(const std::string& name, std::vector<Kind>* kinds);
void ReadShutdown(const Slot& slot, Draft* draft);
void ListShutdownKeys(const std::string& name, std::vector<Kind>* kinds);
void ReadToggles(const Slot& slot, Draft* draft);
void ListToggleKeys(const std::string& name, std::vector<Kind>* kinds);
void ReadChallenge(const Slot& slot, Draft* draft);
void ListChallengeKeys(const std::string& name, std::vector<Kind>* kinds);
void ReadLimits(const Slot& slot, Draft* draft);
void ListLimitKeys(const std::string& name, std::vector<Kind>* kinds);
void ReadLists(const Slot& slot, Draft* draft);
void ListListKeys(const std::string& name, std::vector<Kind>* kinds);
void ReadRules(const Slot& slot, Draft* draft);
// Tests wait until the rules are known; then they are read.
void KeepTests(const Slot& slot, Draft* draft);
void ReadTests(const std::vector<std::string>& rules, const std::vector<std::string>& limits,
               Loader& loader, Draft* draft);
void ListTestKeys(const std::string& name, std::vector<Kind>* kinds);
void ReadTestRequest(const yaml::Node& node, RequestTexts* texts);
void AppendRequestKinds(std::vector<Kind>* kinds);
void ReadTestAnswers(const yaml::Node& node, std::vector<AnswerTexts>* answers);
void AppendAnswerKinds(std::vector<Kind>* kinds);
// A part of a test's request or answer: `name` is the user's part of the key.
struct PartSlot {
  const yaml::Node& key;
  std::string_view name;
  const yaml::Node& value;
};
// A line for each value of a header field of a test.
using FieldTexts = std::vector<std::pair<std::string, std::string>>;
void ReadFieldLines(std::string_view name, const yaml::Node& value, FieldTexts* out);
// True when nothing else of this kind has the name, in any file; otherwise reported.
bool TakeName(const std::string& kind, const yaml::Node& name, Draft* draft);

// rules/environment.cc: what SPILLWAY_* says, over what the file said.
void ApplyEnvironment(const Environment& environment, Loader& loader, Draft* draft,
                      Diagnostics* diagnostics);
void ListEnvironment(std::vector<Kind>* kinds);

// rules/checks.cc: what no single key can know. Reported at the key that would have to change.
void CheckTogether(const Draft& draft, Diagnostics* diagnostics);
// What is legal and has no effect beside what else is there: a warning each.
void WarnTogether(Draft* draft);

// rules/named_files.cc: files that others open later, tried while it is known where they are named.
// Only those that are in force: not what the environment replaces, nor what is switched off. A
// state file that cannot be kept stops nobody from serving: it is a warning.
void TryNamedFiles(const Environment& environment, Loader& loader, Draft* draft,
                   Diagnostics* diagnostics);

}  // namespace spillway
