// SPDX-License-Identifier: MIT
// Challenges at the edge: who has a pass, what to ask of who has none, and what comes back.
// A gate is made for one request; what all share is in ChallengeState: the key, the cookie's name,
// and the tickets that were used.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/challenge_page.h"
#include "proxy/reply.h"
#include "spillway/challenge.h"
#include "spillway/config.h"
#include "spillway/mac.h"
#include "spillway/policy.h"

namespace spillway {

// Tickets that gave a pass. Lossy and of fixed size (65,536 entries, 512 KiB): when a set of eight
// is full, the oldest is forgotten. All threads at once, without locks.
//
// One ticket serves one client: whoever repeats it with the same mark (a double click, a retry
// after a lost answer) gets another pass, anybody else is refused. Forgetting, or two threads that
// take the same place at once, lets a ticket be used once more, by a client to whom it is softly
// bound anyway.
class SpentTickets {
 public:
  SpentTickets();
  // False when the ticket was spent by a client with another mark.
  bool Spend(std::uint64_t ticket_id, const ClientMark& mark, WallTime now);

 private:
  static constexpr std::size_t kWays = 8, kEntries = 65536;
  std::unique_ptr<std::atomic<std::uint64_t>[]> entries_;
};

struct ChallengeState {
  std::shared_ptr<const Mac> mac;
  std::string cookie;
  std::string key_file;  // empty: the key was made at the start
  std::shared_ptr<SpentTickets> spent;
  bool made_key() const { return key_file.empty(); }
};

// Reads the key file; without one keeps the key of `previous`, if that was made, or makes one.
// Spent tickets are kept over reloads. The error says what is wrong with the file.
Result<std::shared_ptr<const ChallengeState>> MakeChallengeState(const ChallengeConfig& config,
                                                                 const ChallengeState* previous);

// Whom tickets, passes and protections of a request's client are bound to.
ClientMark MarkOf(const Request& request);

class ChallengeGate final : public PassChecker {
 public:
  // REQUIRES: the state outlives the gate.
  // `excused`: who asks is not to be challenged, whatever is demanded.
  ChallengeGate(const ChallengeState& state, WallTime now, bool excused = false)
      : state_(state), now_(now), excused_(excused) {}

  bool HasPass(const Request& request, const ChallengeDemand& demand) const override;

  // What to answer a request that has no pass. `salt` is random, not secret.
  Answer Ask(const Request& request, const ChallengeDemand& demand,
             const std::array<std::uint64_t, 2>& salt, const AnswerContext& context) const;
  // Answers a request below "/.spillway/". `body` is the form of a POST, at most 8 KiB. `*passed`
  // tells whether a pass was given (or, for kind cookie, was found to have come back).
  Answer Solve(const Request& request, std::string_view body, const AnswerContext& context,
               bool* passed) const;

 private:
  Answer Pass(const Solved& solved, const Request& request, const AnswerContext& context) const;
  std::string SetCookie(const Solved& solved, const Request& request) const;

  const ChallengeState& state_;
  WallTime now_;
  bool excused_;
};

}  // namespace spillway
