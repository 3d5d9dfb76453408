// SPDX-License-Identifier: MIT
#include "proxy/reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "proxy/http_date.h"
#include "proxy/pen.h"
#include "proxy/reply_page.h"

namespace spillway {
namespace {

using namespace std::string_literals;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Get(const Answer& answer, std::string_view name) {
  const std::string fields = "\r\n" + answer.fields, before = "\r\n" + std::string(name) + ": ";
  const std::size_t at = fields.find(before);
  if (at == std::string::npos) return "(none)";
  const std::size_t begin = at + before.size();
  return fields.substr(begin, fields.find("\r\n", begin) - begin);
}

std::vector<LimitWords> Words(std::span<const LimitInfo> limits) {
  std::vector<LimitWords> words;
  for (const LimitInfo& limit : limits) words.push_back(WordsFor(limit));
  return words;
}

Answer OverLimitAnswer(const OverLimit& action, std::span<const LimitOutcome> limits,
                       std::span<const LimitInfo> names, const AnswerContext& context) {
  Answer answer;
  SayOverLimit(action, limits, Words(names), context, &answer);
  return answer;
}

Answer RedirectAnswer(const Redirect& action, const AnswerContext& context) {
  Answer answer;
  SayRedirect(action, context, &answer);
  return answer;
}

Answer RespondAnswer(const Respond& action, const AnswerContext& context) {
  Answer answer;
  SayResponse(action, context, &answer);
  return answer;
}

Audience Judge(std::string_view fields) {
  const std::string bytes = "GET / HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n";
  RequestParser parser({});
  EXPECT_EQ(parser.Feed(bytes.data(), 0, bytes.size()), ParseStep::kHead);
  return JudgeAudience(parser.head());
}

TEST(JudgeAudience, TellsPagesFromScriptsAndPrograms) {
  const std::pair<const char*, Audience> kRows[] = {
      {"Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n", Audience::kDocument},
      {"Sec-Fetch-Dest: iframe\r\n", Audience::kDocument},
      {"Sec-Fetch-Mode: navigate\r\n", Audience::kDocument},
      {"Sec-Fetch-Dest: image\r\nAccept: image/*\r\n", Audience::kFetch},
      {"Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nAccept: text/html\r\n", Audience::kFetch},
      {"Sec-Fetch-Mode: cors\r\nAccept: */*\r\n", Audience::kFetch},
      {"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n",
       Audience::kDocument},
      {"Accept: text/html\r\nX-Requested-With: XMLHttpRequest\r\n", Audience::kFetch},
      {"Accept: */*\r\n", Audience::kClient},
      {"", Audience::kClient},
      {"Accept: application/json, text/html;q=0.5\r\n", Audience::kClient},
      {"Accept: application/json;q=0.5, text/html\r\n", Audience::kDocument},
      {"Accept: application/json, text/html\r\n", Audience::kClient},
      {"Accept: TEXT/HTML, application/json\r\n", Audience::kDocument},
      {"Accept: text/html;q=0\r\n", Audience::kClient},
      {"Accept: text/html;level=1;q=0.3, application/json;q=0.25\r\n", Audience::kDocument},
      {"Accept: application/rss+xml, application/atom+xml\r\n", Audience::kClient},
  };
  for (const auto& [fields, audience] : kRows) EXPECT_EQ(Judge(fields), audience) << fields;
}

TEST(ErrorAnswer, GivesProgramsAProblemDocument) {
  const Answer answer =
      ErrorAnswer(403, "not \"you\"\n", {.request_id = "id-1", .rule = "bad-bots"});
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(answer.content_type, "application/problem+json");
  EXPECT_EQ(answer.body,
            "{\"type\":\"about:blank\",\"title\":\"Forbidden\",\"status\":403,\"detail\":\"not "
            "\\\"you\\\"\\u000a\","
            "\"request_id\":\"id-1\",\"rule\":\"bad-bots\"}\n");
  EXPECT_EQ(Get(answer, "Cache-Control"), "no-store");
  EXPECT_EQ(Get(answer, "X-Request-Id"), "id-1");
  EXPECT_EQ(Get(answer, "Retry-After"), "(none)");
}

TEST(ErrorAnswer, GivesBrowsersAPageThatLoadsNothing) {
  for (int status : {400, 403, 404, 408, 413, 429, 431, 451, 500, 502, 503, 504, 599}) {
    const Answer answer =
        ErrorAnswer(status, "", {.audience = Audience::kDocument, .request_id = "<id&1>"});
    EXPECT_EQ(answer.content_type, "text/html; charset=utf-8");
    EXPECT_THAT(answer.body, HasSubstr("&lt;id&amp;1&gt;"));
    EXPECT_THAT(answer.body, HasSubstr(std::to_string(status)));
    EXPECT_THAT(answer.body, HasSubstr("color-scheme: light dark"));
    EXPECT_THAT(answer.body, Not(HasSubstr("src=")));
    EXPECT_THAT(answer.body, Not(HasSubstr("http:")));
    EXPECT_LT(answer.body.size(), 2048u);
    EXPECT_EQ(Get(answer, "Cache-Control"), "no-store");
  }
}

TEST(ErrorAnswer, TellsWhenToTryAgainWithUpToAFifthMore) {
  for (std::uint64_t chance : {0ull, 1ull, 100ull, 200ull, 201ull, ~0ull}) {
    const Answer answer = ErrorAnswer(
        503, "", {.audience = Audience::kDocument, .chance = chance, .retry_after = 10s});
    const int seconds = std::stoi(Get(answer, "Retry-After"));
    EXPECT_GE(seconds, 10);
    EXPECT_LE(seconds, 12);
    EXPECT_THAT(answer.body, HasSubstr("try again in " + std::to_string(seconds) + " seconds"));
  }
  EXPECT_EQ(Get(ErrorAnswer(503, "", {.chance = 200, .retry_after = 10s}), "Retry-After"), "12");
  EXPECT_EQ(Get(ErrorAnswer(503, "", {.retry_after = 1ns}), "Retry-After"), "1");
  EXPECT_EQ(Get(ErrorAnswer(403, "", {.retry_after = 10s}), "Retry-After"), "(none)");
}

std::string Written(const Answer& answer, bool close = false, bool old = false,
                    bool head_only = false) {
  std::string out = "left over";
  WriteAnswerHead(answer, close, old, "Sun, 06 Nov 1994 08:49:37 GMT", &out);
  return head_only ? out : out.append(BodyToSend(answer));
}

LimitInfo Named(std::string name, Rate rate, std::uint64_t burst) {
  LimitInfo info;
  info.name = std::move(name);
  info.spec.rate = rate;
  info.spec.burst = burst;
  return info;
}

LimitOutcome Outcome(std::uint32_t limit, bool allowed, std::uint64_t remaining, Duration retry,
                     Duration reset) {
  LimitOutcome outcome;
  outcome.limit = limit;
  outcome.state.allowed = allowed;
  outcome.state.remaining = remaining;
  outcome.state.retry_after = retry;
  outcome.state.reset = reset;
  return outcome;
}

TEST(OverLimitAnswer, NamesTheLimitAndNeverPromisesTooEarly) {
  const LimitInfo names[] = {Named("per-client", {10, 1s}, 40), Named("log\"in", {5, 60s}, 5)};
  const LimitOutcome limits[] = {Outcome(0, true, 37, 0s, 300ms),
                                 Outcome(1, false, 0, 11500ms, 60s)};
  const Answer answer = OverLimitAnswer({.status = 429}, limits, names, {.chance = 0});
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(Get(answer, "Retry-After"), "12");
  EXPECT_EQ(Get(answer, "RateLimit"), "\"per-client\";r=37;t=1, \"log\\\"in\";r=0;t=12");
  EXPECT_EQ(Get(answer, "RateLimit-Policy"), "\"per-client\";q=40;w=4, \"log\\\"in\";q=5;w=60");
  EXPECT_THAT(answer.body, HasSubstr("http-problem-types#quota-exceeded"));
  EXPECT_THAT(answer.body, HasSubstr("\"violated-policies\":[\"log\\\"in\"]"));
  EXPECT_THAT(answer.body, HasSubstr("\"retry_after\":12"));
}

TEST(OverLimitAnswer, TakesTheRulesStatus) {
  const LimitInfo names[] = {Named("a", {1, 1s}, 1)};
  const LimitOutcome limits[] = {Outcome(0, false, 0, 1s, 1s)};
  const Answer answer =
      OverLimitAnswer({.status = 503}, limits, names, {.audience = Audience::kDocument});
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, HasSubstr("Very busy"));
  EXPECT_THAT(answer.body, HasSubstr("in 1 second."));
}

// Byte for byte, for the answers of a limit are what clients in trouble parse.
TEST(SayOverLimit, WritesTheWholeAnswer) {
  const LimitInfo names[] = {Named("per-client", {1, 3600s}, 1)};
  const LimitOutcome limits[] = {Outcome(0, false, 0, 3000s, 3600s)};
  const AnswerContext context{.request_id = "id-1", .rule = "clients", .chance = 0};
  const Answer answer = OverLimitAnswer({.status = 429}, limits, names, context);
  EXPECT_EQ(answer.content_type, "application/problem+json");
  EXPECT_EQ(answer.fields,
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: id-1\r\n"
            "Retry-After: 3000\r\nRateLimit: \"per-client\";r=0;t=3000\r\n"
            "RateLimit-Policy: \"per-client\";q=1;w=3600\r\n");
  EXPECT_EQ(
      answer.body,
      "{\"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded\",\"title\":"
      "\"Too Many Requests\",\"status\":429,\"detail\":\"More requests came from you than this "
      "site answers in such a short time. Nothing is lost.\",\"request_id\":\"id-1\",\"rule\":"
      "\"clients\",\"violated-policies\":[\"per-client\"],\"retry_after\":3000}\n");
}

TEST(SayOverLimit, LeavesNothingOfTheAnswerBefore) {
  const LimitInfo names[] = {Named("a", {1, 1s}, 1)};
  const LimitOutcome limits[] = {Outcome(0, false, 0, 1s, 1s)};
  const std::vector<HeaderToSet> headers = {{"X-A", "b"}};
  const OverLimit over{.status = 429};
  const Answer fresh = OverLimitAnswer(over, limits, names, {.request_id = "id-2"});
  const std::string long_page(5000, 'x');
  Answer answer;
  SayResponse({.status = 200, .content_type = "a/b", .body = long_page, .headers = &headers},
              {.request_id = "id-1"}, &answer);
  EXPECT_EQ(answer.body, long_page);
  SayOverLimit(over, limits, Words(names), {.request_id = "id-2"}, &answer);
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.content_type, fresh.content_type);
  EXPECT_EQ(answer.fields, fresh.fields);
  EXPECT_EQ(answer.body, fresh.body);
}

