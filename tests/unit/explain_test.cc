// SPDX-License-Identifier: MIT
#include "proxy/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "proxy/json.h"
#include "tests/unit/fake_controls.h"

namespace spillway {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;

constexpr char kSite[] = R"(version: 1
pools: { app: { servers: ["127.0.0.1:3000"] } }
clients: { trusted_proxies: [10.0.0.0/8] }
toggles: { surge: { } }
limits: { few: { key: client.address, rate: 1/s, burst: 3 } }
rules:
  - { name: phones, toggle: surge, match: { user_agent: { contains: iPhone } }, action: challenge }
  - { name: gate, match: { path: /gate, host: www.example.com }, action: deny }
  - { name: mine, match: { client.address: 192.0.2.7 }, action: { tag: mine } }
  - { name: clients, action: { limit: few } }
  - { name: seen, match: { cookie.a: b, header.x-b: c, method: POST, scheme: https }, action: drop }
)";

class ExplainTest : public testing::Test {
 protected:
  ExplainTest() {
    auto config = LoadConfig("site.yaml", MemoryFiles({{"site.yaml", std::string(kSite)}}), {});
    if (config) config_ = std::move(*config);
  }
  std::string Said(const ExplainOrder& order, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out;
    const Result<void> told = Explain(order, config_, 1, WallTime(), in, out);
    return told ? out.str() : "usage: " + told.error().message;
  }
  std::vector<Json> Lines(const std::string& input) {
    std::istringstream said(Said({.jsonl = true}, input));
    std::vector<Json> lines;
    for (std::string line; std::getline(said, line);) lines.push_back(ParseJson(line).value());
    return lines;
  }
  Config config_;
};

TEST_F(ExplainTest, TellsEachRuleAndWhatEndsIt) {
  EXPECT_EQ(Said({.target = "/gate"}),
            "GET http://localhost/gate from 198.51.100.1; path /gate\n"
            "  off  phones (site.yaml:7): toggle surge is off\n"
            "  no   gate (site.yaml:8): host: www.example.com does not hold: host is 'localhost'\n"
            "  no   mine (site.yaml:9): client.address: 192.0.2.7 does not hold: client.address is "
            "'198.51.100.1'\n"
            "  yes  clients (site.yaml:10): limit few: 2 of 3 left\n"
            "  no   seen (site.yaml:11): method: POST does not hold: method is 'GET'\n"
            "forward to pool app: no rule ended it\n");
  EXPECT_EQ(Said({.target = "https://WWW.example.com:443/x/../gate?q#part"}),
            "GET https://WWW.example.com:443/x/../gate?q from 198.51.100.1; path /gate\n"
            "  off  phones (site.yaml:7): toggle surge is off\n"
            "  yes  gate (site.yaml:8): ends it: deny\n"
            "  ...  3 more rules are not tried\n"
            "deny with status 403 by rule gate (site.yaml:8)\n");
}

TEST_F(ExplainTest, IsToldWhatDnsSaysOfARobot) {
  auto config = LoadConfig(
      "site.yaml",
      MemoryFiles(
          {{"site.yaml",
            std::string(
                "version: 1\npools: { app: { servers: ['127.0.0.1:3000'] } }\n"
                "rules: [{ name: r, match: { client.verified_bot: forged }, action: deny }]\n")}}),
      {});
  ASSERT_TRUE(config);
  config_ = std::move(*config);
  EXPECT_EQ(Said({.target = "/", .user_agent = "Googlebot", .verified_bot = "forged"}),
            "GET http://localhost/ from 198.51.100.1; path /\n"
            "  yes  r (site.yaml:3): ends it: deny\n"
            "deny with status 403 by rule r (site.yaml:3)\n");
  EXPECT_THAT(Said({.target = "/", .user_agent = "Googlebot"}),
              HasSubstr("client.verified_bot is 'unknown'"));
  EXPECT_THAT(Said({.target = "/", .user_agent = "Firefox", .verified_bot = "forged"}),
              AllOf(HasSubstr("note: --verified-bot says nothing here: the user agent claims"),
                    EndsWith("no rule ended it\n")));
  EXPECT_THAT(Said({.target = "/", .verified_bot = "none"}), HasSubstr("usage: "));
  EXPECT_THAT(Said({.target = "/", .country = "Germany"}), HasSubstr("usage: "));
  EXPECT_THAT(Said({.target = "/", .network = "AS"}), HasSubstr("usage: "));
  const auto lines =
      Lines(R"({"headers": {"User-Agent": "Googlebot"}, "verified_bot": "forged", "country": "DE"})"
            "\n"
            R"({"headers": {"User-Agent": "Googlebot"}})"
            "\n");
  EXPECT_EQ(lines[0]["action"], "deny");
  EXPECT_EQ(lines[1]["action"], "forward");
}

