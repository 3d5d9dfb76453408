// SPDX-License-Identifier: MIT
#include "proxy/prepared_answers.h"

#include <utility>

namespace spillway {

PreparedAnswers::PreparedAnswers(std::size_t rules, std::vector<LimitWords> words)
    : words_(std::move(words)), by_rule_(rules) {}

// Made when it is first asked for.
PreparedAnswers::Prepared& PreparedAnswers::Of(std::uint32_t rule, const OverLimit& action,
                                               const LimitOutcome& outcome,
                                               const AnswerContext& context) {
  for (const auto& prepared : by_rule_[rule]) {
    if (prepared->limit == outcome.limit && prepared->status == action.status) return *prepared;
  }
  auto fresh = std::make_unique<Prepared>();
  Answer answer;
  spillway::SayOverLimit(action, {&outcome, 1}, words_, context, &answer, &fresh->mould);
  fresh->limit = outcome.limit;
  fresh->status = action.status;
  fresh->content_type = answer.content_type;
  fresh->mould.fields.SetText(answer.fields);
  fresh->mould.body.SetText(answer.body);
  MakeMessage(answer, &fresh->mould);
  return *by_rule_[rule].emplace_back(std::move(fresh));
}

void PreparedAnswers::SayOverLimit(std::uint32_t rule, const OverLimit& action,
                                   std::span<const LimitOutcome> limits,
                                   const AnswerContext& context, Answer* answer) {
  // Pages are for people, of whom there are fewer; and a 404 says nothing of a limit.
  const bool usual = context.audience != Audience::kDocument && action.status != 404 &&
                     limits.size() == 1 && !limits[0].state.allowed &&
                     limits[0].limit < words_.size() && !context.request_id.empty();
  if (!usual) return spillway::SayOverLimit(action, limits, words_, context, answer);
  const LimitOutcome& outcome = limits[0];
  Prepared& prepared = Of(rule, action, outcome, context);
  const Duration wait = outcome.state.retry_after;
  answer->status = prepared.status;
  answer->content_type = prepared.content_type;
  answer->mould = &prepared.mould;
  answer->values = {context.request_id, retry_.Set(RetrySeconds(wait, context.chance)),
                    wait_.Set(SfInteger(CeilSeconds(wait)))};
}

}  // namespace spillway
