// SPDX-License-Identifier: MIT
#include "spillway/partial_judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/rule_book.h"

namespace spillway {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// What a log in the combined format tells.
KnownFields Combined() {
  return {.query = true, .protocol = true, .headers = {"user-agent", "referer"}};
}

// "lang: header.accept-language; phones: a pass" of a request that is judged with what is known.
class Doubtful {
 public:
  explicit Doubtful(const std::string& rules, RuleScope scope = {},
                    std::vector<std::optional<bool>> toggles = {},
                    const KnownFields& known = Combined())
      : book_(rules, std::move(scope)), judge_(book_.policy, known, toggles) {}

  std::string Judge(Sample sample = {}) {
    const Asked asked(std::move(sample));
    Facts facts;
    facts.passes = passes;
    facts.limits = book_.limits;
    facts.shadow_limits = book_.shadow_limits;
    judge_.Judge(asked.request(), facts, book_.now, &verdict, &undecided);
    std::string told;
    for (const UndecidedRule& one : undecided) {
      told += (told.empty() ? "" : "; ") + book_.policy->rules()[one.rule].name + ": " +
              judge_.reasons()[one.reason];
    }
    return told;
  }
  // The same of the answer to it, behind the rules that matched: "+any failed: an answer".
  std::string JudgeAnswer(Sample sample, const KnownAnswer& answer) {
    const Asked asked(std::move(sample));
    Facts facts;
    facts.limits = book_.limits;
    facts.shadow_limits = book_.shadow_limits;
    std::string told;
    for (const RuleMatch& match :
         judge_.JudgeResponse(asked.request(), answer, facts, book_.now, &verdict, &undecided)) {
      told += "+" + book_.policy->rules()[match.rule].name + " ";
    }
    std::string separator;
    for (const UndecidedRule& one : undecided) {
      told +=
          separator + book_.policy->rules()[one.rule].name + ": " + judge_.reasons()[one.reason];
      separator = "; ";
    }
    return told;
  }
  std::string Rule() const {
    return verdict.rule == kNoRule ? "" : book_.policy->rules()[verdict.rule].name;
  }

  Verdict verdict;
  std::vector<UndecidedRule> undecided;
  const PassChecker* passes = nullptr;

