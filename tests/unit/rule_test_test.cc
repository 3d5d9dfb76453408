// SPDX-License-Identifier: MIT
// Tests of tests: what each says of a rule set that does otherwise, and that one leaves nothing behind
// for the next.
#include "spillway/rule_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config_text.h"

namespace spillway {
namespace {

using testing::HasSubstr;

constexpr char kSite[] = R"(
toggles: { surge: {}, calm: { default: on } }
limits: { few: { key: client.address, rate: 1/s, burst: 5 }, all: { key: global, rate: 1000/s, burst: 10 } }
lists: { office: [192.0.2.0/24] }
rules:
  - { name: probes, match: { path: /healthz }, action: allow }
  - { name: gate, match: { path: /gate }, action: { deny: { status: 404 } } }
  - { name: moved, match: { path: { prefix: /old/ } }, action: { redirect: { to: /new, status: 301 } } }
  - { name: tea, match: { path: /tea }, action: { respond: { status: 418, body: no } } }
  - { name: gone, match: { path: /gone }, action: drop }
  - { name: phones, toggle: surge, match: { user_agent: { contains: iPhone } }, action: challenge }
  - { name: calm, toggle: calm, match: { path: /calm }, action: deny }
  - { name: parts, match: { method: POST, host: shop.test, scheme: https, protocol: HTTP/2.0, path: /a b, query.q: "x&y", query.r: [z, "1"],
      header.x-a: two, cookie.sid: abc, referer: { host: example.com }, tls.ja4: t13d, tls.client_certificate: CN=a,
      client.address: "2001:db8::1" }, action: { deny: { status: 410 } } }
  - { name: idea, mode: shadow, match: { path: /idea }, action: { limit: few } }
  - { name: clients, match: { not: { client.address: $office } }, action: { limit: [few, all] } }
)";

// Of a site with these tests, each item without "- ".
std::string Failures(const std::string& test, const std::string& more = "") {
  const auto config =
      LoadText(std::string(kTwoLines) + more + kSite + "tests:\n  - { name: it, " + test + " }\n");
  if (!config) return "does not load: " + Format(config.error());
  std::string all;
  for (const Diagnostic& failure : RunRuleTests(*config)) all += failure.message + "\n";
  return all;
}

TEST(RuleTests, PassWhenTheRulesDoWhatIsExpected) {
  for (const std::string test : {
           "expect: { action: forward }",
           "request: { path: /healthz }, expect: { action: forward }",
           "request: { path: /healthz }, expect: { action: allow, rule: probes }",
           "request: { path: /x/../%67ate }, expect: { action: deny, rule: gate, status: 404 }",
           "request: { path: /old/a }, expect: { action: redirect, status: 301 }",
           "request: { path: /tea }, expect: { action: respond, status: 418 }",
           "request: { path: /gone }, expect: { action: drop }",
           "request: { user_agent: iPhone }, expect: { action: forward }",
           "request: { user_agent: iPhone }, toggles: { surge: on }, expect: { action: challenge }",
           "request: { user_agent: iPhone }, toggles: { surge: on }, pass: true, "
           "expect: { action: forward }",
           "request: { user_agent: iPhone }, toggles: { surge: on }, protected: true, "
           "expect: { action: forward }",
           "request: { path: /calm }, expect: { action: deny }",
           "request: { path: /calm }, toggles: { calm: off }, expect: { action: forward }",
           "repeat: 100, expect: { action: limit, after: 5, limit: few, rule: clients }",
           "repeat: 100, every: 1s, expect: { action: forward }",
           "repeat: 100, rate: 60/m, expect: { action: forward }",
           "repeat: 10, rate: 2/s, expect: { action: limit, after: 9 }",
           "repeat: 100000, request: { client.address: 192.0.2.9 }, expect: { action: forward }",
           "repeat: 100000, every: 1h, expect: { action: forward }",
           "repeat: 5, request: { path: /idea }, expect: { action: forward }",
           "request: { method: POST, host: SHOP.test, scheme: https, protocol: HTTP/2.0, "
           "path: '/a%20b?p=1', query.q: 'x&y', query.r: z, header.X-A: [one, two], cookie.a: b, "
           "cookie.sid: abc, referer: 'https://example.com/x', tls.ja4: t13d, "
           "tls.client_certificate: CN=a, client.address: '2001:db8::1' }, "
           "expect: { action: deny, rule: parts }",
       }) {
    EXPECT_EQ(Failures(test), "") << test;
  }
}

TEST(RuleTests, SayWhenTheyAreAsked) {
  const std::string site =
      std::string(kTwoLines) +
      "rules:\n"
      "  - { name: night, match: { time: { from: '22:00', to: '06:00', days: [fri, sat] } },"
      " action: deny }\n"
      "tests:\n";
  for (const std::string test : {
           "time: sat 05:59, expect: { action: deny, rule: night }",
           "time: sat 06:00, expect: { action: forward }",
           "time: sun 00:00, expect: { action: deny }",
           "time: mon 00:00, expect: { action: forward }",
           "expect: { action: forward }",
           "time: fri 21:00, repeat: 61, every: 1m, expect: { action: deny, after: 60 }",
       }) {
    const auto config = LoadText(site + "  - { name: it, " + test + " }\n");
    ASSERT_TRUE(config) << test << Format(config.error());
    EXPECT_EQ(Format(RunRuleTests(*config)), "") << test;
  }
}

TEST(RuleTests, SayWhatWasExpectedAndWhatWasFoundByWhichRule) {
  const struct {
    std::string test, said;
  } kCases[] = {
      {"request: { path: /gate }, expect: { action: forward }",
       "the test 'it' fails: expected forward; found deny with status 404 by rule 'gate' "
       "(f.yaml:9)\n"},
      {"expect: { action: deny, rule: gate, status: 403 }",
       "the test 'it' fails: expected deny with status 403 by rule 'gate'; found forward by no "
       "rule\n"},
      {"expect: { action: allow }",
       "the test 'it' fails: expected allow; found forward by no rule\n"},
      {"request: { path: /gate }, expect: { action: deny, status: 403 }",
       "the test 'it' fails: expected deny with status 403; found deny with status 404 by rule "
       "'gate' (f.yaml:9)\n"},
      {"request: { path: /gate }, expect: { action: deny, rule: calm }",
       "the test 'it' fails: expected deny by rule 'calm'; found deny with status 404 by rule "
       "'gate' (f.yaml:9)\n"},
      {"repeat: 10, expect: { action: forward }",
       "the test 'it' fails: expected forward; found limit with status 429 by rule 'clients' "
       "(f.yaml:19), limit 'few', for request 6 of 10\n"},
      {"repeat: 10, expect: { action: limit, limit: all, after: 5 }",
       "the test 'it' fails: expected limit, limit 'all' after 5; found limit with status 429 by "
       "rule 'clients' (f.yaml:19), limit 'few', for request 6 of 10\n"},
      {"repeat: 10, expect: { action: limit, after: 7 }",
       "the test 'it' fails: expected forward for the first 7; found limit with status 429 by rule "
       "'clients' (f.yaml:19), limit 'few', for request 6 of 10\n"},
      {"repeat: 10, expect: { action: limit, after: 4 }",
       "the test 'it' fails: expected limit after 4; found forward by no rule, for request 5 of "
       "10\n"},
  };
  for (const auto& [test, said] : kCases) EXPECT_EQ(Failures(test), said) << test;
}

TEST(RuleTests, SayWhenARequestComesToNoRule) {
  EXPECT_THAT(Failures("request: { path: /a//b }, expect: { action: forward }",
                       "clients: { ambiguous_paths: refuse }\n"),
              HasSubstr("expected forward; found an answer with 400 before any rule, since "));
}

TEST(RuleTests, EachBeginsWithFullBucketsAndTogglesByDefault) {
  std::string tests = "tests:\n";
  for (int i = 0; i < 20; ++i) {
    const std::string name = std::to_string(i);
    tests += "  - { name: a" + name + ", repeat: 10, expect: { action: limit, after: 5 } }\n";
    tests += "  - { name: b" + name + ", repeat: 100, every: 1h, expect: { action: forward } }\n";
    tests += "  - { name: c" + name + ", pass: true, toggles: { surge: on, calm: off }, " +
             "request: { path: /calm, user_agent: iPhone }, expect: { action: forward } }\n";
    tests += "  - { name: d" + name + ", request: { path: /calm }, expect: { action: deny } }\n";
    tests += "  - { name: e" + name +
             ", toggles: { surge: on }, request: { user_agent: iPhone }, "
             "expect: { action: challenge } }\n";
    tests += "  - { name: f" + name + ", repeat: 5, expect: { action: forward } }\n";
  }
  const Config config = Loaded(LoadText(std::string(kTwoLines) + kSite + tests));
  EXPECT_EQ(config.tests.size(), 120u);
  EXPECT_EQ(Format(RunRuleTests(config)), "");
}

TEST(RuleTests, TellTheirPlaceAndAllThatFailInOneRun) {
  const Config config = Loaded(LoadText(std::string(kTwoLines) + kSite + R"(tests:
  - { name: one, expect: { action: deny } }
  - { name: two, expect: { action: forward } }
  - name: three
    expect:
      action: drop
)"));
  const Diagnostics failures = RunRuleTests(config);
  ASSERT_EQ(failures.size(), 2u);
  EXPECT_EQ(failures[0].file, "f.yaml");
  EXPECT_EQ(failures[0].path, "tests[0].expect");
  EXPECT_EQ(failures[0].line, 21);
  EXPECT_EQ(failures[1].path, "tests[2].expect");
  EXPECT_GE(failures[1].line, 24);
}

TEST(RuleTests, MayStandInIncludedFiles) {
  const MemoryFiles files(
      {{"f.yaml", std::string(kTwoLines) + "include: more.yaml\n"},
       {"more.yaml",
        "rules: [{ name: r, match: { path: /a }, action: deny }]\n"
        "tests: [{ name: t, request: { path: /a }, expect: { action: drop } }]"}});
  const Config config = Loaded(LoadConfig("f.yaml", files, {}));
  const Diagnostics failures = RunRuleTests(config);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].file, "more.yaml");
}

