// SPDX-License-Identifier: MIT
// What a toggle that is off would do, beside what it does once it is on.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/rule_book.h"

namespace spillway {
namespace {

using namespace std::chrono_literals;
using Effect = Foreseen::Effect;

// "few" is counted by client, "fewer" by path.
RuleScope Scope() {
  static Diagnostics diagnostics;
  static const yaml::Document keys("keys.yaml", "[client.address, path]", &diagnostics);
  RuleScope scope;
  scope.toggles = {"surge", "phones"};
  for (const char* name : {"few", "fewer"}) {
    LimitInfo info;
    info.name = name;
    info.spec = {.rate = {1, 1s}, .burst = 3, .keys = 1024};
    scope.limit_keys.push_back(keys.root().Items()[scope.limits.size()]);
    scope.limits.push_back(info);
  }
  return scope;
}

const Foreseen* Of(const Verdict& verdict, std::uint32_t toggle) {
  for (const Foreseen& one : verdict.foreseen) {
    if (one.toggle == toggle) return &one;
  }
  return nullptr;
}

TEST(Foresee, SaysWhatEachToggleWouldDoAndDoesNothing) {
  RuleBook book(
      "- { name: d, toggle: surge, match: { path: /d }, action: deny }\n"
      "- { name: c, toggle: surge, match: { path: /c }, action: challenge }\n"
      "- { name: p, toggle: surge, match: { path: /p }, action: { respond: { body: x } } }\n"
      "- { name: a, toggle: surge, match: { path: /a }, action: allow }\n"
      "- { name: t, toggle: surge, match: { path: /t }, action: { tag: t } }\n"
      "- { name: x, toggle: surge, match: { path: { prefix: /d } }, action: drop }\n"
      "- { name: y, toggle: phones, match: { path: /d }, action: { redirect: /elsewhere } }\n",
      Scope());
  book.foresee = true;
  const struct {
    const char* path;
    const char* rule;
    Effect effect;
    bool final;
  } kTable[] = {{"/d", "d", Effect::kDeny, true},      {"/d2", "x", Effect::kDeny, true},
                {"/c", "c", Effect::kChallenge, true}, {"/p", "p", Effect::kAnswer, true},
                {"/a", "a", Effect::kPass, true},      {"/t", "t", Effect::kPass, false}};
  for (const auto& row : kTable) {
    const Verdict& verdict = book.Judge({.target = row.path});
    EXPECT_EQ(ActionName(verdict.action), "forward") << row.path;
    EXPECT_TRUE(verdict.matches.empty() && verdict.tags.empty()) << row.path;
    const Foreseen* surge = Of(verdict, 0);
    ASSERT_NE(surge, nullptr) << row.path;
    EXPECT_EQ(book.policy->rules()[surge->rule].name, row.rule);
    EXPECT_EQ(surge->effect, row.effect) << row.path;
    EXPECT_EQ(surge->final, row.final) << row.path;
  }
  ASSERT_NE(Of(book.Judge({.target = "/d"}), 1), nullptr);
  EXPECT_EQ(Of(book.verdict, 1)->effect, Effect::kAnswer);
  EXPECT_TRUE(book.Judge({.target = "/"}).foreseen.empty());
}

TEST(Foresee, TakesWhoHasAPassForOneWhoIsNotChallenged) {
  RuleBook book("- { toggle: surge, action: challenge }\n", Scope());
  book.foresee = true;
  book.passes.holds = true;
  EXPECT_EQ(Of(book.Judge({}), 0)->effect, Effect::kPass);
}

TEST(Foresee, IsSilentWhenNotAskedAndAboutWhatIsOnInShadowOrBehindAnEnd) {
  RuleBook book(
      "- { match: { path: /end }, action: deny }\n"
      "- { toggle: surge, action: deny }\n"
      "- { toggle: phones, mode: shadow, action: deny }\n",
      Scope());
  EXPECT_TRUE(book.Judge({}).foreseen.empty());
  book.foresee = true;
  EXPECT_EQ(book.Judge({}).foreseen.size(), 1u);
  EXPECT_TRUE(book.Judge({.target = "/end"}).foreseen.empty());
  book.Switch(0, true);
  EXPECT_TRUE(book.Judge({}).foreseen.empty());
}

TEST(Foresee, HasBucketsOfItsOwnForEachToggle) {
  RuleBook book(
      "- { toggle: surge, match: { method: GET }, action: { limit: few } }\n"
      "- { toggle: phones, action: { limit: few } }\n"
      "- { match: { path: /real }, action: { limit: few } }\n",
      Scope());
  book.foresee = true;
  for (int i = 0; i < 3; ++i) {
    const Verdict& verdict = book.Judge({.method = "POST"});
    EXPECT_EQ(Of(verdict, 0), nullptr);
    EXPECT_EQ(Of(verdict, 1)->effect, Effect::kPass);
  }
  const Verdict& verdict = book.Judge({});
  EXPECT_EQ(Of(verdict, 0)->effect, Effect::kPass);
  EXPECT_EQ(Of(verdict, 1)->effect, Effect::kLimit);
  EXPECT_EQ(book.Action({.target = "/real"}), "forward");
}

// What only tests a limit looks at the one that rules in force have charged.
TEST(Foresee, TestsWhatOthersHaveCharged) {
  const std::string test = "action: { limit: { name: few, charge: false } } }\n";
  RuleBook book("- { name: off, toggle: surge, match: { path: /a }, " + test +
                    "- { name: shadow, mode: shadow, match: { path: /a }, " + test +
                    "- { match: { path: /charge }, action: { limit: few } }\n",
                Scope());
  book.foresee = true;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Of(book.Judge({.target = "/a"}), 0)->effect, Effect::kPass);
    EXPECT_FALSE(book.verdict.matches.front().over_limit);
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(book.Action({.target = "/charge"}), "forward");
  EXPECT_EQ(Of(book.Judge({.target = "/a"}), 0)->effect, Effect::kLimit);
  EXPECT_TRUE(book.verdict.matches.front().over_limit);
  EXPECT_EQ(ActionName(book.verdict.action), "forward");
}

// The same requests, once with the toggle off and foreseen, once with it on.
TEST(Foresee, SaysWhatThenHappens) {
  const std::string rules =
      "- { name: probe, match: { path: /probe }, action: allow }\n"
      "- { name: early, match: { path: /early }, action: deny }\n"
      "- { name: mark, toggle: surge, match: { method: GET }, action: { tag: seen } }\n"
      "- { name: bots, toggle: surge, match: { user_agent: { contains: bot } }, action: deny }\n"
      "- { name: pages, toggle: surge, match: { path: { prefix: /page } }, action: { limit: [few, "
      "fewer] } }\n"
      "- { name: ours, toggle: surge, match: { path: /page2 }, action: allow }\n"
      "- { name: late, match: { path: [/page3, /late] }, action: deny }\n"
      "- { name: check, toggle: surge, match: { method: POST }, action: challenge }\n"
      "- { name: rest, toggle: surge, match: { path: /rest }, action: { limit: few } }\n";
  RuleBook off(rules, Scope()), on(rules, Scope());
  ASSERT_NE(off.policy, nullptr) << Format(off.diagnostics);
  off.foresee = true;
  on.Switch(0, true);
  std::mt19937_64 chance(7);
  constexpr const char* kPaths[] = {"/",      "/probe", "/early", "/page1",
                                    "/page2", "/page3", "/late",  "/rest"};
  std::map<Effect, int> seen;
  for (int i = 0; i < 20'000; ++i) {
    Sample sample;
    sample.method = chance() % 4 == 0 ? "POST" : "GET";
    sample.target = kPaths[chance() % std::size(kPaths)];
    sample.client = "192.0.2." + std::to_string(chance() % 20);
    sample.headers = {{"User-Agent", chance() % 5 == 0 ? "a bot" : "Mozilla/5.0"}};
    off.now = on.now += std::chrono::milliseconds(chance() % 200);
    const Verdict& foreseen = off.Judge(sample);
    const Verdict& happened = on.Judge(sample);
    const bool by_toggle =
        happened.rule != kNoRule && on.policy->rules()[happened.rule].toggle == 0;
    const Foreseen* surge = Of(foreseen, 0);
    if (!by_toggle) {
      EXPECT_TRUE(surge == nullptr || !surge->final) << on.Rule() << " " << sample.target;
      continue;
    }
    ASSERT_NE(surge, nullptr) << on.Rule();
    EXPECT_EQ(surge->rule, happened.rule);
    const std::string_view action = ActionName(happened.action);
    EXPECT_EQ(surge->effect, action == "deny"        ? Effect::kDeny
                             : action == "limit"     ? Effect::kLimit
                             : action == "challenge" ? Effect::kChallenge
                                                     : Effect::kPass)
        << action;
    ++seen[surge->effect];
  }
  EXPECT_EQ(seen.size(), 4u);
  for (const auto& [effect, count] : seen) EXPECT_GT(count, 200) << static_cast<int>(effect);
}

}  // namespace
}  // namespace spillway
