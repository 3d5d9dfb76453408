// SPDX-License-Identifier: MIT
// A rule set on trial: judges requests that nobody sent with tables, toggles and a clock of its own,
// by the engine that judges live ones.
// Thread rule: one thread. Memory: 17 KiB for each limit, twice where a rule in shadow mode has it,
// and what a MatchMemo takes.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "spillway/config.h"
#include "spillway/match_memo.h"
#include "spillway/policy.h"
#include "spillway/posed_request.h"
#include "spillway/trace.h"
#include "spillway/trial.h"

namespace spillway {

class Rehearsal {
 public:
  // Toggles stand as at a first start. Borrows the configuration. Requests of unknown origin ask for
  // a secret; those of an operator do not. The error says that memory is short.
  static Result<std::unique_ptr<Rehearsal>> Create(const Config& config, HashSecret secret = {});
  Rehearsal(const Rehearsal&) = delete;
  Rehearsal& operator=(const Rehearsal&) = delete;

  void SetToggle(std::uint32_t toggle, bool on) { toggles_[toggle] = on; }
  void ResetToggles();
  void SetPass(bool has_pass) { passes_.holds = has_pass; }
  // Bits by rule, borrowed until it is said anew: Facts::left_out; null: none.
  void LeaveOut(const std::vector<std::uint64_t>* rules) { left_out_ = rules; }
  // Of the clients to come, until it is said anew.
  void Say(SaidOfClient said) { around_.Say(std::move(said)); }
  // The wall clock at the beginning; unless set, noon of a Monday (UTC).
  void SetWall(WallTime wall) { wall_ = wall; }

  // Judges a request that comes `after` the beginning. Of several since Fresh, none comes before
  // another. The verdict holds until the next call.
  const Verdict& Judge(const Request& request, Duration after = Duration(0));
  // The answer to the request that was judged last, by the rules on responses. REQUIRES: that one was
  // forwarded, and nothing came in between.
  void Answer(const Request& request, const Response& response);
  // Why it was judged so: of the request that was judged last.
  std::vector<RuleTrace> Explain(const Request& request);
  // A new beginning: all buckets are full.
  Result<void> Fresh();

 private:
  Rehearsal(const Config& config, HashSecret secret);
  Result<void> MakeTables();
  Facts facts(Duration after);

  const Config& config_;
  MatchMemo memo_;
  TrialPasses passes_;
  PosedSurroundings around_;
  std::unique_ptr<bool[]> toggles_;
  TrialTables tables_;
  const std::vector<std::uint64_t>* left_out_ = nullptr;
  // Of 2024-01-01, a Monday.
  WallTime wall_{std::chrono::sys_days(std::chrono::January / 1 / 2024) + std::chrono::hours(12)};
  Duration after_{0};       // of the last request
  TimePoint begin_, full_;  // when this beginning was; when all buckets are full again
  Verdict verdict_;
};

}  // namespace spillway