// A shared file stays as it is where the site refuses sooner, and what it includes belongs to it.
TEST(RuleTests, OfAnIncludedFileKnowItsRulesAndThoseItIncludes) {
  const auto failures_with = [](const std::string& other) {
    const MemoryFiles files(
        {{"f.yaml", std::string(kTwoLines) +
                        "rules: [{ name: own, match: { path: /a }, action: drop }]\n"
                        "tests: [{ name: all, request: { path: /a }, expect: { action: deny } }]\n"
                        "include: [shared.yaml, other.yaml]\n"},
         {"shared.yaml",
          "include: deep.yaml\n"
          "tests: [{ name: s, request: { path: /a }, expect: { action: deny, rule: d } }]"},
         {"deep.yaml", "rules: [{ name: d, match: { path: /a }, action: deny }]"},
         {"other.yaml", other}});
    std::vector<std::string> failed;
    for (const Diagnostic& one : RunRuleTests(Loaded(LoadConfig("f.yaml", files, {}))))
      failed.push_back(one.file);
    return failed;
  };
  const std::string other = "rules: [{ name: o, match: { path: /a }, action: drop }]\n";
  EXPECT_THAT(failures_with(other), testing::ElementsAre("f.yaml"));
  EXPECT_THAT(failures_with(other + "tests: [{ name: t, request: { path: /a }, "
                                    "expect: { action: deny } }]"),
              testing::ElementsAre("f.yaml", "other.yaml"));
}

