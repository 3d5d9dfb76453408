// SPDX-License-Identifier: MIT
// What rules may ask of the world beyond a request. Each question is put at most once for a request,
// and only when a rule depends on the answer; so an answer may cost a lookup, but must not wait.
//
// Whoever knows nothing answers as here: then a condition on it does not hold, whatever it says.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "spillway/address.h"
#include "spillway/bots.h"

namespace spillway {

struct Request;

// How a pool does, of all workers.
struct PoolState {
  std::uint64_t in_flight = 0;     // requests at its servers
  std::uint32_t servers_up = 100;  // percent of its servers that are healthy and not ejected
  std::uint64_t queue = 0;         // requests that wait for their turn
  // Percent of its limit that is in flight, which may be more than 100; nothing where it has no limit.
  std::optional<std::uint32_t> utilisation = {};
  std::optional<std::uint32_t> apdex = {};  // percent; nothing where too few were answered lately
};

// Thread rule: asked on the thread that judges.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  // Two capital letters, valid for the call of Decide; nothing when it is not known.
  virtual std::optional<std::string_view> Country(const IpAddress& client) const;
  // The number of the network (autonomous system) that announces the address.
  virtual std::optional<std::uint32_t> Network(const IpAddress& client) const;
  // Whether the request is from the robot that it says it is from.
  virtual std::optional<BotCheck> VerifiedBot(const Request& request) const;
  virtual std::optional<PoolState> Pool(std::uint32_t pool) const;  // index into Policy::pools()
};

inline std::optional<std::string_view> Surroundings::Country(const IpAddress&) const {
  return std::nullopt;
}
inline std::optional<std::uint32_t> Surroundings::Network(const IpAddress&) const {
  return std::nullopt;
}
inline std::optional<BotCheck> Surroundings::VerifiedBot(const Request&) const {
  return std::nullopt;
}
inline std::optional<PoolState> Surroundings::Pool(std::uint32_t) const {
  return std::nullopt;
}

}  // namespace spillway
