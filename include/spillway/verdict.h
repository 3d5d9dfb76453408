// SPDX-License-Identifier: MIT
// What to do with one request: the value that Policy::Decide returns and the proxy carries out.
// All views and pointers borrow from the Policy that decided, or (a redirect's location) from the
// verdict itself until its next use; an exchange keeps both alive. Thread rule: a verdict belongs to
// one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "spillway/limit_table.h"
#include "spillway/traffic_class.h"
#include "spillway/units.h"

namespace spillway {

// In order of strength.
enum class ChallengeKind : std::uint8_t { kCookie, kRefresh, kProofOfWork };

// What a client must show to get past a challenge rule.
struct ChallengeDemand {
  ChallengeKind kind = ChallengeKind::kProofOfWork;
  int bits = 14;  // leading zero bits of SHA-256, 1..24 (proof of work only)
  Duration pass = std::chrono::minutes(30);  // how long the pass is good for
  friend bool operator==(const ChallengeDemand&, const ChallengeDemand&) = default;
};

struct HeaderToSet {
  std::string_view name;
  std::string_view value;
};

// The final actions. Each knows all that carrying it out needs.
struct Forward {};  // to the verdict's pool
struct Deny {
  int status = 403;  // 400..599
};
struct OverLimit {
  int status = 429;
};
struct Challenge {
  ChallengeDemand demand;
};
struct Redirect {
  int status = 302;  // 301, 302, 303, 307, 308
  std::string_view location;
};
struct Respond {
  int status = 200;  // 200..599
  std::string_view content_type;
  std::string_view body;
  const std::vector<HeaderToSet>* headers = nullptr;  // never null in a verdict
};
struct Drop {};  // close the connection without an answer

using FinalAction = std::variant<Forward, Deny, OverLimit, Challenge, Redirect, Respond, Drop>;

inline constexpr std::uint32_t kNoRule = 0xffffffff;

// A limit this request was charged against, or refused by.
struct LimitOutcome {
  std::uint32_t limit = 0;  // index into Policy::limits()
  LimitState state;
};

// A rule that matched: it was judged (neither mode: off, nor behind a toggle that is off), and its
// condition holds. Rules in shadow mode are among them.
struct RuleMatch {
  std::uint32_t rule = 0;  // index into Policy::rules()
  bool shadow = false;
  bool over_limit = false;  // one of its limits refuses the request (in shadow: would refuse it)
};

// What a toggle that is off would have done with the request, were it on and the others as they are:
// some rule behind it matched.
struct Foreseen {
  // kPass: nothing ends the request by it; kAnswer: a redirect, or a page of our own.
  enum class Effect : std::uint8_t { kPass, kDeny, kLimit, kChallenge, kAnswer };
  std::uint32_t toggle = 0;  // index into Policy::toggles()
  std::uint32_t rule = 0;    // the one that would end it; none: the first that matched
  Effect effect = Effect::kPass;
  bool final = false;  // no later rule would have been reached
};

struct DecideScratch;  // rules/scratch.h

// Reused by the caller from request to request, so that its vectors keep their capacity.
struct Verdict {
  Verdict();
  ~Verdict();
  Verdict(Verdict&&) noexcept;
  Verdict& operator=(Verdict&&) noexcept;

  FinalAction action = Forward{};
  std::uint32_t rule = kNoRule;  // the rule that ended it; kNoRule: none did, forwarded
  std::uint32_t pool = 0;        // index into Policy::pools()
  TrafficClass traffic_class = TrafficClass::kCritical;
  Duration protect{0};  // the visitor, for so long after a good answer; 0: not by this request
  std::vector<HeaderToSet> set_headers;  // on the request to the upstream, in rule order
  std::vector<std::string_view> tags;    // for the access log
  std::vector<LimitOutcome> limits;      // charged, or (last, not allowed) refusing
  std::vector<RuleMatch> matches;        // every rule that matched, for the counters
  std::vector<Foreseen> foreseen;        // of each toggle at most one

  void Clear();

 private:
  friend class Policy;
  std::unique_ptr<DecideScratch> scratch_;  // working memory of Decide, which so needs no other
};

// "forward", "deny", "limit", "challenge", "redirect", "respond", "drop".
std::string_view ActionName(const FinalAction& action);
// The status of those that answer with one of the rule's: not of forward, challenge and drop.
std::optional<int> StatusOf(const FinalAction& action);

}  // namespace spillway
