// SPDX-License-Identifier: MIT
// Why a request was judged as it was, rule by rule: for a person who asks, not for the path of every
// request. Thread rule: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace spillway {

// One condition as it is written, and what the request had to say to it.
struct ConditionTrace {
  std::string text;    // "user_agent: { contains: $bad-bots }"; clipped when it is long
  bool holds = false;  // it does, but stands under a `not`
  // What it looked at, and found: {"user_agent", "curl/8.0"}. At most a few, clipped.
  std::vector<std::pair<std::string, std::string>> found;
  std::vector<std::string> asked = {};  // all that it looked at: "user_agent", "header.accept"
};

struct RuleTrace {
  enum class Fate : std::uint8_t {
    kMatched,
    kNotMatched,  // `why` says which conditions kept it from matching
    kToggleOff,
    kModeOff,
    kOnResponse,  // it is judged when there is an answer
    kNotReached,  // a rule before it had ended it
  };
  std::uint32_t rule = 0;  // index into Policy::rules()
  Fate fate = Fate::kNotMatched;
  std::vector<ConditionTrace> why;  // at most kMostWhy: of several, all of them must change
  // What it does when it matches, beside what ends it.
  std::vector<std::uint32_t> limits;  // indices into Policy::limits()
  std::vector<std::string> effects;   // "tag no-language", "set_header X-Risk: 1", "pool images"
};

inline constexpr std::size_t kMostWhy = 4;

}  // namespace spillway