TEST(ErrorAnswer, EscapesEachByteThatJsonMustWhereverItStands) {
  for (int byte = 0; byte < 256; ++byte) {
    for (std::size_t at : {0u, 5u, 7u, 8u, 9u, 17u}) {
      std::string detail(18, 'd');
      detail[at] = static_cast<char>(byte);
      std::string expected;
      for (char c : detail) {
        char escaped[7];
        std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned char>(c));
        if (static_cast<unsigned char>(c) < 0x20) {
          expected += escaped;
        } else {
          expected.append(c == '"' || c == '\\' ? "\\" : "").push_back(c);
        }
      }
      EXPECT_THAT(ErrorAnswer(403, detail, {}).body, HasSubstr("\"detail\":\"" + expected + "\"}"));
    }
  }
}

// The writers copy them as they stand.
TEST(ErrorAnswer, OurOwnWordsNeedNoEscapes) {
  for (const Shortage shortage : {Shortage::kCapacity, Shortage::kServers, Shortage::kHealth}) {
    for (int status = 400; status < 600; ++status) {
      const std::string body = ErrorAnswer(status, "", {.shortage = shortage}).body;
      EXPECT_EQ(body.find('\\'), std::string::npos) << body;
      EXPECT_EQ(std::count(body.begin(), body.end(), '"'), 14) << body;
      EXPECT_TRUE(std::all_of(body.begin(), body.end() - 1, [](char c) { return c >= ' '; }));
    }
  }
}

