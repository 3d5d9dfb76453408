// SPDX-License-Identifier: MIT
// Decide as a whole: order, toggles, modes, challenges, limits; and that it leaves the heap alone.
#include "spillway/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "allocations.h"
#include "rule_book.h"
#include "rules/limit_keys.h"
#include "spillway/hash.h"

namespace spillway {
namespace {

using ::testing::ElementsAre;

// One limit for each key text; two at once, then one a second.
RuleScope Limits(std::vector<std::string> keys, yaml::Document* document) {
  RuleScope scope;
  scope.toggles = {"surge", "phones"};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    LimitInfo info;
    info.name = "limit-" + std::to_string(i);
    info.spec = {.rate = {1, 1s}, .burst = 2, .keys = 1024};
    scope.limits.push_back(info);
    scope.limit_keys.push_back(document->root().Items()[i]);
  }
  return scope;
}

class Policies : public ::testing::Test {
 protected:
  RuleBook& Book(const std::string& rules, std::vector<std::string> keys = {"client.address"}) {
    std::string list;
    for (const std::string& key : keys) list += "- " + key + "\n";
    keys_ = std::make_unique<yaml::Document>("keys.yaml", list, &diagnostics_);
    book_ = std::make_unique<RuleBook>(rules, Limits(std::move(keys), keys_.get()));
    EXPECT_TRUE(book_->diagnostics.empty()) << Format(book_->diagnostics) << Format(diagnostics_);
    return *book_;
  }
  static Sample From(const std::string& client) {
    Sample sample;
    sample.client = client;
    return sample;
  }