TEST_F(ExplainTest, OfAProtectedVisitorNoChallengeIsAsked) {
  EXPECT_THAT(
      Said({.target = "/", .user_agent = "iPhone", .toggles = {"surge=on"}, .is_protected = true}),
      EndsWith("forward to pool app: no rule ended it\n"));
}

TEST_F(ExplainTest, ReadsARequestInEachWayThatItMayBeTyped) {
  const std::string drop = "drop by rule seen (site.yaml:11)\n";
  EXPECT_THAT(
      Said({.target = "https://a/", .method = "POST", .cookie = "a=b", .headers = {"X-B: c"}}),
      EndsWith(drop));
  EXPECT_THAT(
      Said(
          {.request = "POST / HTTP/1.0", .cookie = "a=b", .scheme = "https", .headers = {"x-b:c"}}),
      EndsWith(drop));
  EXPECT_THAT(Said({.scheme = "https"}, "POST / HTTP/1.1\nHost: a\nCookie: a=b\nX-B: c\n"),
              EndsWith(drop));
  EXPECT_THAT(
      Said({.scheme = "https"}, "POST / HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nX-B: c\r\n\r\nbody"),
      EndsWith(drop));
  EXPECT_THAT(Said({.target = "/", .user_agent = "iPhone", .toggles = {"surge=on"}}),
              EndsWith("challenge by rule phones (site.yaml:7)\n"));
  EXPECT_THAT(
      Said({.target = "/", .user_agent = "iPhone", .toggles = {"surge=on"}, .pass = true}),
      HasSubstr(
          "yes  phones (site.yaml:7): the client has passed its challenge, or is protected\n"));
}

TEST_F(ExplainTest, AsksATrustedProxyForWhomItAsks) {
  const std::string mine = "yes  mine (site.yaml:9): tag mine\n";
  EXPECT_THAT(Said({.target = "/", .client_address = "192.0.2.7"}), HasSubstr(mine));
  EXPECT_THAT(
      Said(
          {.target = "/", .client_address = "10.0.0.1", .headers = {"X-Forwarded-For: 192.0.2.7"}}),
      HasSubstr(mine));
  EXPECT_THAT(Said({.target = "/",
                    .client_address = "203.0.113.1",
                    .headers = {"X-Forwarded-For: 192.0.2.7"}}),
              testing::Not(HasSubstr(mine)));
}

TEST_F(ExplainTest, WhatNoRuleSeesIsAnsweredBefore) {
  EXPECT_EQ(Said({}, "GET / HTTP/1.1\nHost: a\nHost: b\n"),
            "answered before any rule with 400, since more than one Host field\n");
  EXPECT_THAT(Said({.target = "/%00"}), HasSubstr("answered before any rule with 400, since "));
}

TEST_F(ExplainTest, WhatIsTypedWronglyIsUsage) {
  const ExplainOrder kOrders[] = {{.request = "GET"},
                                  {.target = "/", .headers = {"no colon"}},
                                  {.target = "/", .client_address = "nobody"},
                                  {.target = "/", .toggles = {"surgee=on"}},
                                  {.target = "/", .toggles = {"surge=maybe"}},
                                  {.target = "ftp://example.com/"},
                                  {}};
  for (const ExplainOrder& order : kOrders) EXPECT_THAT(Said(order), HasSubstr("usage: "));
  EXPECT_THAT(Said({.target = "/", .toggles = {"surgee=on"}}), HasSubstr("did you mean 'surge'?"));
}

