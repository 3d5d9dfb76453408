// SPDX-License-Identifier: MIT
// Rules on responses: what they may ask and do, and limits that they charge and requests only test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rule_book.h"

namespace spillway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

RuleScope Limits() {
  RuleScope scope;
  scope.toggles = {"surge"};
  scope.limits.resize(2);
  scope.limits[0].name = "failed-logins";
  scope.limits[0].spec.rate = {1, 1h};
  scope.limits[0].spec.burst = 3;
  scope.limits[1].name = "misses";
  scope.limits[1].spec.rate = {1, 1h};
  scope.limits[1].spec.burst = 2;
  return scope;
}

bool Holds(const std::string& match, int status, const std::vector<HeaderField>& headers = {}) {
  RuleBook book("[{ when: response, match: " + match + ", action: { tag: held } }]");
  EXPECT_TRUE(book.diagnostics.empty()) << match << Format(book.diagnostics);
  book.Judge({.method = "POST", .target = "/login"});
  return !book.JudgeAnswer(status, headers).empty();
}

TEST(ResponseRules, AskForTheStatusAndTheFields) {
  const struct {
    const char* match;
    int status;
    bool holds;
  } kTable[] = {
      {"{ response.status: 401 }", 401, true},
      {"{ response.status: 401 }", 403, false},
      {"{ response.status: [401, 403] }", 403, true},
      {"{ response.status: 5xx }", 499, false},
      {"{ response.status: 5xx }", 500, true},
      {"{ response.status: 5xx }", 599, true},
      {"{ response.status: [2xx, 404] }", 404, true},
      {"{ response.status: { not: 2xx } }", 204, false},
      {"{ response.status: { not: 2xx } }", 301, true},
      {"{ response.status: { above: 403 } }", 404, true},
      {"{ response.status: { above: 4xx } }", 499, false},
      {"{ response.status: { above: 4xx } }", 500, true},
      {"{ response.status: { below: 300 } }", 299, true},
      {"{ response.header.x-cache: HIT }", 200, true},
      {"{ response.header.X-Cache: hit }", 200, false},
      {"{ response.header.x-cache: { prefix: H } }", 200, true},
      {"{ response.header.x-none: { absent: true } }", 200, true},
      {"{ response.header.location: { host: '*.example.com' } }", 200, true},
      {"{ response.header.x-mine: { present: true } }", 200, false},  // that is the request's
      {"{ header.x-cache: { present: true } }", 200, false},          // nor the other way round
      {"{ method: POST, path: /login, response.status: 401 }", 401, true},
      {"{ method: GET, response.status: 401 }", 401, false},
      {"{ any: [{ path: /other }, { response.status: 401 }] }", 401, true},
  };
  const std::vector<HeaderField> fields = {{"X-Cache", "HIT"},
                                           {"Location", "https://www.example.com/"}};
  for (const auto& row : kTable) {
    EXPECT_EQ(Holds(row.match, row.status, fields), row.holds) << row.match << " " << row.status;
  }
}

TEST(ResponseRules, AreNotLookedAtForRequests) {
  RuleBook book("- { when: response, action: { tag: answer } }\n- { action: { tag: request } }");
  EXPECT_TRUE(book.policy->has_response_rules());
  EXPECT_THAT(book.Judge({}).tags, ElementsAre("request"));
  EXPECT_EQ(book.verdict.matches.size(), 1U);
  const auto matches = book.JudgeAnswer(200);
  ASSERT_EQ(matches.size(), 1U);
  EXPECT_EQ(matches[0].rule, 0U);
  EXPECT_THAT(book.verdict.tags, ElementsAre("request", "answer"));
  EXPECT_FALSE(RuleBook("[{ action: deny }]").policy->has_response_rules());
  EXPECT_FALSE(
      RuleBook("[{ when: response, mode: off, action: { tag: a } }]").policy->has_response_rules());
}

