// SPDX-License-Identifier: MIT
// What Decide writes down while it judges one request. It lives in the caller's Verdict, so that
// its buffers are allocated once and nothing is shared between threads. Bounded by the rule set and
// the request.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules/fields.h"
#include "spillway/limit_table.h"

namespace spillway {

// A limit that had room for the request, to be charged when it is known to go on.
struct PendingCharge {
  std::uint32_t limit = 0;
  LimitKey key;
  std::uint32_t rule = 0;
  int status = 429;
};

// The same for a toggle that is off.
struct ForeseenCharge {
  std::uint32_t toggle = 0;
  std::uint32_t limit = 0;
  LimitKey key;
};

struct DecideScratch {
  std::vector<std::uint64_t> findings;  // as CompiledRules::first_findings
  std::vector<PendingCharge> pending;
  std::vector<PendingCharge> shadow_pending;
  std::vector<ForeseenCharge> foreseen_pending;
  MatchScratch match;
  std::string location;  // of a redirect that keeps the path
};

}  // namespace spillway