TEST(Pen, WritesWhatDoesNotFitItsRoom) {
  std::string out = "begin ", expected = out;
  {
    Pen pen(&out);
    for (std::uint64_t i = 0; i < 400; ++i) {
      const std::uint64_t number = i * i * i * i * i * i * i;
      pen.Put("<").Decimal(number).Put(',').Hex(number).Put(std::string(i * 3, 'x'));
      char text[64];
      std::snprintf(text, sizeof text, "<%llu,%016llx", static_cast<unsigned long long>(number),
                    static_cast<unsigned long long>(number));
      expected += text + std::string(i * 3, 'x');
    }
    pen.Decimal(~std::uint64_t{0}).Decimal(0);
  }
  EXPECT_EQ(out, expected + "184467440737095516150");
}

TEST(ListAnswerFields, TellsWhatTheHeadTells) {
  Answer answer = ErrorAnswer(403, "", {.request_id = "id-1", .rule = "a"});
  answer.Add("Allow", "GET: HEAD");
  std::vector<HeaderField> fields;
  std::string length;
  ListAnswerFields(answer, "Sun, 06 Nov 1994 08:49:37 GMT", &fields, &length);
  std::string told = "HTTP/1.1 403 Forbidden\r\n";
  for (const auto& [name, value] : fields) {
    told.append(name).append(": ").append(value).append("\r\n");
  }
  EXPECT_EQ(Written(answer, false, false, true), told + "\r\n");
}

