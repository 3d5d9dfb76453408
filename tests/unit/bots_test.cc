// SPDX-License-Identifier: MIT
// Robots: who claims to be one, what the condition makes of what DNS said, and how they are written.
#include "spillway/bots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config_text.h"
#include "rule_book.h"
#include "spillway/rule_test.h"

namespace spillway {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kGooglebot[] =
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

const BotConfig* Claimed(std::string_view user_agent) {
  const std::vector<HeaderField> headers = {{"User-Agent", user_agent}};
  Request request;
  request.headers = headers;
  return ClaimedBot(BuiltInBots(), request);
}

TEST(Bots, AreClaimedByAnyOfTheirTextsWithoutCase) {
  for (const char* text : {kGooglebot, "googlebot", "x GOOGLEBOT-Image/1.0", "AdsBot-Google"}) {
    ASSERT_NE(Claimed(text), nullptr) << text;
    EXPECT_EQ(Claimed(text)->name, "googlebot") << text;
  }
  for (const char* text : {"", "Mozilla/5.0 (X11; Linux x86_64)", "Google bot", "Googlebo"}) {
    EXPECT_EQ(Claimed(text), nullptr) << text;
  }
}

TEST(Bots, HaveNamesBelowTheirDomainsAndNoOthers) {
  const std::vector<std::string> domains = {"googlebot.com", "search.msn.com"};
  for (const char* name : {"crawl-66-249-66-1.googlebot.com", "CRAWL.GoogleBot.COM.",
                           "googlebot.com", "msnbot-1.search.msn.com"}) {
    EXPECT_TRUE(IsNameOf(name, domains)) << name;
  }
  for (const char* name : {"evilgooglebot.com", "googlebot.com.evil.test", "msn.com", "", ".",
                           "a\\.googlebot.com", "a b.googlebot.com"}) {
    EXPECT_FALSE(IsNameOf(name, domains)) << name;
  }
}

// Whoever rents a machine from Google has a name below googleusercontent.com that is confirmed.
TEST(Bots, NobodyIsGooglebotForRentingAMachineOfGoogle) {
  EXPECT_FALSE(IsNameOf("1.2.0.192.bc.googleusercontent.com", Claimed("Googlebot")->domains));
}

class Told : public Surroundings {
 public:
  std::optional<BotCheck> VerifiedBot(const Request& request) const override {
    ++asked;
    return ClaimedBot(BuiltInBots(), request) == nullptr ? BotCheck::kNone : check;
  }
  BotCheck check = BotCheck::kYes;
  mutable int asked = 0;
};

RuleScope Known() {
  RuleScope scope;
  scope.bots.assign(BuiltInBots().begin(), BuiltInBots().end());
  scope.lists["good"] = {{"yes", "none"}, {}};
  return scope;
}

// What the condition says of a robot of which DNS said this; kNone: of a browser.
bool Holds(const std::string& test, BotCheck check) {
  RuleBook book("- { match: { client.verified_bot: " + test + " }, action: deny }", Known());
  EXPECT_THAT(book.diagnostics, IsEmpty()) << test << Format(book.diagnostics);
  Told told;
  told.check = check;
  book.surroundings = &told;
  const char* const agent = check == BotCheck::kNone ? "Mozilla/5.0 (X11)" : kGooglebot;
  return book.Action({.headers = {{"User-Agent", agent}}}) == "deny";
}

TEST(VerifiedBot, IsOneOfFourWords) {
  const struct {
    const char* test;
    bool yes, forged, unknown, none;
  } kTable[] = {{"yes", true, false, false, false},
                {"forged", false, true, false, false},
                {"unknown", false, false, true, false},
                {"none", false, false, false, true},
                {"[yes, none]", true, false, false, true},
                {"$good", true, false, false, true},
                {"[forged, unknown]", false, true, true, false},
                {"[yes, forged, unknown, none]", true, true, true, true},
                {"{ not: yes }", false, true, true, true},
                {"{ not: [none, unknown] }", true, true, false, false},
                {"{ not: { not: forged } }", false, true, false, false}};
  for (const auto& row : kTable) {
    EXPECT_EQ(Holds(row.test, BotCheck::kYes), row.yes) << row.test;
    EXPECT_EQ(Holds(row.test, BotCheck::kForged), row.forged) << row.test;
    EXPECT_EQ(Holds(row.test, BotCheck::kUnknown), row.unknown) << row.test;
    EXPECT_EQ(Holds(row.test, BotCheck::kNone), row.none) << row.test;
  }
}

TEST(VerifiedBot, IsAskedOfDnsOnlyForWhoClaimsToBeOneAndAfterAllElse) {
  RuleBook book(
      "- { match: { client.verified_bot: [forged, none], user_agent: { regex: 'bot.*html' }, path: "
      "/a },"
      " action: deny }",
      Known());
  Told told;
  book.surroundings = &told;
  book.Judge({.target = "/a", .headers = {{"User-Agent", "Mozilla/5.0 (X11) bot.html"}}});
  book.Judge({.target = "/b", .headers = {{"User-Agent", kGooglebot}}});
  book.Judge({.target = "/a", .headers = {{"User-Agent", "Googlebot"}}});
  EXPECT_EQ(told.asked, 0);
  book.Judge({.target = "/a", .headers = {{"User-Agent", kGooglebot}}});
  EXPECT_EQ(told.asked, 1);
}

TEST(VerifiedBot, OfWhichNothingIsKnownSatisfiesNoConditionButNone) {
  for (const char* test : {"yes", "forged", "unknown"}) {
    RuleBook book("- { match: { client.verified_bot: " + std::string(test) + " }, action: deny }",
                  Known());
    EXPECT_EQ(book.Action({.headers = {{"User-Agent", kGooglebot}}}), "forward") << test;
  }
}

TEST(VerifiedBot, TeachesWhatIsLegal) {
  for (const auto& [test, says] : std::vector<std::pair<std::string, std::string>>{
           {"no", "unknown word 'no'; expected one of yes, forged, unknown, none"},
           {"{ prefix: y }", "expected yes, forged, unknown, none, a list of these, or { not"},
           {"[]", "the list is empty"}}) {
    RuleBook book("- { match: { client.verified_bot: " + test + " }, action: deny }", Known());
    EXPECT_THAT(Format(book.diagnostics), HasSubstr(says)) << test;
  }
}

// --- the section

Result<BotsConfig> Load(const std::string& bots) {
  const auto config = LoadText(std::string(kTwoLines) + "bots: " + bots + "\n");
  if (!config) return Fail(Format(config.error()));
  return config->bots;
}

TEST(BotsSection, AddsToThoseThatAreBuiltInOrReplacesThem) {
  const auto bots = Load(
      "{ nameservers: [192.0.2.1, '[2001:db8::1]:5353', 2001:db8::2],"
      " known: { mine: { user_agent: MyBot, domains: Crawl.Example.com },"
      " bingbot: { user_agent: [bingbot, other], domains: [example.net, example.org] } } }");
  ASSERT_TRUE(bots) << bots.error().message;
  EXPECT_THAT(bots->nameservers,
              testing::ElementsAre("192.0.2.1:53", "[2001:db8::1]:5353", "[2001:db8::2]:53"));
  ASSERT_EQ(bots->known.size(), BuiltInBots().size() + 1);
  EXPECT_EQ(bots->known[0].name, "mine");
  EXPECT_THAT(bots->known[0].domains, testing::ElementsAre("crawl.example.com"));
  EXPECT_EQ(bots->known[1].name, "bingbot");
  EXPECT_THAT(bots->known[1].domains, testing::ElementsAre("example.net", "example.org"));
  EXPECT_NE(bots->known[0].mark, bots->known[1].mark);
  EXPECT_EQ(bots->known[2].name, "googlebot");
}

TEST(BotsSection, TeachesWhatIsLegal) {
  for (const auto& [text, says] : std::vector<std::pair<std::string, std::string>>{
           {"{ nameservers: dns.example.com }", "expected the address of a name server"},
           {"{ nameservers: '192.0.2.1:0' }", "expected the address of a name server"},
           {"{ known: { a: { user_agent: A } } }", "domains"},
           {"{ known: { a: { domains: a.test } } }", "user_agent"},
           {"{ known: { a: { user_agent: '', domains: a.test } } }", "user_agent"},
           {"{ known: { a: { user_agent: [], domains: a.test } } }", "the list is empty"},
           {"{ known: { a: { user_agent: A, domains: [] } } }", "the list is empty"},
           {"{ known: { a: { user_agent: A, domains: com } } }", "expected a domain"},
           {"{ known: { a: { user_agent: A, domains: '*.a.test' } } }", "expected a domain"},
           {"{ known: { a: { user_agent: A, domains: .a.test } } }", "expected a domain"},
           {"{ known: { a: { user_agent: A, domains: 192.0.2.1 } } }", "expected a domain"}}) {
    const auto bots = Load(text);
    ASSERT_FALSE(bots) << text;
    EXPECT_THAT(bots.error().message, HasSubstr(says)) << text;
  }
}

TEST(BotsSection, HasAtMostAHundredOfThem) {
  const auto make = [](int count) {
    std::string known;
    for (int i = 0; i < count; ++i)
      known += "b" + std::to_string(i) + ": { user_agent: B, domains: b.test }, ";
    return "{ known: { " + known + "} }";
  };
  EXPECT_TRUE(Load(make(100)));
  const auto more = Load(make(101));
  ASSERT_FALSE(more);
  EXPECT_THAT(more.error().message, HasSubstr("there are more than 100 robots"));
}

// --- in tests of rules

TEST(RuleTestsOfBots, SayWhatDnsSays) {
  const std::string rules =
      "rules:\n"
      "  - { name: forged, match: { client.verified_bot: forged }, action: deny }\n"
      "  - { name: good, match: { client.verified_bot: yes }, action: allow }\n";
  const auto config =
      LoadText(std::string(kTwoLines) + rules +
               "tests:\n"
               "  - { name: a, request: { user_agent: Googlebot, client.verified_bot: yes },"
               " expect: { action: allow, rule: good } }\n"
               "  - { name: b, request: { user_agent: Googlebot,"
               " client.verified_bot: forged }, expect: { action: deny } }\n"
               "  - { name: c, request: { user_agent: Googlebot },"
               " expect: { action: forward } }\n"
               "  - { name: d, request: { user_agent: curl,"
               " client.verified_bot: forged }, expect: { action: forward } }\n");
  ASSERT_TRUE(config) << Format(config.error());
  EXPECT_THAT(RunRuleTests(*config), IsEmpty()) << Format(RunRuleTests(*config));
}

}  // namespace
}  // namespace spillway
