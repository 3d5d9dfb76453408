// SPDX-License-Identifier: MIT
// Visitors in the middle of something: a cookie that says until when, under a MAC. Nothing is stored;
// a copy is worth as much as the cookie, until then, to a client of the same browser or network.
// Pure: the wall clock and the MAC are arguments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "spillway/challenge.h"
#include "spillway/mac.h"
#include "spillway/units.h"

namespace spillway {

inline constexpr std::string_view kProtectionCookie = "spillway-protected";

// The cookie's value, for `time` from now on. `visitor` is random: it tells visitors of one address
// apart. `host`: a hash of the host that it is good at; it depends on nothing but the host.
std::string IssueProtection(const Mac& mac, Duration time, std::uint64_t visitor,
                            std::uint64_t host, const ClientMark& mark, WallTime now);

struct Protection {
  Duration left{0};
  std::uint64_t visitor = 0;
};
// Nothing when it is not genuine, over, somebody else's, or of another host.
std::optional<Protection> ReadProtection(const Mac& mac, std::string_view cookie_value,
                                         std::uint64_t host, const ClientMark& mark, WallTime now);

}  // namespace spillway