// What a login page wants: failures cost, and who has used them up is refused before the password
// is looked at.
TEST(ResponseRules, ChargeALimitThatRequestsOnlyTest) {
  RuleBook book(R"(
- name: tired
  match: { path: /login }
  action: { limit: { name: failed-logins, charge: false } }
- name: failed
  when: response
  match: { path: /login, response.status: 401 }
  action: { limit: failed-logins }
)",
                Limits());
  ASSERT_TRUE(book.diagnostics.empty()) << Format(book.diagnostics);
  for (int i = 0; i < 10; ++i) {  // those that go well cost nothing
    EXPECT_EQ(book.Action({.target = "/login"}), "forward");
    book.JudgeAnswer(302);
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(book.Action({.target = "/login"}), "forward") << i;
    EXPECT_THAT(book.verdict.limits, IsEmpty());
    EXPECT_FALSE(book.JudgeAnswer(401).back().over_limit);
  }
  EXPECT_EQ(book.Action({.target = "/login"}), "limit");
  EXPECT_EQ(book.Rule(), "tired");
  EXPECT_EQ(std::get<OverLimit>(book.verdict.action).status, 429);
  EXPECT_GT(book.verdict.limits[0].state.retry_after, 0s);
  EXPECT_EQ(book.Action({.target = "/"}), "forward");
  EXPECT_EQ(book.Action({.target = "/login", .client = "192.0.2.8"}), "forward");
  book.now += 1h;
  EXPECT_EQ(book.Action({.target = "/login"}), "forward");
}

TEST(ResponseRules, NeverChangeTheAnswerWhenALimitIsUsedUp) {
  RuleBook book("[{ when: response, match: { response.status: 404 }, action: { limit: misses } }]",
                Limits());
  for (int i = 0; i < 5; ++i) {
    book.Judge({});
    EXPECT_EQ(book.JudgeAnswer(404).back().over_limit, i >= 2);
    EXPECT_EQ(ActionName(book.verdict.action), "forward");
    EXPECT_THAT(book.verdict.limits, IsEmpty());
  }
}

TEST(ResponseRules, ChargeALimitOnceForAnAnswer) {
  RuleBook book(
      "- { when: response, action: { limit: [misses, failed-logins] } }\n"
      "- { when: response, action: { limit: misses } }\n",
      Limits());
  book.Judge({});
  for (const bool over : {false, false, true}) EXPECT_EQ(book.JudgeAnswer(404)[0].over_limit, over);
}

TEST(ResponseRules, InShadowChargeTheShadowsTableAndTagNothing) {
  RuleBook book("[{ when: response, mode: shadow, action: { limit: misses, tag: a } }]", Limits());
  for (int i = 0; i < 3; ++i) {
    book.Judge({});
    const auto matches = book.JudgeAnswer(404);
    ASSERT_EQ(matches.size(), 1U);
    EXPECT_TRUE(matches[0].shadow);
    EXPECT_EQ(matches[0].over_limit, i == 2);
    EXPECT_THAT(book.verdict.tags, IsEmpty());
  }
}

TEST(ResponseRules, StandBehindToggles) {
  RuleBook book("[{ when: response, toggle: surge, action: { tag: a } }]", Limits());
  book.Judge({});
  EXPECT_THAT(book.JudgeAnswer(200), IsEmpty());
  book.Switch(0, true);
  EXPECT_EQ(book.JudgeAnswer(200).size(), 1U);
}

TEST(Limits, ThatAreOnlyTestedAreNotCharged) {
  RuleBook book("[{ action: { limit: { name: misses, charge: false, status: 403 } } }]", Limits());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(book.Action({}), "forward");
  RuleBook both(
      "- { action: { limit: { name: misses, charge: false } } }\n"
      "- { action: { limit: misses } }\n",
      Limits());
  EXPECT_EQ(both.Action({}), "forward");
  EXPECT_EQ(both.Action({}), "forward");
  EXPECT_EQ(both.Action({}), "limit");
  EXPECT_EQ(both.Rule(), "rule-1");
}

TEST(ResponseRules, TeachWhatIsLegal) {
  const std::pair<const char*, const char*> kTable[] = {
      {"{ when: response, action: deny }",
       "a rule on responses changes no answer; expected an action such as { tag: seen }"},
      {"{ when: response, action: { set_header: { a: b } } }", "changes no answer"},
      {"{ when: response, action: { pool: app } }", "changes no answer"},
      {"{ when: response, action: { limit: { name: misses, charge: false } } }",
       "charge: false would do nothing here"},
      {"{ when: later, action: { tag: a } }", "expected one of request, response"},
      {"{ when: response, match: { response.status: 6xx }, action: { tag: a } }",
       "'6xx' is no status of an answer; expected one such as 404"},
      {"{ when: response, match: { response.status: 100 }, action: { tag: a } }",
       "'100' is no status of an answer"},
      {"{ when: response, match: { response.header.: x }, action: { tag: a } }",
       "expected the name of a header field after 'response.header.'"},
      {"{ action: { limit: { name: misses, charge: maybe } } }", "maybe"},
  };
  for (const auto& [rule, message] : kTable) {
    EXPECT_THAT(Complaints("[" + std::string(rule) + "]", Limits()), HasSubstr(message)) << rule;
  }
}

}  // namespace
}  // namespace spillway