TEST(RateLimitFields, SpeakOfWholeSecondsEvenForFastLimits) {
  const LimitInfo names[] = {Named("a", {100, 1s}, 1), Named("b", {1, 3600s}, 3)};
  const LimitOutcome limits[] = {Outcome(0, true, 1, 0s, 0s), Outcome(1, true, 2, 0s, 3600s),
                                 Outcome(9, true, 1, 0s, 0s)};
  std::vector<std::pair<std::string, std::string>> headers;
  AppendRateLimitFields(limits, Words(names), &headers);
  ASSERT_EQ(headers.size(), 2u);
  EXPECT_EQ(headers[0].second, "\"a\";r=1;t=0, \"b\";r=2;t=3600");
  EXPECT_EQ(headers[1].second, "\"a\";q=100;w=1, \"b\";q=3;w=10800");
  AppendRateLimitFields({}, Words(names), &headers);
  EXPECT_EQ(headers.size(), 2u);
}

TEST(RedirectAnswer, PointsToThePlace) {
  const Answer answer = RedirectAnswer({.status = 307, .location = "/there"}, {.request_id = "id"});
  EXPECT_EQ(answer.status, 307);
  EXPECT_EQ(Get(answer, "Location"), "/there");
  EXPECT_EQ(Get(answer, "Cache-Control"), "no-store");
}

TEST(RespondAnswer, SaysWhatTheRuleSays) {
  const std::vector<HeaderToSet> headers = {{"X-A", "b"}, {"Content-Type", "ignored"}};
  const Answer answer =
      RespondAnswer({.status = 200, .content_type = "", .body = "hi", .headers = &headers}, {});
  EXPECT_EQ(answer.content_type, "text/plain; charset=utf-8");
  EXPECT_EQ(Get(answer, "X-A"), "b");
  EXPECT_EQ(Get(answer, "Content-Type"), "(none)");
  EXPECT_EQ(Get(answer, "Cache-Control"), "no-store");
  const std::vector<HeaderToSet> kept = {{"cache-control", "max-age=60"}};
  const Answer cached =
      RespondAnswer({.status = 200, .content_type = "a/b", .body = "", .headers = &kept}, {});
  EXPECT_EQ(cached.content_type, "a/b");
  EXPECT_EQ(Get(cached, "Cache-Control"), "(none)");
}

