// SPDX-License-Identifier: MIT
// From YAML rules to a Policy: conditions, operators and actions. The loader (rules/load.cc) feeds
// nodes in; everything that is wrong is reported against the node.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rules/yaml.h"
#include "spillway/config.h"
#include "spillway/policy.h"

namespace spillway {

// A list by name: inline items or the lines of a file (blank lines and '#' comments are left out).
struct NamedList {
  std::vector<std::string> items;
  // Where each item stands, for errors of those that a condition cannot use ("lists/bots.txt:12").
  std::vector<std::string> places;
};

class Loader;

// What rules may refer to, all known before the first rule is read.
struct RuleScope {
  std::map<std::string, NamedList> lists;
  std::vector<std::string> pools;
  std::vector<std::string> toggles;
  std::vector<LimitInfo> limits;  // name and spec
  // Each limit's `key` node: a condition name or a list of them
  std::vector<yaml::Node> limit_keys;
  ChallengeDemand challenge_defaults;
  int ipv6_prefix = 64;
  bool countries_known = false, networks_known = false;  // there are files that say
  std::vector<BotConfig> bots;                           // that a user agent may claim to be
  // Reads the files that actions name; borrowed until the last rule is added. Null: the builder has
  // one that finds none.
  Loader* loader = nullptr;
};

// Said where countries or networks are asked for and no file tells them.
inline constexpr std::string_view kNoCountries =
    "countries are known only from a file: set geo.country_file to a MaxMind database (.mmdb)";
inline constexpr std::string_view kNoNetworks =
    "networks are known only from a file: set geo.asn_file to a MaxMind database (.mmdb)";

class RuleSetBuilder {
 public:
  explicit RuleSetBuilder(RuleScope scope);
  ~RuleSetBuilder();
  void Add(const yaml::Node& rule);        // one item of `rules`
  std::vector<std::string> names() const;  // of the rules so far
  // The policy; REQUIRES that no diagnostics were reported. Null with a reason in *error when
  // patterns do not compile together within the memory set for them. What is right, but may be slow,
  // is added to *warnings; null: it is not asked.
  std::shared_ptr<const Policy> Build(std::string* error, Diagnostics* warnings = nullptr);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Rows for ListKinds: the keys of a rule; keys of limits, conditions, operators, actions.
void ListRuleKeys(const std::string& name, std::vector<Kind>* kinds);
void AppendRuleKinds(std::vector<Kind>* kinds);

}  // namespace spillway
