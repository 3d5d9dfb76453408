// SPDX-License-Identifier: MIT
#include "proxy/receipt_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/fake_controls.h"

namespace spillway {
namespace {

using testing::HasSubstr;
using testing::Not;
using Text = Receipt::Text;

constexpr char kSite[] = R"(version: 1
pools: { app: { servers: ["127.0.0.1:3000"] } }
toggles: { surge: { }, quiet: { } }
limits: { few: { key: client.address, rate: 1/s, burst: 3 } }
rules:
  - { name: phones, toggle: surge, match: { user_agent: { contains: iPhone } }, action: challenge }
  - { name: late, toggle: quiet, action: deny }
  - { name: secret, match: { header.x-secret: b }, action: deny }
  - { name: gate, match: { path: /gate, host: www.example.com }, action: deny }
  - { name: asked, match: { query.a: b }, action: deny }
  - { name: clients, action: { limit: few } }
  - { name: rest, action: deny }
)";

class ReceiptViewTest : public testing::Test {
 protected:
  Receipt& Refuse() {
    Receipt& receipt = server_.receipts_.Add("0123");
    receipt.when = 1767225600LL * 1'000'000'000;
    receipt.generation = 3;
    receipt.rule = 5;
    receipt.status = 429;
    receipt.decision = Decision::kLimit;
    receipt.https = true;
    receipt.protocol = {'H', 'T', 'T', 'P', '/', '1', '.', '1'};
    receipt.Set(Text::kClient, "192.0.2.7");
    receipt.Set(Text::kRule, "clients");
    receipt.Set(Text::kPlace, "site.yaml:11");
    receipt.Set(Text::kLimit, "few");
    receipt.Set(Text::kMethod, "GET");
    receipt.Set(Text::kHost, "example.com");
    receipt.Set(Text::kPath, "/gate");
    receipt.SetLimits(std::vector<LimitOutcome>{{0, {false, false, 0, 250ms, 3s}}});
    receipt.SetMatches(std::vector<RuleMatch>{{0, false, false}, {5, false, true}});
    receipt.toggles[0] = true;
    receipt.toggles[1] = false;
    receipt.toggles_size = 2;
    return receipt;
  }
  Json View() { return ViewReceipt(server_, *server_.receipts_.Find("0123")); }

  FakeControls server_{kSite};
};

TEST_F(ReceiptViewTest, TellsWhatARuleWasToldOfARobot) {
  Receipt& receipt = Refuse();
  receipt.Set(Text::kUserAgent, "Googlebot");
  EXPECT_EQ(View()["request"]["verified_bot"], nullptr);
  receipt.told_bot = static_cast<std::uint8_t>(BotCheck::kForged) + 1;
  EXPECT_EQ(View()["request"]["verified_bot"], "forged");
  EXPECT_THAT(FormatReceipt(View()), HasSubstr("verified robot: forged\n"));
}

TEST_F(ReceiptViewTest, TellsTheRequestTheVerdictAndEveryRule) {
  Refuse().Set(Text::kUserAgent, "iPhone\x1b[2J");
  EXPECT_EQ(
      FormatReceipt(View()),
      "2026-01-01T00:00:00Z GET https://example.com/gate from 192.0.2.7\n"
      "user agent: iPhone?[2J\n"
      "limit few by client.address: used up; the next one passes after 0.25 s\n"
      "toggles on: surge\n"
      "the client held a pass\n"
      "  yes  phones (site.yaml:6): the client has passed its challenge, or is protected\n"
      "  off  late (site.yaml:7): toggle quiet is off\n"
      "  no   secret (site.yaml:8): header.x-secret: b: cannot be told, header.x-secret is not "
      "kept\n"
      "  no   gate (site.yaml:9): host: www.example.com does not hold: host is 'example.com'\n"
      "  no   asked (site.yaml:10): query.a: b does not hold: there is none\n"
      "  yes  clients (site.yaml:11): ends it: limit; limit few is used up\n"
      "  ...  1 more rule is not tried\n"
      "limit with status 429 by rule clients (site.yaml:11)\n");
}

TEST_F(ReceiptViewTest, DoesNotJudgeByWhatWasCut) {
  Refuse().Set(Text::kQuery, std::string(1000, 'q') + "&a=b");
  const std::string told = FormatReceipt(View());
  EXPECT_THAT(told, HasSubstr("not kept whole: query\n"));
  EXPECT_THAT(told, HasSubstr("query.a: b: cannot be told, query was cut\n"));
}

TEST_F(ReceiptViewTest, SaysThatARuleFailedByWhatIsNotKept) {
  Receipt& receipt = Refuse();
  receipt.Set(Text::kUserAgent, "iPhone");  // it holds now, but did not then
  receipt.matches_size = 1;
  receipt.matches[0] = 5;
  const Json view = View();
  EXPECT_EQ(view["pass"], "not asked");
  EXPECT_EQ(view["trace"][0]["says"], "no");
  EXPECT_EQ(view["trace"][0]["why"], "by something that is not kept");
}

TEST_F(ReceiptViewTest, TellsTheRecordedDecisionAloneWhenTheRulesAreGone) {
  Refuse().generation = 2;
  const Json view = View();
  EXPECT_TRUE(view["trace"].is_null());
  EXPECT_TRUE(view["toggles_on"].is_null());
  EXPECT_EQ(view["rule"]["name"], "clients");
  EXPECT_EQ(view["limits"][0]["name"], "few");
  EXPECT_THAT(view["note"].get<std::string>(), HasSubstr("the rules of generation 2 are gone"));
  const std::string told = FormatReceipt(view);
  EXPECT_THAT(told, HasSubstr("limit few: used up"));
  EXPECT_THAT(told, HasSubstr("limit with status 429 by rule clients (site.yaml:11)\n"));
  EXPECT_THAT(told, Not(HasSubstr("  no ")));
}

}  // namespace
}  // namespace spillway