 private:
  Diagnostics diagnostics_;
  std::unique_ptr<yaml::Document> keys_;
  std::unique_ptr<RuleBook> book_;
};

TEST_F(Policies, ForwardWhatNoRuleEnds) {
  RuleBook& book = Book("[{ name: a, match: { path: /x }, action: deny }]");
  EXPECT_EQ(book.Action({}), "forward");
  EXPECT_EQ(book.verdict.rule, kNoRule);
  EXPECT_EQ(book.verdict.pool, 0U);
  EXPECT_TRUE(book.verdict.matches.empty());
}

TEST_F(Policies, ForwardEverythingWhenThereAreNoRules) {
  EXPECT_EQ(Book("[]").Action({}), "forward");
}

TEST_F(Policies, EndAtTheFirstFinalAction) {
  RuleBook& book = Book(
      "[{ name: a, action: { tag: x } }, { name: b, action: drop }, { name: c, action: deny }]");
  EXPECT_EQ(book.Action({}), "drop");
  EXPECT_EQ(book.Rule(), "b");
  EXPECT_EQ(book.verdict.matches.size(), 2U);
}

TEST_F(Policies, SaySomethingAboutEachRule) {
  RuleBook& book = Book(
      "- { action: deny, mode: off }\n- { name: b, toggle: phones, mode: shadow, action: { limit: "
      "limit-0 } }\n");
  const auto rules = book.policy->rules();
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_EQ(rules[0].name, "rule-1");
  EXPECT_EQ(rules[0].mode, RuleInfo::Mode::kOff);
  EXPECT_EQ(rules[0].toggle, kNoRule);
  EXPECT_EQ(rules[1].toggle, 1U);
  EXPECT_EQ(rules[1].place, "test.yaml:2");
  EXPECT_TRUE(book.policy->limits()[0].in_shadow_use);
  EXPECT_EQ(book.policy->limits()[0].key, "client.address");
  EXPECT_EQ(book.policy->toggles().size(), 2U);
  EXPECT_EQ(book.policy->pools().size(), 2U);
}

TEST_F(Policies, SkipRulesBehindAToggleThatIsOff) {
  RuleBook& book = Book(
      "[{ toggle: phones, match: { path: / }, action: deny }, { match: { path: / }, action: drop "
      "}]");
  EXPECT_EQ(book.Action({}), "drop");
  EXPECT_EQ(book.verdict.matches.size(), 1U);
  book.Switch(1, true);
  EXPECT_EQ(book.Action({}), "deny");
  book.Switch(1, false);
  EXPECT_EQ(book.Action({}), "drop");
}

TEST_F(Policies, CountRulesInShadowAndDoNothingElse) {
  RuleBook& book = Book(
      "[{ mode: shadow, action: { set_header: { a: b }, tag: t, pool: other, deny: } }, { mode: "
      "off, action: deny }]");
  EXPECT_EQ(book.Action({}), "forward");
  ASSERT_EQ(book.verdict.matches.size(), 1U);
  EXPECT_TRUE(book.verdict.matches[0].shadow);
  EXPECT_EQ(book.verdict.pool, 0U);
  EXPECT_TRUE(book.verdict.tags.empty());
  EXPECT_TRUE(book.verdict.set_headers.empty());
}

TEST_F(Policies, AskForAPassOnlyWhenAChallengeMatches) {
  RuleBook& book = Book("[{ match: { path: /a }, action: challenge }, { action: deny }]");
  EXPECT_EQ(book.Action({}), "deny");
  EXPECT_EQ(book.passes.asked, 0);
  Sample asked;
  asked.target = "/a";
  EXPECT_EQ(book.Action(asked), "challenge");
  book.passes.holds = true;
  EXPECT_EQ(book.Action(asked), "deny");
  EXPECT_EQ(book.passes.asked, 2);
}

TEST_F(Policies, RefuseOverALimitAndSayWhich) {
  RuleBook& book = Book("[{ name: l, action: { limit: { name: limit-0, status: 503 } } }]");
  EXPECT_EQ(book.Action({}), "forward");
  ASSERT_EQ(book.verdict.limits.size(), 1U);
  EXPECT_TRUE(book.verdict.limits[0].state.allowed);
  EXPECT_EQ(book.verdict.limits[0].state.remaining, 1U);
  EXPECT_EQ(book.Action({}), "forward");
  EXPECT_EQ(book.Action({}), "limit");
  EXPECT_EQ(std::get<OverLimit>(book.verdict.action).status, 503);
  EXPECT_EQ(book.Rule(), "l");
  ASSERT_EQ(book.verdict.limits.size(), 1U);
  EXPECT_FALSE(book.verdict.limits[0].state.allowed);
  EXPECT_EQ(book.verdict.limits[0].state.retry_after, 1s);
  EXPECT_TRUE(book.verdict.matches[0].over_limit);
  EXPECT_EQ(book.Action(From("192.0.2.8")), "forward");
  book.now += 1s;
  EXPECT_EQ(book.Action({}), "forward");
}

TEST_F(Policies, ChargeALimitOnceHoweverManyRulesUseIt) {
  RuleBook& book =
      Book("[{ action: { limit: limit-0 } }, { action: { limit: [limit-0, limit-0] } }]");
  EXPECT_EQ(book.Action({}), "forward");
  EXPECT_EQ(book.verdict.limits.size(), 1U);
  EXPECT_EQ(book.Action({}), "forward");
  EXPECT_EQ(book.Action({}), "limit");
}

TEST_F(Policies, ChargeNoLimitWhenOneRefuses) {
  RuleBook& book = Book("[{ action: { limit: [limit-0, limit-1] } }]", {"client.address", "path"});
  Sample other = From("198.51.100.1");
  EXPECT_EQ(book.Action(other), "forward");
  EXPECT_EQ(book.Action(other), "forward");  // the path's two are gone
  EXPECT_EQ(book.Action({}), "limit");
  EXPECT_EQ(book.verdict.limits.size(), 1U);
  EXPECT_EQ(book.verdict.limits[0].limit, 1U);
  Sample elsewhere;
  elsewhere.target = "/elsewhere";
  EXPECT_EQ(book.Action(elsewhere), "forward");
  EXPECT_EQ(book.verdict.limits[0].state.remaining, 1U);  // the client's was not charged above
}

TEST_F(Policies, ChargeNoShadowLimitWhenOneWouldRefuse) {
  RuleBook& book =
      Book("[{ mode: shadow, action: { limit: [limit-0, limit-1] } }]", {"client.address", "path"});
  const Sample other = From("198.51.100.1");
  for (int i = 0; i < 3; ++i) {  // the path's two are gone
    book.Judge(other);
    EXPECT_EQ(book.verdict.matches[0].over_limit, i == 2);
  }
  book.Judge({});
  EXPECT_TRUE(book.verdict.matches[0].over_limit);
  Sample elsewhere;
  for (int i = 0; i < 3; ++i) {  // the client's was not charged above
    elsewhere.target = "/elsewhere/" + std::to_string(i);
    book.Judge(elsewhere);
    EXPECT_EQ(book.verdict.matches[0].over_limit, i == 2);
  }
}

// Two rules in shadow that share a limit: the one that would refuse takes only its own back.
TEST_F(Policies, KeepTheShadowChargesOfAnotherRuleWhenOneWouldRefuse) {
  RuleBook& book = Book(R"(
- { mode: shadow, action: { limit: limit-0 } }
- { mode: shadow, action: { limit: [limit-0, limit-1] } })",
                        {"client.address", "global"});
  for (const char* client : {"198.51.100.1", "198.51.100.2"}) book.Judge(From(client));
  for (int i = 0; i < 3; ++i) {
    book.Judge({});
    EXPECT_EQ(book.verdict.matches[0].over_limit, i == 2);
    EXPECT_TRUE(book.verdict.matches[1].over_limit);
  }
}

