// SPDX-License-Identifier: MIT
// Each action as it is written, and what it makes of a verdict.
#include "rules/actions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rule_book.h"

namespace spillway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

RuleScope TwoLimits() {
  RuleScope scope;
  scope.pools = {"app", "archive"};
  scope.toggles = {"surge"};
  scope.limits.resize(2);
  scope.limits[0].name = "per-client";
  scope.limits[1].name = "login";
  return scope;
}

template <class Action>
Action Final(const std::string& action, Sample sample = {}) {
  RuleBook book("[{ action: " + action + " }]", TwoLimits());
  EXPECT_TRUE(book.diagnostics.empty()) << action << "\n" << Format(book.diagnostics);
  const Verdict& verdict = book.Judge(std::move(sample));
  EXPECT_TRUE(std::holds_alternative<Action>(verdict.action)) << action;
  EXPECT_EQ(verdict.rule, 0U);
  return std::get<Action>(verdict.action);
}

TEST(Actions, DenyWithAStatus) {
  EXPECT_EQ(Final<Deny>("deny").status, 403);
  EXPECT_EQ(Final<Deny>("{ deny: }").status, 403);
  EXPECT_EQ(Final<Deny>("{ deny: true }").status, 403);
  EXPECT_EQ(Final<Deny>("{ deny: {} }").status, 403);
  EXPECT_EQ(Final<Deny>("{ deny: { status: 400 } }").status, 400);
  EXPECT_EQ(Final<Deny>("{ deny: { status: 599 } }").status, 599);
}

TEST(Actions, AllowAndDropSayNoMore) {
  Final<Forward>("allow");
  Final<Forward>("{ allow: true }");
  Final<Drop>("drop");
}

TEST(Actions, ChallengeByTheDefaultsOrTheirOwn) {
  EXPECT_EQ(Final<Challenge>("challenge").demand, ChallengeDemand{});
  EXPECT_EQ(Final<Challenge>("{ challenge: refresh }").demand.kind, ChallengeKind::kRefresh);
  EXPECT_EQ(Final<Challenge>("{ challenge: { kind: cookie } }").demand.kind,
            ChallengeKind::kCookie);
  const ChallengeDemand demand =
      Final<Challenge>("{ challenge: { kind: pow, bits: 24, pass: 24h } }").demand;
  EXPECT_EQ(demand, (ChallengeDemand{ChallengeKind::kProofOfWork, 24, 24h}));

  RuleScope scope;
  scope.challenge_defaults = {ChallengeKind::kCookie, 3, 5min};
  RuleBook book("[{ action: { challenge: { bits: 4 } } }]", scope);
  EXPECT_EQ(std::get<Challenge>(book.Judge(Sample{}).action).demand,
            (ChallengeDemand{ChallengeKind::kCookie, 4, 5min}));
}

TEST(Actions, RedirectToUrlsAndPaths) {
  RuleBook path("[{ action: { redirect: /new } }]");
  const auto& to_path = std::get<Redirect>(path.Judge(Sample{}).action);
  EXPECT_EQ(to_path.location, "/new");
  EXPECT_EQ(to_path.status, 302);
  RuleBook url("[{ action: { redirect: { to: 'https://example.com/x?y', status: 308 } } }]");
  const auto& to_url = std::get<Redirect>(url.Judge(Sample{}).action);
  EXPECT_EQ(to_url.location, "https://example.com/x?y");
  EXPECT_EQ(to_url.status, 308);
}

TEST(Actions, RedirectKeepsThePathWithoutLeavingTheSite) {
  const auto location = [](const std::string& to, const std::string& target) {
    RuleBook book("[{ action: { redirect: { to: '" + to + "', keep_path: true } } }]");
    EXPECT_TRUE(book.diagnostics.empty()) << Format(book.diagnostics);
    Sample sample;
    sample.target = target;
    return std::string(std::get<Redirect>(book.Judge(sample).action).location);
  };
  EXPECT_EQ(location("https://new.example", "/a/b?c=d"), "https://new.example/a/b?c=d");
  EXPECT_EQ(location("https://new.example/", "/a%20b"), "https://new.example/a%20b");
  EXPECT_EQ(location("/archive", "/a?b"), "/archive/a?b");
  EXPECT_EQ(location("/archive/", "/"), "/archive/");
  EXPECT_EQ(location("/", "//evil.example/x"), "/evil.example/x");
  EXPECT_EQ(location("/", "/\\evil.example/x"), "/evil.example/x");
  EXPECT_EQ(location("https://new.example", "//evil.example"), "https://new.example/evil.example");
  EXPECT_EQ(location("https://new.example", "http://www.example.com/a?b"),
            "https://new.example/a?b");
  EXPECT_EQ(location("https://new.example", "*"), "https://new.example/");
}

