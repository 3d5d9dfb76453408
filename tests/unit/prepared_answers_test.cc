// SPDX-License-Identifier: MIT
#include "proxy/prepared_answers.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxy/pen.h"

namespace spillway {
namespace {

TEST(Mould, LeavesBlanksWhereAPenNotesThem) {
  Mould mould;
  std::string text;
  {
    Pen pen(&text, &mould);
    pen.Value(Blank::kRequestId, "left out").Put(" waits ").Value(Blank::kWait, std::uint64_t{7});
    pen.Put(std::string(600, '-')).Value(Blank::kWait, "x").Value(Blank::kRetry, "y");
  }
  EXPECT_EQ(text, " waits " + std::string(600, '-'));
  mould.SetText(text);
  std::string out = "what was there before";
  mould.Cast({"id", "", "12", {}, {}, {}}, &out);
  EXPECT_EQ(out, "id waits 12" + std::string(600, '-') + "12");
}

TEST(Mould, IsFilledWithWhatItIsCastWith) {
  Mould mould;
  mould.Leave(0, Blank::kRequestId);
  mould.Leave(2, Blank::kRetry);
  mould.Leave(2, Blank::kRequestId);
  mould.Leave(4, Blank::kDate);
  mould.SetText("--==");
  const std::pair<const char*, const char*> kRows[] = {
      {"one", "10"}, {"two", "20"}, {"three", "3"}, {"seven", "9"}, {"", ""}, {"x", ""}, {"y", ""}};
  for (const auto& [id, retry] : kRows) {
    const BlankValues values = {id, retry, {}, "date", {}, {}};
    std::string cast;
    mould.Cast(values, &cast);
    EXPECT_EQ(mould.Fill(values), cast) << id;
  }
}

TEST(LastNumber, IsTheOneThatWasSetLast) {
  LastNumber number;
  for (const std::uint64_t value : {0u, 7u, 7u, 3600u, 0u, 12u}) {
    EXPECT_EQ(number.Set(value), std::to_string(value));
  }
}

LimitInfo Named(std::string name, std::uint64_t burst) {
  LimitInfo info;
  info.name = std::move(name);
  info.spec.rate = {1, 60s};
  info.spec.burst = burst;
  return info;
}

// Whatever is asked for, and in whatever order: the same bytes as without preparation.
TEST(PreparedAnswers, SayWhatIsSaidWithoutThem) {
  const std::vector<LimitWords> words = {WordsFor(Named("clients", 5)),
                                         WordsFor(Named("log\"in", 100))};
  PreparedAnswers prepared(3, words);
  const std::string long_id(128, 'i');
  constexpr std::string_view kDate = "Sun, 06 Nov 1994 08:49:37 GMT";
  int asked = 0, moulded = 0;
  for (const int round : {0, 1}) {
    for (const std::uint32_t limit : {0U, 1U, 2U}) {  // the last one is not known
      for (const std::uint32_t rule : {0U, 2U}) {
        for (const int status : {429, 503, 404}) {
          for (const Audience audience :
               {Audience::kClient, Audience::kFetch, Audience::kDocument}) {
            for (const std::string& id : {std::string("id-1"), long_id, std::string()}) {
              for (const Duration wait : {Duration(0), Duration(1500ms), Duration(1'000'000h)}) {
                const LimitOutcome outcomes[] = {
                    {limit, {.allowed = false, .retry_after = wait, .reset = wait * 2}},
                    {0, {.allowed = true, .remaining = 3, .reset = wait}}};
                const std::span<const LimitOutcome> some(outcomes,
                                                         static_cast<std::size_t>(1 + asked % 2));
                const AnswerContext context{.audience = audience,
                                            .request_id = id,
                                            .rule = rule == 0 ? "first" : "th<i>\"rd",
                                            .chance = static_cast<std::uint64_t>(asked)};
                Answer answer, expected;
                answer.fields = answer.body = "of the one before";
                prepared.SayOverLimit(rule, {status}, some, context, &answer);
                SayOverLimit({status}, some, words, context, &expected);
                ASSERT_EQ(BodySize(answer), expected.body.size()) << round;
                if (answer.mould != nullptr) {
                  for (const bool close : {false, true}) {
                    std::string message, head;
                    message = MessageOf(answer, close, kDate);
                    WriteAnswerHead(expected, close, /*client_is_1_0=*/false, kDate, &head);
                    ASSERT_EQ(message, head + expected.body);
                    ++moulded;
                  }
                }
                Complete(&answer);
                ASSERT_EQ(answer.mould, nullptr);
                ASSERT_EQ(answer.fields, expected.fields);
                ASSERT_EQ(answer.body, expected.body);
                ASSERT_EQ(answer.status, expected.status);
                ASSERT_EQ(answer.content_type, expected.content_type);
                ++asked;
              }
            }
          }
        }
      }
    }
  }
  EXPECT_GT(moulded, 100);
  EXPECT_EQ(asked, 2 * 3 * 2 * 3 * 3 * 3 * 3);
}

TEST(PreparedAnswers, MakesThemOnceForEachLimitOfARule) {
  PreparedAnswers prepared(1, {WordsFor(Named("a", 5)), WordsFor(Named("b", 5))});
  const auto mould = [&](std::uint32_t limit) {
    const LimitOutcome outcome{limit, {.allowed = false, .retry_after = 1s}};
    Answer answer;
    prepared.SayOverLimit(0, {429}, {&outcome, 1}, {.request_id = "id"}, &answer);
    return answer.mould;
  };
  const AnswerMould* const first = mould(0);
  const AnswerMould* const second = mould(1);
  ASSERT_NE(first, nullptr);
  EXPECT_NE(first, second);
  EXPECT_EQ(mould(0), first);
  EXPECT_EQ(mould(1), second);
}

}  // namespace
}  // namespace spillway
