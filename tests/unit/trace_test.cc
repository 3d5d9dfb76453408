// SPDX-License-Identifier: MIT
// What is said of a rule that did not match. That it is said of just those that did not is shown by
// tests/unit/naive_rules_test.cc.
#include "spillway/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/rule_book.h"

namespace spillway {
namespace {

using Fate = RuleTrace::Fate;

// "path: /a" of what fails, "!path: /a" of what holds and must not; then what was found.
std::string Why(const std::string& match, Sample sample) {
  RuleScope scope;
  scope.lists["nets"].items = {"10.0.0.0/8"};
  RuleBook book("[{ name: r, match: " + match + ", action: deny }]", std::move(scope));
  const Asked asked(std::move(sample));
  book.JudgeRequest(asked.request());
  std::string text;
  const std::vector<RuleTrace> traces = book.Explain(asked.request());
  for (const ConditionTrace& why : traces.at(0).why) {
    text += (text.empty() ? "" : "; ") + std::string(why.holds ? "!" : "") + why.text;
    for (const auto& [name, value] : why.found) text += " | " + name + "=" + value;
  }
  return text;
}

TEST(Trace, SaysWhichConditionsKeepARuleFromMatching) {
  const struct {
    std::string match;
    Sample sample;
    std::string why;
  } kCases[] = {
      {"{ path: /a }", {.target = "/b?c"}, "path: /a | path=/b"},
      {"{ path: /b }", {.target = "/b"}, ""},
      {"{ path: [/a, /c] }", {}, "path: [/a, /c] | path=/"},
      {"{ user_agent: { contains: bot } }", {}, "user_agent: { contains: bot }"},
      {"{ user_agent: { contains: bot, prefix: x } }",
       {.headers = {{"User-Agent", "xy"}}},
       "user_agent: { contains: bot, prefix: x } | user_agent=xy"},
      {"{ method: GET, path: /a }", {}, "path: /a | path=/"},
      {"{ path: { not: / } }", {}, "path: { not: / } | path=/"},
      {"{ not: { path: / } }", {}, "!path: / | path=/"},
      {"{ not: { path: /, method: GET } }", {}, "!method: GET | method=GET; !path: / | path=/"},
      {"{ any: [{ path: /a }, { method: POST }] }",
       {},
       "method: POST | method=GET; path: /a | path=/"},
      {"{ not: { any: [{ path: / }, { method: POST }] } }", {}, "!path: / | path=/"},
      {"{ client.address: $nets }", {}, "client.address: $nets | client.address=192.0.2.7"},
      {"{ header.X-A: b }",
       {.headers = {{"x-a", "1"}, {"X-A", "2"}}},
       "header.X-A: b | header.x-a=1 | header.x-a=2"},
      {"{ referer: { host: a.com } }",
       {.headers = {{"Referer", "https://b.com/x"}}},
       "referer: { host: a.com } | referer=https://b.com/x"},
      {"{ query.q: a, cookie.c: d }", {.target = "/?q=b+c"}, "cookie.c: d"},
  };
  for (const auto& [match, sample, why] : kCases) EXPECT_EQ(Why(match, sample), why) << match;
}

TEST(Trace, TellsTimesAndSharesAsRulesHaveThem) {
  RuleBook book(R"(
- { name: a, match: { time: { from: "22:00", to: "23:00" } }, action: deny }
- { name: b, match: { time: { from: "22:00", to: "23:00", zone: "-02:30" } }, action: deny }
- { name: c, match: { sample: 0.001% }, action: deny }
)");
  book.wall = WallTime(std::chrono::minutes(123));  // of a Thursday
  const Asked asked({});
  book.JudgeRequest(asked.request());
  const std::vector<RuleTrace> traces = book.Explain(asked.request());
  const auto found = [&](std::size_t rule) { return traces.at(rule).why.at(0).found.at(0).second; };
  EXPECT_EQ(found(0), "thu 02:03");
  EXPECT_EQ(found(1), "wed 23:33");
  EXPECT_THAT(found(2), testing::MatchesRegex("[0-9]+\\.[0-9][0-9][0-9]%"));
}

TEST(Trace, ClipsWhatIsLong) {
  const std::string why = Why("{ user_agent: [" + std::string(300, 'a') + ", b] }",
                              {.headers = {{"User-Agent", std::string(5000, 'x')}}});
  EXPECT_LT(why.size(), 400u);
  EXPECT_NE(why.find("xxx..."), std::string::npos);
}

TEST(Trace, TellsOfEachRuleHowItFared) {
  RuleScope scope;
  scope.toggles = {"surge"};
  RuleBook book(R"(
- { name: a, mode: off, action: deny }
- { name: b, toggle: surge, action: deny }
- { name: c, match: { path: /x }, action: deny }
- { name: d, action: { tag: t, pool: other, set_header: { X-B: c } } }
- { name: e, mode: shadow, action: deny }
- { name: f, action: { deny: { status: 404 } } }
- { name: g, action: deny }
)",
                std::move(scope));
  const Asked asked({});
  book.JudgeRequest(asked.request());
  const auto traces = book.Explain(asked.request());
  const Fate kFates[] = {Fate::kModeOff, Fate::kToggleOff, Fate::kNotMatched, Fate::kMatched,
                         Fate::kMatched, Fate::kMatched,   Fate::kNotReached};
  ASSERT_EQ(traces.size(), std::size(kFates));
  for (std::size_t i = 0; i < traces.size(); ++i) EXPECT_EQ(traces[i].fate, kFates[i]) << i;
  EXPECT_EQ(traces[3].effects,
            (std::vector<std::string>{"set_header X-B: c", "tag t", "pool other"}));
}

}  // namespace
}  // namespace spillway
