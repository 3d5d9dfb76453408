// SPDX-License-Identifier: MIT
// Outages of the pools, and who is held through them, as JSON for the admin side.
#pragma once

#include <string_view>

#include "proxy/generation.h"
#include "proxy/json.h"

namespace spillway {

std::string_view HoldStateName(HoldView::State state);  // "up", "suspected", "down", "returning"
// Null where nobody is held.
Json ViewHold(const Pool& pool, TimePoint now);
// Of each pool that is not up, or held somebody ever: {"name": ..., and what ViewHold says}.
Json ViewHolds(const Generation& generation, TimePoint now);
Json ViewHoldConfig(const HoldConfig& config);

}  // namespace spillway
