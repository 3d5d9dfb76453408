// SPDX-License-Identifier: MIT
// What a limit counts by: parts of the request, hashed together under the process's seed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rules/fields.h"
#include "rules/rule_set.h"
#include "rules/yaml.h"
#include "spillway/config.h"
#include "spillway/limit_table.h"

namespace spillway {

struct LimitKeyPlan {
  std::string text;            // as written, normalised: "client.address,path"
  std::vector<FieldId> parts;  // empty: one bucket for everybody
  int ipv6_prefix = 64;
};

// Reads a limit's `key`; reports what is wrong with it.
std::optional<LimitKeyPlan> ReadLimitKey(const yaml::Node& node, const RuleScope& scope);
void AppendLimitKeyKinds(std::vector<Kind>* kinds);

// The key of the scene's request. The parent is the same key with the client's address cut to /24 or /48; of
// a key without an address it is one for all. A part that the request lacks is replaced by the
// client's address.
LimitKey KeyFor(const LimitKeyPlan& plan, const Scene& scene, std::uint64_t seed,
                MatchScratch* scratch);

}  // namespace spillway