 private:
  RuleBook book_;
  PartialJudge judge_;
};

TEST(PartialJudge, AConditionIsUndecidedOnlyWhereItsValueHangsOnWhatIsUnknown) {
  const struct {
    const char *match, *path, *told;
  } kCases[] = {
      {"{ path: /a }", "/a", ""},
      {"{ header.x: b }", "/a", "r: header.x"},
      {"{ path: /a, header.x: b }", "/a", "r: header.x"},
      {"{ path: /a, header.x: b }", "/c", ""},
      {"{ any: [{ path: /a }, { header.x: b }] }", "/a", ""},
      {"{ any: [{ path: /a }, { header.x: b }] }", "/c", "r: header.x"},
      {"{ not: { header.x: b } }", "/a", "r: header.x"},
      {"{ not: { path: /a, header.x: b } }", "/c", ""},
      {"{ not: { any: [{ path: /a }, { header.x: b }] } }", "/a", ""},
      {"{ not: { any: [{ path: /a }, { header.x: b }] } }", "/c", "r: header.x"},
      {"{ header.x: { absent: true } }", "/a", "r: header.x"},
      {"{ all: [{ any: [{ cookie.a: b }, { path: /a }] }, { path: /c }] }", "/c", "r: cookie.a"},
      {"{ all: [{ any: [{ cookie.a: b }, { path: /a }] }, { path: /c }] }", "/a", ""},
      {"{ host: www.example.com }", "/a", "r: host"},
      {"{ scheme: https }", "/a", "r: scheme"},
      {"{ tls.ja4: x }", "/a", "r: tls.ja4"},
      {"{ tls.client_certificate: x }", "/a", "r: tls.client_certificate"},
      {"{ user_agent: { contains: x } }", "/a", ""},
      {"{ header.user-agent: { contains: x } }", "/a", ""},
      {"{ referer: { host: a.example } }", "/a", ""},
      {"{ protocol: HTTP/1.1 }", "/a", ""},
      {"{ query.q: x }", "/a", ""},
  };
  for (const auto& c : kCases) {
    Doubtful judge("[{ name: r, match: " + std::string(c.match) + ", action: deny }]");
    EXPECT_EQ(judge.Judge({.target = c.path}), c.told) << c.match << " " << c.path;
  }
}

TEST(PartialJudge, AnyValueOfWhatIsUnknownGivesTheVerdictThatWasCalledSure) {
  // The other engine: each value that the unknown field can have, judged in full.
  const char* const kMatches[] = {
      "{ path: /a, header.x: b }", "{ any: [{ path: /a }, { header.x: b }] }",
      "{ not: { path: /a, header.x: b } }",
      "{ all: [{ any: [{ header.x: b }, { path: /a }] }, { not: { path: /c } }] }",
      "{ not: { any: [{ not: { header.x: { present: true } } }, { path: /c }] } }"};
  for (const std::string match : kMatches) {
    const std::string rules = "[{ name: r, match: " + match + ", action: deny }]";
    Doubtful judge(rules);
    RuleBook whole(rules);
    for (const std::string path : {"/a", "/b", "/c"}) {
      const bool sure = judge.Judge({.target = path}).empty();
      const std::string without(whole.Action({.target = path}));
      const std::string with(whole.Action({.target = path, .headers = {{"X", "b"}}}));
      const std::string other(whole.Action({.target = path, .headers = {{"X", "z"}}}));
      EXPECT_EQ(sure, without == with && with == other) << match << " " << path;
      if (!sure) continue;
      EXPECT_EQ(ActionName(judge.verdict.action), with) << match << " " << path;
    }
  }
}

TEST(PartialJudge, WhatComesBehindAnUndecidedRuleIsJudgedAsIfThatDidNotMatch) {
  Doubtful judge(
      R"([{ name: lang, match: { header.accept-language: { absent: true } }, action: deny },
                     { name: tag, match: { cookie.a: b }, action: { tag: x } },
                     { name: a, match: { path: /a }, action: { respond: { status: 204 } } },
                     { name: late, match: { cookie.b: c }, action: deny }])");
  EXPECT_EQ(judge.Judge({.target = "/a"}), "lang: header.accept-language; tag: cookie.a");
  EXPECT_EQ(judge.Rule(), "a");  // and `late` was not reached
  EXPECT_TRUE(judge.undecided[0].weighs);
  EXPECT_FALSE(judge.undecided[1].weighs);  // whatever it says, the outcome is the same
  EXPECT_EQ(judge.Judge({.target = "/b"}),
            "lang: header.accept-language; tag: cookie.a; late: cookie.b");
  EXPECT_EQ(judge.Rule(), "");
}

TEST(PartialJudge, AToggleIsOnOffOrUnknown) {
  RuleScope scope;
  scope.toggles = {"surge"};
  const std::string rules = "[{ name: t, toggle: surge, match: { path: /a }, action: deny }]";
  Doubtful unknown(rules, scope, {std::nullopt}), on(rules, scope, {true}),
      off(rules, scope, {false});
  EXPECT_EQ(unknown.Judge({.target = "/a"}), "t: toggle surge");
  EXPECT_EQ(unknown.Judge({.target = "/b"}), "");
  EXPECT_EQ(on.Judge({.target = "/a"}), "");
  EXPECT_EQ(on.Rule(), "t");
  EXPECT_EQ(off.Judge({.target = "/a"}), "");
  EXPECT_EQ(off.Rule(), "");
}

TEST(PartialJudge, AChallengeIsUndecidedUntilSomebodySaysWhoHasAPass) {
  Doubtful judge(R"([{ name: phones, match: { path: /a }, action: challenge },
                     { name: lang, match: { header.x: y }, action: challenge },
                     { name: last, match: { path: /a }, action: deny }])");
  EXPECT_EQ(judge.Judge({.target = "/a"}), "phones: a pass; lang: header.x");
  EXPECT_EQ(judge.Rule(), "last");
  Passes nobody;
  judge.passes = &nobody;
  EXPECT_EQ(judge.Judge({.target = "/a"}), "");
  EXPECT_EQ(judge.Rule(), "phones");
}

TEST(PartialJudge, ALimitThatCountsByWhatIsUnknownIsUndecidedAndChargesNothing) {
  RuleScope scope;
  LimitInfo limit;
  limit.name = "session";
  limit.spec.keys = 1024;
  scope.limits = {limit};
  Diagnostics diagnostics;
  const yaml::Document keys("test.yaml", "[[cookie.session]]", &diagnostics);
  scope.limit_keys = {keys.root().Items()[0]};
  const std::string rules = "[{ name: l, match: { path: /a }, action: { limit: session } }]";
  Doubtful judge(rules, scope);
  EXPECT_EQ(judge.Judge({.target = "/a"}), "l: cookie.session (a limit counts by it)");
  EXPECT_THAT(judge.verdict.limits, IsEmpty());
  EXPECT_EQ(judge.Judge({.target = "/b"}), "");
}

