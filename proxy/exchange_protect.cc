// SPDX-License-Identifier: MIT
// Visitors in the middle of something: how an exchange knows one, and makes one.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "proxy/challenge_gate.h"
#include "proxy/client_side.h"
#include "proxy/exchange.h"
#include "spillway/config.h"
#include "spillway/hash.h"

namespace spillway {
namespace {

constexpr Duration kLongestProtection = std::chrono::hours(24);

// Other machines that share the key know the host by the same hash.
std::uint64_t HostMark(std::string_view host) {
  return HashBytes(host, 0);
}

}  // namespace

// One look at one cookie: who sends forged ones pays with a MAC for each request, no more.
void Exchange::ReadProtection() {
  const auto cookie = Cookie(kProtectionCookie);
  if (!cookie) return;
  const Mac& mac = *state_.generation->shared->challenge->mac;
  state_.protection = spillway::ReadProtection(mac, *cookie, HostMark(state_.request.host),
                                               MarkOf(state_.request), state_.began_wall);
}

// The cookie to send with the answer; empty: none. A rule protects after a good answer, the server by
// a field of its answer: a duration, or "end".
std::string_view Exchange::ProtectionToSet(const ResponseHead& head) {
  const std::string_view word = head.Get(Field::kSpillwayProtect);
  const std::string_view secure = state_.request.scheme == "https" ? "; Secure" : "";
  if (word == "end") {
    if (!state_.protection) return {};
    protection_field_ =
        fmt::format("{}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax{}", kProtectionCookie, secure);
    return protection_field_;
  }
  Duration time = head.status < 400 ? verdict_.protect : Duration{0};
  if (!word.empty()) {
    if (const Result<Duration> said = ParseDuration(word))
      time = std::clamp<Duration>(*said, Duration{0}, kLongestProtection);
  }
  if (time == Duration{0}) return {};
  // Not anew with each page: what is left is worth as much for now.
  if (state_.protection && state_.protection->left > time / 2) return {};
  const std::uint64_t visitor = state_.protection ? state_.protection->visitor : worker_.ids.Next();
  if (!state_.protection) worker_.counters.protections_begun.Add();
  const Mac& mac = *state_.generation->shared->challenge->mac;
  protection_field_ =
      fmt::format("{}={}; Max-Age={}; Path=/; HttpOnly; SameSite=Lax{}", kProtectionCookie,
                  IssueProtection(mac, time, visitor, HostMark(state_.request.host),
                                  MarkOf(state_.request), state_.began_wall),
                  std::chrono::duration_cast<std::chrono::seconds>(time).count(), secure);
  return protection_field_;
}

}  // namespace spillway
