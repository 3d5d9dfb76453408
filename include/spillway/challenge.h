// SPDX-License-Identifier: MIT
// Stateless challenges: nothing is stored when one is issued. A ticket says what was asked, when,
// and where to go afterwards, under a MAC; a pass says what was shown, under the same key. Pure:
// the wall clock, the salt and the MAC are arguments. The protocol is described in
// rules/challenge.cc and docs/challenge.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "spillway/address.h"
#include "spillway/mac.h"
#include "spillway/result.h"
#include "spillway/units.h"
#include "spillway/verdict.h"

namespace spillway {

// Whom a ticket or pass is for, in the terms it is softly bound to: when both the family and the
// network differ it is not accepted; when one differs (a browser update, a phone that roams) it is.
struct ClientMark {
  std::uint64_t user_agent = 0;  // hash of the user-agent family (name and platform, no versions)
  std::uint64_t network = 0;     // hash of the /24 or /48
};
ClientMark MarkClient(std::string_view user_agent, const IpAddress& client);

// How old a ticket may be.
inline constexpr Duration kTicketLife = std::chrono::minutes(20);
// How long a client without JavaScript waits before its ticket is good (kind refresh, and as
// fallback).
Duration RefreshWait(const ChallengeDemand& demand);

// A ticket for `demand`, to be placed in the page (URL-safe text, at most 3 KiB). `return_to` is
// the origin-form target the client asked for; anything else becomes "/".
std::string IssueTicket(const Mac& mac, const ChallengeDemand& demand, const ClientMark& mark,
                        std::string_view return_to, WallTime now,
                        std::array<std::uint8_t, 16> salt);

// A genuine ticket that is not expired, taken apart. Errors: "forged", "expired".
struct Ticket {
  ChallengeDemand demand;
  ClientMark mark;
  WallTime issued;
  std::string return_to;
  std::uint64_t id = 0;
};
Result<Ticket> ReadTicket(const Mac& mac, std::string_view ticket, WallTime now);

// True when the browser family is the same, or the network: the soft binding.
bool IsSameClient(const ClientMark& a, const ClientMark& b);

struct Solved {
  std::string cookie_value;  // the pass, URL-safe
  Duration max_age{0};
  std::string return_to;        // origin form, safe to redirect to
  std::uint64_t ticket_id = 0;  // for the caller's bounded set of spent tickets
};
// Checks a solution. `nonce` is decimal text for proof of work, empty for a timed refresh.
// The error is for the log and metric: "expired", "forged", "too early", "wrong nonce", "other
// client".
Result<Solved> CheckSolution(const Mac& mac, std::string_view ticket, std::string_view nonce,
                             const ClientMark& mark, WallTime now);

// True when `cookie_value` is a pass that is genuine, not expired, the client's, and worth
// `demand`.
bool CheckPass(const Mac& mac, std::string_view cookie_value, const ChallengeDemand& demand,
               const ClientMark& mark, WallTime now);

// The value of cookie `name` in a Cookie header's value; the first, if repeated.
std::optional<std::string_view> FindCookie(std::string_view cookie_header, std::string_view name);

}  // namespace spillway