TEST(PartialJudge, RulesThatAreOffAreNotInDoubtAndShadowsAreToldAsSuch) {
  Doubtful judge(R"([{ name: off, mode: off, match: { header.x: y }, action: deny },
                     { name: idea, mode: shadow, match: { header.x: y }, action: deny },
                     { name: shadowed, mode: shadow, action: challenge }])");
  EXPECT_EQ(judge.Judge(), "idea: header.x");
  EXPECT_TRUE(judge.undecided[0].shadow);
  EXPECT_FALSE(judge.undecided[0].weighs);
}

TEST(PartialJudge, WithNothingUnknownItIsThePolicy) {
  KnownFields all = Combined();
  all.host = all.scheme = all.ja4 = all.client_certificate = true;
  all.headers.push_back("x");
  const std::string rules =
      "[{ name: h, match: { host: www.example.com, header.x: y }, action: deny }]";
  Doubtful judge(rules, {}, {}, all);
  EXPECT_EQ(judge.Judge({.headers = {{"X", "y"}}}), "");
  EXPECT_EQ(judge.Rule(), "h");
}

constexpr char kOnResponses[] = R"(
- { name: any, when: response, action: { tag: a } }
- { name: failed, when: response, match: { path: /login, response.status: 401 }, action: { tag: b } }
- { name: other, when: response, match: { path: /other, response.status: 401 }, action: { tag: c } }
- { name: field, when: response, match: { response.status: 401, response.header.x: y }, action: { tag: d } }
- { name: cookie, when: response, match: { cookie.a: b, response.status: 401 }, action: { tag: e } }
- { name: either, when: response, match: { any: [{ path: /login }, { response.header.x: y }] }, action: { tag: f } }
- { name: not, when: response, match: { not: { response.status: 401 } }, action: { tag: g } }
- { name: idle, when: response, mode: off, match: { response.status: 401 }, action: { tag: h } }
)";

TEST(PartialJudge, AnAnswersStatusIsKnownAndItsFieldsAreNot) {
  Doubtful judge(kOnResponses);
  EXPECT_EQ(judge.Judge({.target = "/login"}), "");
  EXPECT_EQ(judge.JudgeAnswer({.target = "/login"}, {.status = 401}),
            "+any +failed +either field: response.header.x; cookie: cookie.a");
  EXPECT_EQ(judge.JudgeAnswer({.target = "/login"}, {.status = 200}), "+any +either +not ");
  EXPECT_EQ(judge.JudgeAnswer({.target = "/"}, {.status = 200}),
            "+any +not either: response.header.x");
}

TEST(PartialJudge, OfAnAnswerThatIsNotKnownOnlyRulesAreDecidedThatTheRequestRulesOut) {
  Doubtful judge(kOnResponses);
  judge.Judge({.target = "/login"});
  const std::string why = ": an answer (refused then)";
  EXPECT_EQ(judge.JudgeAnswer({.target = "/login"}, {.is = KnownAnswer::Is::kRefused}),
            "any" + why + "; failed" + why + "; field" + why + "; cookie" + why + "; either" + why +
                "; not" + why);
  EXPECT_THAT(judge.JudgeAnswer({.target = "/"}, {.is = KnownAnswer::Is::kPerhapsRefused}),
              testing::AllOf(testing::HasSubstr("any: an answer (perhaps refused then)"),
                             testing::Not(testing::HasSubstr("failed"))));
  EXPECT_FALSE(judge.undecided.front().weighs);
}

TEST(PartialJudge, WhatAnAnswerChargesTheNextRequestMeets) {
  RuleScope scope;
  scope.limits.resize(1);
  scope.limits[0].name = "failures";
  scope.limits[0].spec.rate = {1, 1h};
  scope.limits[0].spec.burst = 2;
  Doubtful judge(R"([{ name: tired, action: { limit: { name: failures, charge: false } } },
      { name: failed, when: response, match: { response.status: 401 }, action: { limit: failures } }])",
                 scope);
  for (const int status : {401, 200, 401}) {
    judge.Judge();
    EXPECT_EQ(judge.Rule(), "");
    judge.JudgeAnswer({}, {.status = status});
  }
  judge.Judge();
  EXPECT_EQ(judge.Rule(), "tired");
}

}  // namespace
}  // namespace spillway