TEST_F(Policies, ChargeNothingForWhatIsDeniedOrDropped) {
  RuleBook& book = Book(R"(
- { action: { limit: limit-0 } }
- { match: { path: /deny }, action: deny }
- { match: { path: /drop }, action: drop }
- { match: { path: /answer }, action: { respond: {} } })");
  for (const char* target : {"/deny", "/drop"}) {
    Sample sample;
    sample.target = target;
    for (int i = 0; i < 5; ++i) EXPECT_EQ("/" + std::string(book.Action(sample)), target);
    EXPECT_TRUE(book.verdict.limits.empty());
  }
  Sample answer;
  answer.target = "/answer";
  EXPECT_EQ(book.Action(answer), "respond");
  EXPECT_EQ(book.Action(answer), "respond");
  EXPECT_EQ(book.Action(answer), "limit");
}

TEST_F(Policies, TestLimitsBeforeWhatElseTheRuleDoes) {
  RuleBook& book = Book("[{ action: { allow: true, tag: t, limit: limit-0 } }, { action: deny }]");
  EXPECT_EQ(book.Action({}), "forward");
  EXPECT_EQ(book.Action({}), "forward");
  EXPECT_EQ(book.verdict.tags.size(), 1U);
  EXPECT_EQ(book.Action({}), "limit");
  EXPECT_TRUE(book.verdict.tags.empty());
}

TEST_F(Policies, ChargeShadowLimitsApart) {
  RuleBook& book =
      Book("[{ mode: shadow, action: { limit: limit-0 } }, { action: { limit: limit-0 } }]");
  EXPECT_EQ(book.Action({}), "forward");
  EXPECT_EQ(book.Action({}), "forward");
  EXPECT_FALSE(book.verdict.matches[0].over_limit);
  EXPECT_EQ(book.Action({}), "limit");
  EXPECT_TRUE(book.verdict.matches[0].over_limit);
  EXPECT_EQ(book.verdict.matches[0].shadow, true);

  RuleBook& alone = Book("[{ mode: shadow, action: { limit: limit-0 } }]");
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(alone.Action({}), "forward");
    EXPECT_EQ(alone.verdict.matches[0].over_limit, i >= 2);
    EXPECT_TRUE(alone.verdict.limits.empty());
  }
}

// Somebody else takes the last token between test and charge: a pass check stands in for the
// moment.
struct Thief : PassChecker {
  LimitTable* table = nullptr;
  LimitKey key;
  TimePoint now;
  bool HasPass(const Request&, const ChallengeDemand&) const override {
    while (table->Charge(key, now).allowed) {
    }
    return true;
  }
};

TEST_F(Policies, RefuseAndRefundWhenTheLastTokenWasTakenMeanwhile) {
  RuleBook& book = Book(R"(
- { action: { limit: limit-0 } }
- { name: second, action: { limit: { name: limit-1, status: 420 } } }
- { action: challenge })",
                        {"client.address", "global"});
  const Asked asked{Sample{}};
  Facts facts;
  facts.passes = &book.passes;
  const bool toggles[] = {false, false};
  facts.toggles = toggles;
  facts.limits = book.limits;
  facts.shadow_limits = book.shadow_limits;
  facts.seed = 42;
  Thief thief;
  thief.table = book.limits[1];
  thief.now = book.now;
  const std::uint64_t global = HashBytes("global", facts.seed);
  thief.key = {global, global};
  facts.passes = &thief;
  Verdict verdict;
  book.policy->Decide(asked.request(), facts, book.now, &verdict);
  EXPECT_EQ(ActionName(verdict.action), "limit");
  EXPECT_EQ(std::get<OverLimit>(verdict.action).status, 420);
  EXPECT_EQ(verdict.rule, 1U);
  ASSERT_EQ(verdict.limits.size(), 1U);
  EXPECT_EQ(verdict.limits[0].limit, 1U);
  EXPECT_TRUE(verdict.matches[1].over_limit);
  EXPECT_EQ(book.limits[0]->Count(book.now).live, 0U);  // refunded
}