TEST(RuleTests, HaveBoundsInNumberAndInWhatTheyJudge) {
  std::string many = "tests:\n";
  for (int i = 0; i < 1001; ++i)
    many += "  - { name: t" + std::to_string(i) + ", expect: { action: forward } }\n";
  EXPECT_THAT(Errors(LoadText(kTwoLines + many)), HasSubstr("more than 1000 tests"));
  const std::string dear =
      "tests:\n  - { name: a, repeat: 100000, expect: { action: forward } }\n"
      "  - { name: b, repeat: 100000, expect: { action: forward } }\n";
  EXPECT_EQ(Errors(LoadText(kTwoLines + dear)), "");
  EXPECT_THAT(Errors(LoadText(kTwoLines + dear + "  - { name: c, expect: { action: forward } }\n")),
              HasSubstr("judge more than 200000 requests"));
}

TEST(RuleTests, SayWhereTheClientIs) {
  const std::string site =
      std::string(kTwoLines) +
      "geo: { country_file: c.mmdb, asn_file: a.mmdb }\n"
      "limits: { land: { key: client.country, rate: 1/h, burst: 2 } }\n"
      "rules:\n"
      "  - { name: far, match: { client.country: AQ }, action: { deny: { status: 451 } } }\n"
      "  - { name: net, match: { client.asn: 64500 }, action: { deny: { status: 404 } } }\n"
      "  - { name: land, match: { client.country: { present: true } }, action: { limit: land } }\n"
      "tests:\n";
  for (const std::string test : {
           "expect: { action: forward }",
           "request: { client.country: aq }, expect: { action: deny, rule: far }",
           "request: { client.asn: AS64500 }, expect: { action: deny, rule: net }",
           "request: { client.country: DE }, repeat: 3, expect: { action: limit, after: 2 }",
       }) {
    const auto config = LoadText(site + "  - { name: it, " + test + " }\n");
    ASSERT_TRUE(config) << test << Format(config.error());
    EXPECT_EQ(Format(RunRuleTests(*config)), "") << test;
  }
}

