// SPDX-License-Identifier: MIT
// A compiled rule set: judges a request. Immutable once built, so any number of threads may share
// one.
//
// Decide is pure but for the limit tables handed to it: same request, facts, tables and time, same
// verdict. It neither allocates (once the verdict's vectors have grown; the pattern engine may,
// rules/patterns.h), logs, nor reads a clock.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "spillway/limit_table.h"
#include "spillway/match_memo.h"
#include "spillway/request.h"
#include "spillway/surroundings.h"
#include "spillway/trace.h"
#include "spillway/units.h"
#include "spillway/verdict.h"

namespace spillway {

struct CompiledRules;  // rules/compiled_rules.h

// Asked only when a challenge rule matches, since the answer costs a MAC.
class PassChecker {
 public:
  virtual ~PassChecker() = default;
  // True when the request carries a pass that is worth at least `demand`.
  virtual bool HasPass(const Request& request, const ChallengeDemand& demand) const = 0;
};

// What is known beside the request. Borrowed for the call.
struct Facts {
  std::span<const bool> toggles;        // on or off, by index into Policy::toggles()
  const PassChecker* passes = nullptr;  // REQUIRES: not null
  std::span<LimitTable* const> limits;  // by index into Policy::limits(); none null
  // The same, for rules in shadow mode and for what is foreseen, each toggle with buckets of its own
  // in them; null where not in use
  std::span<LimitTable* const> shadow_limits;
  bool foresee = false;       // rules behind toggles that are off fill Verdict::foreseen
  std::uint64_t seed = 0;     // of the limits' key hashes; random, the same for the process's life
  MatchMemo* memo = nullptr;  // of this policy and the calling thread; null: nothing is remembered
  // Bits by rule: those that are judged as if they did not match; null: none
  const std::vector<std::uint64_t>* left_out = nullptr;
  std::optional<WallTime> wall = {};           // for `time`; nothing: no window holds
  const Surroundings* surroundings = nullptr;  // null: nothing is known of them
};

struct RuleInfo {
  std::string name;
  std::string action;              // "deny", "limit", "tag", ...: the first one written
  std::string place;               // "shop.yaml:14"
  std::uint32_t toggle = kNoRule;  // index into Policy::toggles(), or kNoRule
  bool limits = false;             // it charges limits, or tests them
  bool on_response = false;        // judged by JudgeResponse, not by Decide
  enum class Mode : std::uint8_t { kEnforce, kShadow, kOff } mode = Mode::kEnforce;
};
// "enforce", "shadow", "off".
std::string_view ModeName(RuleInfo::Mode mode);

struct LimitInfo {
  std::string name;
  std::string key;  // as written, normalised: "client.address,path"
  LimitSpec spec;
  // Some rule in shadow mode or behind a toggle uses it: it needs a shadow table.
  bool in_shadow_use = false;
};

class Policy {
 public:
  explicit Policy(std::unique_ptr<const CompiledRules> rules);
  ~Policy();

  // Judges `request`, seen at `now`, into *verdict, which is cleared first.
  void Decide(const Request& request, const Facts& facts, TimePoint now, Verdict* verdict) const;

  // Why `verdict` is what Decide made of this request: every rule in its order. Looks at all that
  // rules ask, whether it mattered or not, and allocates: not for the path of every request.
  std::vector<RuleTrace> Explain(const Request& request, const Facts& facts,
                                 const Verdict& verdict) const;
  // Judges the response to a request that Decide let go on, by the rules on responses: charges their
  // limits, adds their tags and matches to the verdict's, and gives the matches it added. What was
  // decided stays as it is. `facts.passes` is not asked. REQUIRES: *verdict is Decide's, of the same
  // request. Not worth a call when has_response_rules() is false.
  std::span<const RuleMatch> JudgeResponse(const Request& request, const Response& response,
                                           const Facts& facts, TimePoint now,
                                           Verdict* verdict) const;
  bool has_response_rules() const;

  std::span<const RuleInfo> rules() const;
  std::span<const LimitInfo> limits() const;
  std::span<const std::string> toggles() const;
  std::span<const std::string> pools() const;
  // The header fields of requests that rules set, or look at in conditions and in the keys of
  // limits: their names in lower case, in order, each once.
  std::span<const std::string> ruled_fields() const;
  const CompiledRules& compiled() const { return *rules_; }  // for rules/

 private:
  std::unique_ptr<const CompiledRules> rules_;
};

}  // namespace spillway