TEST(Actions, RespondWithWhatIsWritten) {
  RuleBook book(
      "[{ action: { respond: { status: 203, body: hello, content_type: text/html, headers: { X-A: "
      "b, Cache-Control: no-store } } } }]");
  const auto& respond = std::get<Respond>(book.Judge(Sample{}).action);
  EXPECT_EQ(respond.status, 203);
  EXPECT_EQ(respond.body, "hello");
  EXPECT_EQ(respond.content_type, "text/html");
  ASSERT_EQ(respond.headers->size(), 2U);
  EXPECT_EQ((*respond.headers)[1].name, "Cache-Control");
  EXPECT_EQ((*respond.headers)[1].value, "no-store");

  RuleBook plain("[{ action: { respond: {} } }]");
  const auto& bare = std::get<Respond>(plain.Judge(Sample{}).action);
  EXPECT_EQ(bare.status, 200);
  EXPECT_EQ(bare.body, "");
  EXPECT_EQ(bare.content_type, "text/plain; charset=utf-8");
  EXPECT_TRUE(bare.headers->empty());
}

TEST(Actions, GoOnAfterWhatIsNotFinal) {
  RuleBook book(R"(
- { action: { set_header: { X-Tier: gold, x-b: "" }, tag: one } }
- { action: { tag: [two, three], pool: archive } }
- { action: { set_header: { X-Tier: silver }, allow: true } }
- { action: deny })",
                TwoLimits());
  ASSERT_TRUE(book.diagnostics.empty()) << Format(book.diagnostics);
  const Verdict& verdict = book.Judge(Sample{});
  EXPECT_EQ(ActionName(verdict.action), "forward");
  EXPECT_EQ(verdict.rule, 2U);
  EXPECT_EQ(verdict.pool, 1U);
  EXPECT_THAT(verdict.tags, ElementsAre("one", "two", "three"));
  ASSERT_EQ(verdict.set_headers.size(), 3U);
  EXPECT_EQ(verdict.set_headers[0].name, "X-Tier");
  EXPECT_EQ(verdict.set_headers[0].value, "gold");
  EXPECT_EQ(verdict.set_headers[1].value, "");
  EXPECT_EQ(verdict.set_headers[2].value, "silver");
  EXPECT_EQ(verdict.matches.size(), 3U);
}

TEST(Actions, AreNamedByTheFirstOneWritten) {
  RuleBook book(
      "[{ action: { tag: a, deny: } }, { action: challenge }, { action: { limit: login, allow: } "
      "}]",
      TwoLimits());
  EXPECT_EQ(book.policy->rules()[0].action, "tag");
  EXPECT_EQ(book.policy->rules()[1].action, "challenge");
  EXPECT_EQ(book.policy->rules()[2].action, "limit");
}

