// SPDX-License-Identifier: MIT
#include "proxy/prepared_answers.h"

#include <charconv>
#include <utility>

namespace spillway {
namespace {

struct Digits {
  explicit Digits(std::uint64_t value) : end(std::to_chars(text, text + sizeof text, value).ptr) {}
  std::string_view view() const { return {text, static_cast<std::size_t>(end - text)}; }
  char text[20];
  const char* end;
};

}  // namespace

PreparedAnswers::PreparedAnswers(std::size_t rules, std::vector<LimitWords> words)
    : words_(std::move(words)), by_rule_(rules) {}

const PreparedAnswers::Prepared& PreparedAnswers::Prepare(std::uint32_t rule,
                                                          const OverLimit& action,
                                                          const LimitOutcome& outcome,
                                                          const AnswerContext& context) {
  auto fresh = std::make_unique<Prepared>();
  Answer answer;
  spillway::SayOverLimit(action, {&outcome, 1}, words_, context, &answer, &fresh->mould);
  fresh->status = action.status;
  fresh->limit = outcome.limit;
  fresh->content_type = answer.content_type;
  fresh->mould.fields.SetText(std::move(answer.fields));
  fresh->mould.body.SetText(std::move(answer.body));
  by_rule_[rule] = std::move(fresh);
  return *by_rule_[rule];
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
  const Prepared* prepared = by_rule_[rule].get();
  if (prepared == nullptr || prepared->status != action.status ||
      prepared->limit != outcome.limit) {
    prepared = &Prepare(rule, action, outcome, context);
  }
  const Digits retry(RetrySeconds(outcome.state.retry_after, context.chance));
  const Digits wait(SfInteger(CeilSeconds(outcome.state.retry_after)));
  const BlankValues values = {context.request_id, retry.view(), wait.view()};
  answer->status = prepared->status;
  answer->content_type = prepared->content_type;
  prepared->mould.fields.Cast(values, &answer->fields);
  prepared->mould.body.Cast(values, &answer->body);
}

}  // namespace spillway
