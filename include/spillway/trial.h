// SPDX-License-Identifier: MIT
// What a policy is tried with where no client asks: buckets of its own, and passes that are said to be
// there. For rehearsals and replays. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "spillway/limit_table.h"
#include "spillway/policy.h"

namespace spillway {

// As Facts has them. Moves, but is not copied: the pointers are into its own tables.
struct TrialTables {
  // A table for each limit, and one more where a rule in shadow mode has it, each of no more than
  // `most_keys`. The error says for which limit there is no memory.
  static Result<TrialTables> Create(const Policy& policy, std::uint64_t most_keys);

  std::deque<LimitTable> all;
  std::vector<LimitTable*> limits, shadow_limits;
};

// Everybody has the pass that is asked for, or nobody.
struct TrialPasses final : PassChecker {
  explicit TrialPasses(bool everybody = false) : holds(everybody) {}
  bool HasPass(const Request&, const ChallengeDemand&) const override { return holds; }
  bool holds;
};

}  // namespace spillway
