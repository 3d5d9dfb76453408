// SPDX-License-Identifier: MIT
// Tests that stand beside the rules: requests that nobody sent, and what is to become of them. A rule
// set whose tests fail is not put in force. Judging reads no clock and shares nothing with what is in
// force. Thread rule: plain values and a pure function.
//
// Bounds: kMostTests tests, which all together judge kMostJudged requests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "spillway/diagnostics.h"
#include "spillway/posed_request.h"
#include "spillway/units.h"

namespace spillway {

inline constexpr std::size_t kMostTests = 1000;
inline constexpr std::uint64_t kMostJudged = 200'000;

inline constexpr std::size_t kMostAnswers = 1000;  // of one test, one by one

// What the server says to a request that comes to it.
struct AnswerTexts {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
};

struct RuleTest {
  // What a request is to come to. Empty texts: whichever it is.
  struct Expectation {
    enum class Action : std::uint8_t {
      kForward,  // by a rule or by none
      kAllow,    // forwarded by an allow rule
      kDeny,
      kLimit,
      kChallenge,
      kRedirect,
      kRespond,
      kDrop
    } action = Action::kForward;
    std::string rule;           // the rule that ends it
    std::string limit;          // kLimit: the limit that is used up
    std::optional<int> status;  // of the answer
    std::uint32_t after = 0;    // so many are forwarded before
  };

  std::string name;
  RequestTexts request;
  // To the requests that are forwarded, in turn; the last one to all that follow. None: 200.
  std::vector<AnswerTexts> answers;
  std::uint32_t repeat = 1;
  Rate spacing{1, Duration(0)};  // request i comes i * period / events after the first
  std::vector<std::pair<std::uint32_t, bool>> toggles;  // that stand otherwise than by default
  Duration into_week = std::chrono::hours(12);          // of the first, from Monday 00:00 UTC
  bool pass = false;                                    // the client has passed every challenge
  Expectation expect;
  // Bits by rule: those of files that its own does not include, judged as if they did not match. Empty: none.
  std::vector<std::uint64_t> left_out;
  Diagnostic place;  // of `expect`, with nothing said yet
};

struct Config;

// Runs them all, each with full buckets: what is said of those that fail, in their order. Empty: none
// did.
Diagnostics RunRuleTests(const Config& config);

}  // namespace spillway