TEST(Actions, TeachWhatIsLegal) {
  const std::pair<const char*, const char*> kTable[] = {
      {"dney",
       "unknown action 'dney'; expected one of allow, deny, challenge, redirect, respond, drop, "
       "limit"},
      {"dney", "did you mean 'deny'?"},
      {"{ dney: }", "unknown action 'dney'"},
      {"{}", "expected an action such as deny"},
      {"[deny]", "expected an action such as deny"},
      {"limit", "'limit' needs more than its name"},
      {"redirect", "'redirect' needs more than its name"},
      {"{ deny: { status: 399 } }", "399"},
      {"{ deny: { status: 600 } }", "600"},
      {"{ deny: { state: 403 } }", "unknown key 'state'; expected status"},
      {"{ deny: 404 }", "expected a map such as { status: 404 }, found '404'"},
      {"{ deny: gone }", "expected a map such as { status: 403 }, found 'gone'"},
      {"{ allow: no }", "allow takes nothing"},
      {"{ drop: { status: 1 } }", "drop takes nothing"},
      {"{ deny: , allow: }", "at most one final action"},
      {"{ challenge: puzzle }",
       "unknown kind of challenge 'puzzle'; expected one of cookie, refresh, pow"},
      {"{ challenge: { bits: 0 } }", "1 to 24"},
      {"{ challenge: { bits: 25 } }", "1 to 24"},
      {"{ challenge: { pass: 59s } }", "59s"},
      {"{ challenge: { pass: 25h } }", "25h"},
      {"{ challenge: { kinds: pow } }", "unknown key 'kinds'"},
      {"{ redirect: { status: 301 } }", "expected where to go"},
      {"{ redirect: example.com }", "expected where to go"},
      {"{ redirect: //evil.example }", "expected where to go"},
      {"{ redirect: 'https://' }", "expected where to go"},
      {"{ redirect: 'javascript:alert(1)' }", "expected where to go"},
      {"{ redirect: '/a b' }", "expected where to go"},
      {"{ redirect: \"/a\\r\\nX: y\" }", "expected where to go"},
      {"{ redirect: { to: /a, status: 300 } }",
       "unknown status for a redirect '300'; expected one of 301, 302, 303, 307, 308"},
      {"{ redirect: { to: '/a?b', keep_path: true } }", "with keep_path, where to go has no '?'"},
      {"{ redirect: { to: /a, keep_path: maybe } }", "maybe"},
      {"{ respond: { status: 199 } }", "199"},
      {"{ respond: { status: 600 } }", "600"},
      {"{ respond: { status: 204, body: x } }", "a response with status 204 has no body"},
      {"{ respond: { status: 205, body: x } }", "a response with status 205 has no body"},
      {"{ respond: { body: x, page: f } }", "a body or a page, not both"},
      {"{ respond: { page: f } }", "there are no files to be read here"},
      {"{ respond: { content_type: \"a\\nb\" } }", "expected a media type"},
      {"{ respond: { headers: { Content-Length: 3 } } }",
       "'Content-Length' is for the proxy to set"},
      {"{ respond: { headers: { 'a b': c } } }", "'a b' is not the name of a header field"},
      {"{ respond: { headers: { a: \"x\\ny\" } } }", "expected a value without control characters"},
      {"{ set_header: { Host: a } }", "'Host' is for the proxy to set"},
      {"{ set_header: { transfer-encoding: a } }", "is for the proxy to set"},
      {"{ set_header: { CONNECTION: a } }", "is for the proxy to set"},
      {"{ set_header: { a: ' b' } }", "outer white space"},
      {"{ set_header: {} }", "expected a map of header field names"},
      {"{ set_header: x }", "expected a map of header field names"},
      {"{ tag: 'a b' }", "expected a tag"},
      {"{ tag: [] }", "expected a tag"},
      {"{ pool: ap }", "unknown pool 'ap'; expected one of app, archive (did you mean 'app'?)"},
      {"{ limit: per-clent }",
       "unknown limit 'per-clent'; expected one of per-client, login (did you mean 'per-client'?)"},
      {"{ limit: [] }", "expected the name of a limit"},
      {"{ limit: }", "expected the name of a limit"},
      {"{ limit: { status: 429 } }", "expected the name of a limit"},
      {"{ limit: { name: login, status: 200 } }", "200"},
      {"{ limit: { names: [login] } }", "unknown key 'names'; expected one of name, status"},
  };
  for (const auto& [action, message] : kTable) {
    EXPECT_THAT(Complaints(std::string("[{ action: ") + action + " }]", TwoLimits()),
                HasSubstr(message))
        << action;
  }
}

TEST(Rules, TeachWhatIsLegal) {
  const std::pair<const char*, const char*> kTable[] = {
      {"[deny]", "expected a rule: a map with match and action, found a single value"},
      {"[{ match: { path: / } }]", "is missing; expected an action such as deny"},
      {"[{ acton: deny }]",
       "unknown key 'acton'; expected one of name, description, toggle, mode, when, match, action "
       "(did "
       "you mean 'action'?)"},
      {"[{ name: a b, action: deny }]", "'a b' is not a name"},
      {"[{ name: a, action: deny }, { name: a, action: deny }]",
       "the name 'a' is taken by the rule at test.yaml:1"},
      {"[{ name: rule-2, action: deny }, { action: deny }]", "the name 'rule-2' is taken"},
      {"[{ toggle: srge, action: deny }]",
       "unknown toggle 'srge'; expected surge (did you mean 'surge'?)"},
      {"[{ mode: shadw, action: deny }]",
       "unknown mode 'shadw'; expected one of enforce, shadow, off (did you mean 'shadow'?)"},
  };
  for (const auto& [rules, message] : kTable)
    EXPECT_THAT(Complaints(rules, TwoLimits()), HasSubstr(message)) << rules;
}

TEST(LimitKeys, TeachWhatIsLegal) {
  const auto complaint = [](const std::string& key) {
    Diagnostics diagnostics;
    yaml::Document document("limits.yaml", "key: " + key, &diagnostics);
    RuleScope scope;
    scope.limits.resize(1);
    scope.limit_keys.push_back(document.root().Get("key"));
    RuleSetBuilder builder(std::move(scope));
    return diagnostics.empty() ? "" : diagnostics[0].message;
  };
  EXPECT_EQ(complaint("client.address"), "");
  EXPECT_EQ(
      complaint(
          "[client.address, path, header.X-Key, cookie.sid, query.q, method, host, user_agent]"),
      "");
  EXPECT_EQ(complaint("global"), "");
  EXPECT_THAT(complaint("client"),
              HasSubstr("unknown key 'client'; expected one of client.address, path"));
  EXPECT_THAT(complaint("[global, path]"), HasSubstr("global stands alone"));
  EXPECT_THAT(complaint("[path, path]"), HasSubstr("'path' stands twice"));
  EXPECT_THAT(complaint("[]"), HasSubstr("at least one key"));
  EXPECT_THAT(complaint("header."), HasSubstr("'header.' names no header"));
}

}  // namespace
}  // namespace spillway