TEST_F(Policies, KeyLimitsByWhatTheySay) {
  const auto shares = [&](const std::string& key, Sample a, Sample b) {
    RuleBook& book = Book("[{ action: { limit: limit-0 } }]", {key});
    EXPECT_EQ(book.Action(a), "forward");
    EXPECT_EQ(book.Action(a), "forward");
    EXPECT_EQ(book.Action(a), "limit");
    return book.Action(b) == "limit";
  };
  Sample plain;
  Sample path{.target = "/a/../b?x=1"};
  EXPECT_TRUE(shares("path", path, {.target = "/b", .client = "10.0.0.1"}));
  EXPECT_FALSE(shares("path", path, {.target = "/a"}));
  EXPECT_TRUE(shares("global", path, {.method = "POST", .client = "10.0.0.1"}));
  EXPECT_FALSE(shares("[client.address, path]", path, {.target = "/c"}));
  EXPECT_FALSE(shares("[client.address, path]", path, {.target = "/b", .client = "10.0.0.1"}));
  EXPECT_TRUE(shares("[client.address, path]", path, {.target = "/b"}));
  EXPECT_TRUE(shares("path.1", {.target = "/a/b"}, {.target = "/a?x", .client = "10.0.0.1"}));
  EXPECT_FALSE(shares("path.1", {.target = "/a/b"}, {.target = "/b/b"}));
  EXPECT_TRUE(shares("path.2", {.target = "/a/%62"}, {.target = "/c/b/", .client = "10.0.0.1"}));
  EXPECT_FALSE(shares("[path.1, path.2]", {.target = "/a/b"}, {.target = "/b/a"}));
  // Where the path has no such part, the address stands in.
  EXPECT_FALSE(shares("path.2", {.target = "/a"}, {.target = "/a", .client = "10.0.0.1"}));
  EXPECT_FALSE(shares("path.1", {.target = "/"}, {.target = "/", .client = "10.0.0.1"}));
  EXPECT_TRUE(shares("path.4", {.target = "/a/"}, {.target = "/b"}));
  EXPECT_FALSE(shares("method", plain, {.method = "PUT"}));
  EXPECT_FALSE(shares("host", plain, {.host = "b"}));
  EXPECT_TRUE(shares("header.X-Key", {.headers = {{"x-key", "1"}}},
                     {.client = "10.0.0.1", .headers = {{"X-KEY", "1"}}}));
  EXPECT_FALSE(
      shares("header.x-key", {.headers = {{"x-key", "1"}}}, {.headers = {{"x-key", "2"}}}));
  EXPECT_TRUE(shares("cookie.sid", {.headers = {{"cookie", "a=b; sid=1"}}},
                     {.headers = {{"cookie", "sid=1"}}}));
  EXPECT_TRUE(shares("query.q", {.target = "/a?q=x%20y"}, {.target = "/b?q=x+y"}));
  EXPECT_FALSE(
      shares("user_agent", {.headers = {{"user-agent", "a"}}}, {.headers = {{"user-agent", "b"}}}));
  // Without the cookie the address stands in.
  EXPECT_TRUE(shares("cookie.sid", plain, plain));
  EXPECT_FALSE(shares("cookie.sid", plain, {.client = "10.0.0.1"}));
  // Addresses: IPv6 by /64, and one household is one client whichever way it came.
  EXPECT_TRUE(shares("client.address", {.client = "2001:db8::1"}, {.client = "2001:db8::2:3"}));
  EXPECT_FALSE(shares("client.address", {.client = "2001:db8::1"}, {.client = "2001:db8:0:1::1"}));
  EXPECT_TRUE(shares("client.address", {.client = "192.0.2.7"}, {.client = "64:ff9b::c000:207"}));
  EXPECT_FALSE(shares("client.address", {.client = "192.0.2.7"}, {.client = "192.0.2.8"}));
}

TEST_F(Policies, KnowTheFieldsThatRulesLookAtOrSet) {
  const RuleBook& book = Book(
      "[{ match: { header.X-Role: admin, cookie.sid: { present: true } }, action: deny },\n"
      " { mode: off, match: { not: { referer: a } }, action: { set_header: { X-Tenant: b } } },\n"
      " { match: { header.x-role: c }, action: { limit: limit-0 } },\n"
      " { when: response, match: { response.header.x-kind: d }, action: { tag: e } }]",
      {"[client.address, header.X-Key]"});
  EXPECT_THAT(book.policy->ruled_fields(),
              ElementsAre("cookie", "referer", "x-key", "x-role", "x-tenant"));
}