constexpr char kLogins[] = R"(
limits: { failures: { key: client.address, rate: 1/h, burst: 5 } }
rules:
  - { name: tired, match: { path: /login }, action: { limit: { name: failures, charge: false } } }
  - { name: gate, match: { path: /gate }, action: deny }
  - { name: failed, when: response, match: { path: /login, response.status: [401, 403] },
      action: { limit: failures } }
  - { name: told, when: response, match: { response.header.x-failed: "1" }, action: { limit: failures } }
  - { name: idea, when: response, mode: shadow, match: { response.status: 5xx }, action: { limit: failures } }
tests:
)";

TEST(RuleTests, SayWhatTheServerAnswers) {
  for (const std::string test : {
           "answer: 401, repeat: 9, expect: { action: limit, rule: tired, after: 5, status: 429 }",
           "repeat: 9, expect: { action: forward }",
           "answer: 200, repeat: 9, expect: { action: forward }",
           "answer: 503, repeat: 9, expect: { action: forward }",
           "answer: { status: 403 }, repeat: 9, expect: { action: limit, after: 5 }",
           "answer: { header.X-Failed: [0, 1] }, repeat: 9, expect: { action: limit, after: 5 }",
           "answer: { status: 401, header.x-failed: '1' }, repeat: 9, "
           "expect: { action: limit, after: 5 }",
           "answer: [200, 401], repeat: 9, expect: { action: limit, after: 6 }",
           "answer: [401, 401, 401, 401, 200], repeat: 9, expect: { action: forward }",
           "answer: [401, { header.x-failed: '1' }, 200], repeat: 9, expect: { action: forward }",
           "answer: 401, repeat: 9, every: 1h, expect: { action: forward }",
       }) {
    const auto config = LoadText(std::string(kTwoLines) + kLogins +
                                 "  - { name: it, request: { path: /login }, " + test + " }\n");
    ASSERT_TRUE(config) << test << Format(config.error());
    EXPECT_EQ(Format(RunRuleTests(*config)), "") << test;
  }
}

TEST(RuleTests, WhatIsNotForwardedIsNotAnswered) {
  const auto config =
      LoadText(std::string(kTwoLines) + kLogins +
               "  - { name: it, request: { path: /gate }, answer: [{ header.x-failed: 1 }, 200], "
               "repeat: 9, expect: { action: deny } }\n"
               "  - { name: after it, request: { path: /login }, answer: 401, repeat: 6, "
               "expect: { action: limit, after: 5 } }\n");
  ASSERT_TRUE(config) << Format(config.error());
  EXPECT_EQ(Format(RunRuleTests(*config)), "");
}

TEST(RuleTests, EachBeginsWithFullBucketsAfterAnswersThatWereCharged) {
  std::string tests;
  for (const char* name : {"one", "two", "three"}) {
    tests += std::string("  - { name: ") + name +
             ", request: { path: /login }, answer: 401, repeat: 6, "
             "expect: { action: limit, after: 5 } }\n";
  }
  const auto config = LoadText(std::string(kTwoLines) + kLogins + tests);
  ASSERT_TRUE(config) << Format(config.error());
  EXPECT_EQ(Format(RunRuleTests(*config)), "");
}

TEST(RuleTests, OfAnswersThatChargeNothingSayThatTheLimitIsNotUsedUp) {
  const auto config = LoadText(std::string(kTwoLines) + kLogins +
                               "  - { name: it, request: { path: /login }, answer: 404, repeat: 6, "
                               "expect: { action: limit, after: 5 } }\n");
  ASSERT_TRUE(config) << Format(config.error());
  const Diagnostics failures = RunRuleTests(*config);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_THAT(failures[0].message,
              HasSubstr("expected limit after 5; found forward by no rule, for request 6 of 6"));
}

TEST(RuleTests, HaveABoundInTheirAnswers) {
  std::string answers = "200";
  for (int i = 1; i < 1000; ++i) answers += ", 401";
  const auto of = [](const std::string& list) {
    return Errors(LoadText(std::string(kTwoLines) + "tests: [{ name: n, answer: [" + list +
                           "], expect: { action: forward } }]\n"));
  };
  EXPECT_EQ(of(answers), "");
  EXPECT_THAT(of(answers + ", 401"), HasSubstr("expected 1 to 1000 answers"));
}

}  // namespace
}  // namespace spillway