TEST(RespondAnswer, TellsTheRequestsIdUnlessTheRuleSaysOne) {
  const std::vector<HeaderToSet> none, own = {{"x-request-id", "mine"}};
  const Respond bare{.status = 200, .content_type = "", .body = "", .headers = &none};
  EXPECT_EQ(Get(RespondAnswer(bare, {.request_id = "id-1"}), "X-Request-Id"), "id-1");
  const Respond with{.status = 200, .content_type = "", .body = "", .headers = &own};
  const Answer answer = RespondAnswer(with, {.request_id = "id-1"});
  EXPECT_EQ(Get(answer, "x-request-id"), "mine");
  EXPECT_EQ(Get(answer, "X-Request-Id"), "(none)");
}

TEST(ErrorAnswer, ARefusalWith404IsLikeAnyOther404) {
  for (const Audience audience : {Audience::kClient, Audience::kDocument}) {
    const AnswerContext plain{.audience = audience, .request_id = "id-1"};
    AnswerContext ruled = plain;
    ruled.rule = "scanners-paths";
    const Answer expected = ErrorAnswer(404, "", plain);
    const LimitInfo names[] = {Named("a", {1, 1s}, 1)};
    const LimitOutcome limits[] = {Outcome(0, false, 0, 1s, 1s)};
    for (const Answer& answer :
         {ErrorAnswer(404, "a rule of this site refuses this request", ruled),
          OverLimitAnswer({.status = 404}, limits, names, ruled)}) {
      EXPECT_EQ(answer.status, 404);
      EXPECT_EQ(answer.body, expected.body);
      EXPECT_EQ(answer.fields, expected.fields);
    }
    EXPECT_THAT(ErrorAnswer(410, "", ruled).body, HasSubstr("scanners-paths"));
  }
}

TEST(UpstreamErrorAnswer, DoesNotBlameACrowdForServersThatAreGone) {
  const std::pair<Shortage, const char*> kCases[] = {
      {Shortage::kCapacity, "more requests than can be answered"},
      {Shortage::kServers, "knows of no server"},
      {Shortage::kHealth, "None of the servers behind this address is well"},
  };
  for (const auto& [shortage, words] : kCases) {
    const Answer page =
        UpstreamErrorAnswer(503, "", {.audience = Audience::kDocument, .shortage = shortage});
    const Answer problem = UpstreamErrorAnswer(503, "", {.shortage = shortage});
    EXPECT_THAT(page.body, HasSubstr(words));
    EXPECT_THAT(problem.body, HasSubstr(words));
    const bool crowd = shortage == Shortage::kCapacity;
    EXPECT_EQ(page.body.find("Very busy") != std::string::npos, crowd);
    EXPECT_EQ(problem.body.find("reduced-capacity") != std::string::npos, crowd);
  }
}

TEST(UpstreamErrorAnswer, ShowsTheOperatorsPageToBrowsersOnly) {
  const Answer page = UpstreamErrorAnswer(502, "<h1>sorry</h1>", {.audience = Audience::kDocument});
  EXPECT_EQ(page.body, "<h1>sorry</h1>");
  EXPECT_EQ(Get(page, "Content-Security-Policy"), "(none)");
  EXPECT_EQ(Get(page, "Cache-Control"), "no-store");
  EXPECT_THAT(UpstreamErrorAnswer(502, "<h1>sorry</h1>", {}).body, HasSubstr("\"status\":502"));
  EXPECT_THAT(UpstreamErrorAnswer(504, "", {.audience = Audience::kDocument}).body,
              HasSubstr("too long to answer"));
}