TEST_F(Policies, GiveEveryKeyAParentOfTheAddressesAround) {
  MatchScratch scratch;
  const auto key = [&](const std::vector<FieldId>& parts, Sample sample, int prefix = 64) {
    const Asked asked(std::move(sample));
    return KeyFor({"x", parts, prefix}, {asked.request()}, 42, &scratch);
  };
  const FieldId address{.source = &source::kAddress};
  const FieldId path{.source = &source::kPath};
  const LimitKey one = key({address}, {.client = "192.0.2.7"});
  EXPECT_EQ(one.parent, key({address}, {.client = "192.0.2.8"}).parent);
  EXPECT_NE(one.hash, key({address}, {.client = "192.0.2.8"}).hash);
  EXPECT_NE(one.parent, key({address}, {.client = "192.0.3.7"}).parent);
  EXPECT_NE(one.parent, key({address, path}, {.client = "192.0.2.7"}).parent);
  const LimitKey six = key({address}, {.client = "2001:db8:1:2::1"});
  EXPECT_EQ(six.parent, key({address}, {.client = "2001:db8:1:3::1"}).parent);
  EXPECT_NE(six.parent, key({address}, {.client = "2001:db8:2:2::1"}).parent);
  EXPECT_EQ(key({address}, {.client = "2001:db8:1::1"}, 32).parent,
            key({address}, {.client = "2001:db8:2::1"}, 32).parent);
  EXPECT_EQ(key({path}, {.target = "/a"}).parent, key({path}, {.target = "/b"}).parent);
  EXPECT_NE(key({path}, {.target = "/a"}).hash, key({path}, {.target = "/b"}).hash);
}

TEST_F(Policies, StopAtTheMemoryForPatterns) {
  std::string rules;
  for (int i = 0; i < 300; ++i) {
    rules += "- { match: { path: { regex: '" + std::to_string(i) +
             "(abcdefghij){900}' } }, action: deny }\n";
  }
  RuleBook book(rules);
  EXPECT_TRUE(book.diagnostics.empty());
  EXPECT_EQ(book.policy, nullptr);
  EXPECT_THAT(book.error, ::testing::HasSubstr("more than 256 MiB"));
}

TEST_F(Policies, JudgeTheSameAfterAVerdictWasMovedFrom) {
  RuleBook& book = Book("[{ action: { redirect: { to: /a, keep_path: true } } }]");
  book.Judge({.target = "/b"});
  const Verdict moved = std::move(book.verdict);
  EXPECT_EQ(std::get<Redirect>(moved.action).location, "/a/b");
  EXPECT_EQ(std::get<Redirect>(book.Judge({.target = "/c"}).action).location, "/a/c");
  EXPECT_EQ(std::get<Redirect>(moved.action).location, "/a/b");
}

TEST_F(Policies, LeaveTheHeapAloneOnceWarm) {
  RuleBook& book = Book(R"(
- { match: { path: { prefix: /no, glob: '/**/x' } }, action: deny }
- { match: { user_agent: { contains: [curl, bot, spider], regex: ['a+b', 'c+d'] } }, action: deny }
- { match: { user_agent: { regex: 'iPhone.*Mobile' } }, action: { tag: phone } }
- { match: { any: [{ query.q: { contains: 'é' } }, { cookie.sid: { present: true } }] }, action: { tag: visitor } }
- { match: { not: { client.address: [10.0.0.0/8, 2001:db8::/32] } }, action: { limit: [limit-0, limit-1] } }
- { match: { referer: { host: '*.example.com' } }, action: { set_header: { X-From: us }, pool: other } }
- { mode: shadow, action: { limit: limit-0 } }
- { action: challenge }
- { match: { path: /go }, action: { redirect: { to: 'https://new.example', keep_path: true } } })",
                        {"[client.address, cookie.sid]", "path"});
  book.passes.holds = true;
  const Asked shop(
      {.target = "/shop/a%20b?q=caf%C3%A9&x=y",
       .headers = {{"User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0) Mobile/15E148"},
                   {"Referer", "https://a-rather-long-name.news.example.com/x"},
                   {"Cookie", "theme=dark; sid=0123456789abcdef0123456789abcdef"}}});
  const Asked go({.target = "/go?to=there", .headers = {{"User-Agent", "Mozilla/5.0"}}});
  const auto judge = [&] {
    book.now += 10s;
    book.JudgeRequest(shop.request());
    EXPECT_EQ(book.verdict.tags.size(), 2U);
    EXPECT_EQ(book.verdict.limits.size(), 2U);
    EXPECT_EQ(book.verdict.pool, 1U);
    book.JudgeRequest(go.request());
    EXPECT_EQ(book.verdict.action.index(), FinalAction(Redirect{}).index());
  };
  for (int i = 0; i < 3; ++i) judge();
  const std::uint64_t before = allocations.load();
  for (int i = 0; i < 1000; ++i) judge();
  EXPECT_EQ(allocations.load(), before);
}

}  // namespace
}  // namespace spillway
