// SPDX-License-Identifier: MIT
// Asks DNS whether an address belongs to a robot: for the address's names, of which one must lie below
// the robot's domains, and for the addresses of that name, among which it must be.
//
// Thread rule: the resolver's loop thread. At most 1 + kMostNames questions for an address.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "proxy/resolver.h"
#include "spillway/bots.h"

namespace spillway {

struct BotAnswer {
  BotCheck check = BotCheck::kUnknown;  // kYes, kForged, or kUnknown: somebody gave no answer
  Duration ttl{0};                      // kYes: of the name's address
};

inline constexpr std::size_t kMostNames = 4;  // of an address, that are asked for

// Calls `done` once, later on the loop; not when the resolver is destroyed first.
void LookUpBot(Resolver& resolver, const IpAddress& client, const std::vector<std::string>& domains,
               std::function<void(BotAnswer)> done);

}  // namespace spillway
