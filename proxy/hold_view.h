// SPDX-License-Identifier: MIT
// Outages of the pools, and who is held through them, as JSON for the admin side.
#pragma once

#include "proxy/generation.h"
#include "proxy/json.h"

namespace spillway {

// `state` is "up", "suspected", "down" or "returning". Null for a pool with `hold: off`.
Json ViewHold(const Pool& pool, TimePoint now);
// Of each pool that is not up, was not at some time, or held somebody: {"name": ..., and what ViewHold says}.
Json ViewHolds(const Generation& generation, TimePoint now);
Json ViewHoldConfig(const HoldConfig& config);

}  // namespace spillway