TEST_F(ExplainTest, TerminalsAreNotTrustedWithWhatARequestHolds) {
  const std::string said = Said({.target = "/gate", .headers = {"Host: a\x1b[31m"}});
  EXPECT_EQ(said.find('\x1b'), std::string::npos);
}

TEST_F(ExplainTest, JudgesLinesInTheirOrder) {
  const std::vector<Json> lines = Lines(
      R"({"id":1,"path":"/gate","host":"www.example.com"})"
      "\n"
      R"({"id":"two","path":"/gate","headers":{"Host":"www.example.com"},"time":12})"
      "\r\n\n"
      R"({"id":[3],"method":"POST","scheme":"https","headers":{"cookie":"a=b","X-B":["d","c"]}})"
      "\n"
      R"({"client_ip":"192.0.2.9"})");
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(DumpJson(lines[0]), R"({"id":1,"action":"deny","rule":"gate"})");
  EXPECT_EQ(DumpJson(lines[1]), R"({"id":"two","action":"deny","rule":"gate"})");
  EXPECT_EQ(DumpJson(lines[2]), R"({"id":[3],"action":"drop","rule":"seen"})");
  EXPECT_EQ(DumpJson(lines[3]), R"({"action":"forward","rule":null})");
}

TEST_F(ExplainTest, ALineThatIsWrongIsToldAndTheNextIsJudged) {
  const std::string good = R"({"id":9})";
  const std::string kWrong[] = {"nonsense",
                                "[1]",
                                R"({"id":1,"method":5})",
                                R"({"id":1,"method":"G T"})",
                                R"({"id":1,"path":"/a\nb"})",
                                R"({"id":1,"path":"gate"})",
                                R"({"id":1,"client_ip":"me"})",
                                R"({"id":1,"headers":[]})",
                                R"({"id":1,"headers":{"a b":"c"}})",
                                R"({"id":1,"headers":{"a":1}})",
                                R"({"id":1,"headers":{"a":[["b"]]}})",
                                R"({"id":1,"headers":{"a":"b\u0000"}})",
                                "\"" + std::string(kMostLine, 'x') + "\""};
  for (const std::string& wrong : kWrong) {
    const std::vector<Json> lines = Lines(wrong + "\n" + good + "\n");
    ASSERT_EQ(lines.size(), 2u) << wrong.substr(0, 80);
    EXPECT_FALSE(TextAt(lines[0], "error").empty()) << wrong.substr(0, 80);
    EXPECT_EQ(DumpJson(lines[1]), R"({"id":9,"action":"forward","rule":null})");
  }
}

// However many come, nobody is told that a limit is used up: each is judged by itself.
TEST_F(ExplainTest, LinesDoNotUseUpLimits) {
  std::string input;
  for (int i = 0; i < 2000; ++i) input += "{\"client_ip\":\"192.0.2.7\"}\n";
  for (const Json& line : Lines(input)) ASSERT_EQ(TextAt(line, "action"), "forward");
}

TEST_F(ExplainTest, WhatOnlyARunningServerKnowsIsNotKnownHere) {
  const auto told = [](const std::string& match, const std::string& more = "") {
    const std::string site = "version: 1\npools: { app: { servers: ['127.0.0.1:3000'] } }\n" +
                             more + "rules: [{ name: r, match: { " + match +
                             " }, action: deny }]\n";
    const auto config = LoadConfig("site.yaml", MemoryFiles({{"site.yaml", site}}), {});
    if (!config) return Format(config.error());
    std::istringstream in;
    std::ostringstream out;
    const Result<void> done = Explain({.target = "/"}, *config, 1, WallTime(), in, out);
    return done ? out.str() : done.error().message;
  };
  for (const char* fact : {"in_flight: { above: 1 }", "queue: { above: 1 }",
                           "utilisation: { above: 50% }", "servers_up: { below: 50% }"}) {
    EXPECT_THAT(told("pool.app." + std::string(fact)), HasSubstr("does not hold: not known here\n"))
        << fact;
  }
  EXPECT_THAT(told("client.country: DE", "geo: { country_file: c.mmdb }\n"),
              HasSubstr("does not hold: not known here\n"));
  EXPECT_THAT(told("header.x: y"), HasSubstr("does not hold: there is none\n"));
}

}  // namespace
}  // namespace spillway