TEST(WriteAnswerHead, WritesHeadAndBody) {
  Answer answer;
  answer.content_type = "text/plain";
  answer.Add("X-A", "b");
  answer.body = "hello";
  const std::string head =
      "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n"
      "Content-Length: 5\r\nX-A: b\r\n";
  EXPECT_EQ(Written(answer), head + "\r\nhello");
  EXPECT_EQ(Written(answer, false, false, true), head + "\r\n");
  EXPECT_EQ(Written(answer, true), head + "Connection: close\r\n\r\nhello");
  EXPECT_EQ(Written(answer, false, true), head + "Connection: keep-alive\r\n\r\nhello");
  EXPECT_EQ(Written(answer, true, true), head + "Connection: close\r\n\r\nhello");
}

TEST(WriteAnswerHead, WritesNoBodyWhereNoneMayBe) {
  Answer answer;
  answer.body = "hello";
  for (int status : {204, 304}) {
    answer.status = status;
    EXPECT_THAT(Written(answer), Not(HasSubstr("Content-Length")));
    EXPECT_THAT(Written(answer), Not(HasSubstr("hello")));
  }
  answer.status = 205;
  EXPECT_THAT(Written(answer), HasSubstr("Content-Length: 0\r\n"));
}

TEST(WriteAnswerHead, LetsNothingEndALineOrFrameTheBodyTwice) {
  Answer answer;
  answer.content_type = "a/b";
  const std::pair<const char*, std::string> kFields[] = {{"Location", "/x\r\nEvil: y\0"s},
                                                         {"Content-Length", "9"},
                                                         {"Transfer-Encoding", "chunked"},
                                                         {"bad name", "x"},
                                                         {"", "x"},
                                                         {"Connection", "x"},
                                                         {"Date", "never"}};
  for (const auto& [name, value] : kFields) answer.Add(name, value);
  answer.body = "hello";
  const std::string out = Written(answer);
  ResponseParser parser({});
  ASSERT_EQ(parser.Feed(out.data(), 0, out.size()), ParseStep::kHead) << parser.error();
  EXPECT_EQ(parser.head().headers.size(), 4u);
  EXPECT_EQ(parser.head().Get(Field::kContentLength), "5");
  EXPECT_FALSE(parser.head().Has(Field::kConnection));
}

TEST(HttpDate, WritesEveryDayOfFourYearsAsTheCalendarHasIt) {
  HttpDate date;
  for (int day = 0; day < 4 * 366; ++day) {
    const std::time_t second = 1'700'000'000 + day * 86'400 + day;
    std::tm tm{};
    gmtime_r(&second, &tm);
    char text[40];
    std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    EXPECT_EQ(date.At(WallTime(std::chrono::seconds(second)) + 999ms), text);
  }
  EXPECT_EQ(date.At(WallTime(0s)), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(date.At(WallTime(500ms)), "Thu, 01 Jan 1970 00:00:00 GMT");
}

TEST(ShortId, IsTheBeginningOfOurOwnAndTheWholeOfAnyOther) {
  const std::string ours = "6f1d3a90c2b7e4584e0b9d17a35c82f6";
  EXPECT_EQ(ShortId(ours), "6f1d3a90c2");
  for (const std::string other :
       {"", "edge/7", "6F1D3A90C2B7E4584E0B9D17A35C82F6", "6f1d3a90c2b7e4584e0b9d17a35c82f",
        "6f1d3a90-c2b7e4584e0b9d17a35c82f"}) {
    EXPECT_EQ(ShortId(other), other);
  }
  const Answer page = ErrorAnswer(403, "", {.audience = Audience::kDocument, .request_id = ours});
  EXPECT_THAT(page.body, HasSubstr("request 6f1d3a90c2<"));
  const Answer problem = ErrorAnswer(403, "", {.request_id = ours});
  EXPECT_THAT(problem.body, HasSubstr(ours));
}

}  // namespace
}  // namespace spillway
