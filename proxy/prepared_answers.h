// SPDX-License-Identifier: MIT
// The answers of limits, made ready: a flood is mostly the same answer over and over, of which only
// the request's id and the time to wait change.
//
// Thread rule: one thread. Memory: less than 4 KiB for each limit of a rule that has refused.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "proxy/reply.h"

namespace spillway {

class PreparedAnswers {
 public:
  // `rules`: how many the rule set has; `words`: of its limits.
  PreparedAnswers(std::size_t rules, std::vector<LimitWords> words);

  std::span<const LimitWords> words() const { return words_; }
  // Says what spillway::SayOverLimit does, for a limit of `rule`, most often by a mould: what it is
  // filled with lasts as long as the context's views, and until the next call.
  void SayOverLimit(std::uint32_t rule, const OverLimit& action,
                    std::span<const LimitOutcome> limits, const AnswerContext& context,
                    Answer* answer);

 private:
  // Of one limit of a rule.
  struct Prepared {
    std::uint32_t limit = 0;
    int status = 0;
    std::string_view content_type;
    AnswerMould mould;
  };

  Prepared& Of(std::uint32_t rule, const OverLimit& action, const LimitOutcome& outcome,
               const AnswerContext& context);

  std::vector<LimitWords> words_;
  std::vector<std::vector<std::unique_ptr<Prepared>>> by_rule_;  // most have one limit
  LastNumber retry_, wait_;                                      // of the last answer
};

}  // namespace spillway
