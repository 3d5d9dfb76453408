// SPDX-License-Identifier: MIT
// `spillway replay`: access logs judged by rule sets, with the clock of the logs and with fresh
// limits. What a log cannot tell is said (spillway/partial_judge.h).
//
// Here are the judging and the counting; proxy/replay_run.h reads logs into it, and
// proxy/replay_report.h writes down what came of it. Reads no clock. Thread rule: one thread.
// Memory: each rule set's limit tables as a server would have them, kClients clients, and
// kDifferences kinds of differences with kExamples examples each.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/agent_family.h"
#include "proxy/log_line.h"
#include "proxy/space_saving.h"
#include "spillway/config.h"
#include "spillway/identify_target.h"
#include "spillway/partial_judge.h"
#include "spillway/trial.h"

namespace spillway {

// Whom challenges let through. A log does not hold it.
enum class AssumedPasses : std::uint8_t { kUnknown, kNobody, kEverybody };

struct ReplayAssumptions {
  std::map<std::string, bool> toggles = {};  // those that are not named are unknown
  AssumedPasses passes = AssumedPasses::kUnknown;
  std::string host = {};  // of requests whose log does not hold it; normalised; empty: not known
};

// What would have become of a request: the final action, by index into FinalAction's alternatives;
// or it would have been refused before any rule.
inline constexpr std::size_t kRefusedUnjudged = std::variant_size_v<FinalAction>;
inline constexpr std::size_t kOutcomes = kRefusedUnjudged + 1;
std::string_view OutcomeName(std::size_t action);  // "forward", ..., "bad_request"

struct Outcome {
  std::size_t action = 0;
  std::uint32_t rule = kNoRule;     // that ended it
  std::uint32_t perhaps = kNoRule;  // the first that is undecided, and might have ended it
};

struct RuleTally {
  std::uint64_t matched = 0;
  std::uint64_t ended = 0;       // it ended the request: refused, challenged, allowed, ...
  std::uint64_t over_limit = 0;  // of these, by a limit of it (in shadow: it would have)
  std::uint64_t undecided = 0;
  std::map<std::string, std::uint64_t> reasons;  // of the undecided
};

// One rule set on its way through the log.
class ReplaySide {
 public:
  // The error says for which limit there is no memory.
  static Result<std::unique_ptr<ReplaySide>> Create(Config config,
                                                    const ReplayAssumptions& assumptions);

  // A request of the log, with what it tells.
  struct Entry {
    const Request& request;
    LogForm form;
    bool query;                         // the log tells queries
    std::string_view raw_path;          // as it was sent; empty: not known
    std::optional<KnownAnswer> answer;  // nothing: it went to a server, and none answered
  };
  Outcome Judge(const Entry& entry, TimePoint now, WallTime wall);

  const Config& config() const { return config_; }
  const Policy& policy() const { return *config_.policy; }
  const std::vector<RuleTally>& rules() const { return rules_; }
  const std::array<std::uint64_t, kOutcomes>& outcomes() const { return outcomes_; }
  std::uint64_t unsure() const { return unsure_; }  // requests that came behind an undecided rule
  // Requests of which it is undecided whether their answers would have charged a limit.
  std::uint64_t unsure_answers() const { return unsure_answers_; }

 private:
  explicit ReplaySide(Config config) : config_(std::move(config)) {}
  PartialJudge& JudgeFor(LogForm form, bool query);
  void JudgeAnswer(const Entry& entry, const Facts& facts, TimePoint now, PartialJudge* judge);
  std::uint32_t CountUndecided(const PartialJudge& judge);

  Config config_;
  TrialTables tables_;
  std::unique_ptr<MatchMemo> memo_;
  std::vector<std::optional<bool>> toggles_;
  bool host_known_ = false;
  TrialPasses passes_;
  bool passes_known_ = false;
  std::array<std::optional<PartialJudge>, kLogForms * 2> judges_;  // with and without queries
  Verdict verdict_;
  std::vector<UndecidedRule> undecided_;
  std::vector<RuleTally> rules_;
  std::array<std::uint64_t, kOutcomes> outcomes_{};
  std::uint64_t unsure_ = 0, unsure_answers_ = 0;
};

// What two rule sets do differently with requests.
struct Difference {
  Outcome before, after;  // of the first such request; rules by the index of their own side
  std::uint64_t count = 0;
  std::vector<std::string> examples;
};

struct AddressHash {
  std::size_t operator()(const IpAddress& address) const;
};

class Replay {
 public:
  static constexpr std::size_t kClients = 4096;
  static constexpr std::size_t kDifferences = 4096;
  static constexpr std::size_t kExamples = 3;
  static constexpr std::size_t kLongestExample = 200;

  // `before` may be null; `host` is as ReplayAssumptions has it.
  Replay(std::unique_ptr<ReplaySide> after, std::unique_ptr<ReplaySide> before,
         std::string host = {});

  // The next request of the log; `place`, which gives "access.log:17", is called for examples only.
  template <class Place>
  void Add(const LoggedRequest& logged, bool query, Place&& place) {
    if (!Judge(logged, query)) return;
    if (Difference* wants = CountDifference()) AddExample(logged, place(), wants);
  }

  struct Family {
    std::uint64_t requests = 0, affected = 0, perhaps = 0;
  };
  using Clients = SpaceSaving<IpAddress, AddressHash>;

  const ReplaySide& after() const { return *after_; }
  const ReplaySide* before() const { return before_.get(); }
  std::uint64_t requests() const { return requests_; }  // that were judged
  std::uint64_t no_request() const { return no_request_; }
  std::uint64_t refused() const { return refused_; }
  std::uint64_t own() const { return own_; }
  std::uint64_t late() const { return late_; }
  std::uint64_t same() const { return same_; }
  std::uint64_t other_differences() const { return other_differences_; }
  bool whole_seconds() const { return whole_seconds_; }
  bool json() const { return json_; }
  WallTime first() const { return first_; }
  WallTime last() const { return clock_; }
  const Clients& clients() const { return clients_; }
  const std::vector<Family>& families() const { return families_; }
  std::vector<Difference> Differences() const;  // the most frequent first

 private:
  struct OutcomeKey {
    std::size_t action;
    std::uint32_t rule, perhaps;  // numbers of names
    friend auto operator<=>(const OutcomeKey&, const OutcomeKey&) = default;
  };
  bool MakeRequest(const LoggedRequest& logged, std::string_view* raw_path);
  bool Judge(const LoggedRequest& logged, bool query);
  Difference* CountDifference();  // null: it needs no more examples
  static void AddExample(const LoggedRequest& logged, const std::string& place, Difference* to);
  OutcomeKey KeyOf(const Outcome& outcome, const std::vector<std::uint32_t>& names) const;

  std::unique_ptr<ReplaySide> after_, before_;
  const std::string host_;                                 // as ReplayAssumptions has it
  const bool judges_answers_;                              // some rule set does
  std::vector<std::uint32_t> after_names_, before_names_;  // rule -> its name's number, over both
  Request request_;
  TargetTexts texts_;
  std::array<HeaderField, 2> headers_;
  Outcome was_, is_;
  FamilyMemo family_memo_;
  Clients clients_{kClients};
  std::vector<Family> families_ = std::vector<Family>(AgentFamilies());
  std::map<std::pair<OutcomeKey, OutcomeKey>, Difference> differences_;
  WallTime first_, clock_;
  bool begun_ = false, whole_seconds_ = false, json_ = false;
  std::uint64_t requests_ = 0, no_request_ = 0, refused_ = 0, own_ = 0, late_ = 0, same_ = 0,
                other_differences_ = 0;
};

}  // namespace spillway
