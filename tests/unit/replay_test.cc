// SPDX-License-Identifier: MIT
#include "proxy/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "proxy/files.h"
#include "proxy/replay_command.h"
#include "proxy/replay_report.h"
#include "proxy/replay_run.h"
#include "proxy/time_order.h"
#include "tests/unit/temp_directory.h"

namespace spillway {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kPools[] = "version: 1\npools: { app: { servers: ['127.0.0.1:3000'] } }\n";

// A line of spillway's JSON, `at` milliseconds after noon.
std::string Line(int at, const std::string& path, const std::string& client = "192.0.2.7",
                 const std::string& more = "") {
  char time[64];
  std::snprintf(time, sizeof(time), "2026-07-01T12:%02d:%02d.%03dZ", at / 60000, at / 1000 % 60,
                at % 1000);
  return R"({"ts":")" + std::string(time) + R"(","client":")" + client +
         R"(","method":"GET","scheme":"https","host":"example.com","path":")" + path +
         R"(","protocol":"HTTP/1.1","status":200,"ua":"curl/8")" + more + "}\n";
}

// The same in the combined format, which has whole seconds.
std::string Combined(int second, const std::string& target, int status = 200) {
  char time[64];
  std::snprintf(time, sizeof(time), "[01/Jul/2026:12:00:%02d +0000]", second);
  return "192.0.2.7 - - " + std::string(time) + " \"GET " + target + " HTTP/1.1\" " +
         std::to_string(status) + " 5 \"-\" \"curl/8\"\n";
}

class ReplayTest : public testing::Test {
 protected:
  std::string File(std::string_view name, const std::string& text) {
    return directory_.Write(name, text);
  }
  std::string Rules(const std::string& text) { return File("site.yaml", kPools + text); }

  int Run(ReplayOrder order) {
    std::ostringstream out, err;
    const int code = RunReplay(order, {}, out, err);
    out_ = out.str();
    err_ = err.str();
    return code;
  }
  Json RunJson(ReplayOrder order) {
    order.json = true;
    EXPECT_EQ(Run(std::move(order)), 0) << err_;
    return ParseJson(out_).value_or(Json::object());
  }
  // The result for a rule of these rules.
  Json Rule(const std::string& rules, const std::string& log, std::size_t rule = 0) {
    return RunJson({.config = Rules(rules), .logs = {File("log", log)}})["result"]["rules"][rule];
  }

  const TempDirectory directory_;
  std::string out_, err_;
};

TEST_F(ReplayTest, CountsWhatEachRuleWouldHaveDone) {
  const Json json =
      RunJson({.config = Rules(R"(
rules:
  - { name: ok, match: { path: /ok }, action: allow }
  - { name: no, match: { path: { prefix: /no } }, action: deny }
  - { name: idea, mode: shadow, match: { user_agent: { prefix: curl } }, action: deny }
)"),
               .logs = {File("log", Line(0, "/ok") + Line(1, "/no") + Line(2, "/"))}});
  EXPECT_EQ(json["requests"], 3);
  EXPECT_EQ(json["from"], "2026-07-01T12:00:00Z");
  EXPECT_EQ(json["result"]["outcomes"]["forward"], 2);
  EXPECT_EQ(json["result"]["outcomes"]["deny"], 1);
  const Json& rules = json["result"]["rules"];
  EXPECT_EQ(rules[0]["ended"], 1);
  EXPECT_EQ(rules[1]["ended"], 1);
  EXPECT_EQ(rules[2]["matched"], 1);  // the others were ended before it
  EXPECT_EQ(rules[2]["ended"], 0);
  EXPECT_EQ(json["clients"][0]["client"], "192.0.2.7");
  EXPECT_EQ(json["clients"][0]["requests"], 1);
  EXPECT_EQ(json["user_agents"][0]["family"], "curl");
}

constexpr char kLimit[] = R"(
limits: { l: { key: client.address, rate: 1/s, burst: 2 } }
rules: [{ name: limit, action: { limit: l } }]
)";

TEST_F(ReplayTest, TheClockIsTheLogs) {
  EXPECT_EQ(Rule(kLimit, Line(0, "/") + Line(1, "/") + Line(2, "/"))["over_limit"], 1);
  EXPECT_EQ(Rule(kLimit, Line(0, "/") + Line(1, "/") + Line(1100, "/"))["over_limit"], 0);
}

TEST_F(ReplayTest, LinesAreJudgedInTheOrderOfTheirTimes) {
  // In the order of the file the third would come a second too early for the others.
  const std::string log = Line(2000, "/") + Line(2100, "/") + Line(0, "/") + Line(2200, "/");
  EXPECT_EQ(Rule(kLimit, log)["over_limit"], 1);
  const Json json = RunJson({.config = Rules(kLimit), .logs = {File("log", log)}});
  EXPECT_EQ(json["out_of_order"], 0);
}

TEST_F(ReplayTest, WhatComesTooLateToBePutInOrderIsJudgedAtTheTimeReachedAndSaid) {
  std::string log;
  for (std::size_t i = 0; i <= TimeOrder::kMost; ++i) log += Line(static_cast<int>(1000 + i), "/");
  log += Line(0, "/");
  const Json json = RunJson({.config = Rules(kLimit), .logs = {File("log", log)}});
  EXPECT_EQ(json["out_of_order"], 1);
  EXPECT_THAT(json["notes"].dump(), HasSubstr("1 line was too far out of order"));
}

TEST_F(ReplayTest, SeveralLogsAreOneInWhateverOrderTheyAreNamed) {
  const std::string early = File("a", Line(0, "/") + Line(10, "/") + Line(5000, "/"));
  const std::string late = File("b", Line(3000, "/") + Line(3010, "/") + Line(3020, "/"));
  for (const auto& logs : {std::vector{early, late}, std::vector{late, early}}) {
    const Json json = RunJson({.config = Rules(kLimit), .logs = logs});
    EXPECT_EQ(json["requests"], 6);
    EXPECT_EQ(json["out_of_order"], 0);
    EXPECT_EQ(json["result"]["rules"][0]["over_limit"], 1);
  }
}

TEST_F(ReplayTest, WhatTheFormatDoesNotHoldIsSaidAndNotGuessed) {
  const std::string rules =
      "rules: [{ name: host, match: { host: example.com }, action: deny }, "
      "{ name: lang, match: { header.accept-language: { absent: true } }, action: deny }]";
  const Json json = Rule(rules, Line(0, "/a"));
  EXPECT_EQ(json["ended"], 1);
  const Json combined = Rule(rules, Combined(0, "/a"));
  EXPECT_EQ(combined["matched"], 0);
  EXPECT_EQ(combined["undecided"], 1);
  EXPECT_EQ(combined["not_logged"]["host"], 1);
  EXPECT_EQ(Rule(rules, Combined(0, "/a"), 1)["not_logged"]["header.accept-language"], 1);
}

constexpr char kLogins[] = R"(
limits: { bad: { key: client.address, rate: 1/h, burst: 2 } }
rules:
  - { name: closed, match: { path: /login }, action: { limit: { name: bad, charge: false } } }
  - { name: failed, when: response, match: { path: /login, response.status: 401 }, action: { limit: bad } }
)";

std::string Said(int status) {
  return R"(,"decision":"forward","upstream_status":)" + std::to_string(status);
}

TEST_F(ReplayTest, JudgesWhatTheServerSaidAndWhatItChargesCountsAgainstLaterRequests) {
  std::string log;
  for (const int status : {401, 200, 401, 401, 401}) {
    log += Line(static_cast<int>(log.size()), "/login", "192.0.2.7", Said(status));
  }
  log += Line(9000, "/", "192.0.2.7", Said(401)) + Line(9001, "/login", "192.0.2.8", Said(401));
  const Json result = RunJson({.config = Rules(kLogins), .logs = {File("log", log)}})["result"];
  EXPECT_EQ(result["outcomes"]["limit"], 2);
  EXPECT_EQ(result["rules"][0]["over_limit"], 2);
  EXPECT_EQ(result["rules"][1]["when"], "response");
  EXPECT_EQ(result["rules"][1]["matched"], 3);  // what is refused now is not answered
  EXPECT_EQ(result["rules"][1]["undecided"], 0);
  EXPECT_EQ(result["unknown_answers"], 0);
}

TEST_F(ReplayTest, OfWhatWasRefusedThenItSaysThatTheAnswerIsNotKnown) {
  const std::string refused = R"(,"status":429,"decision":"limit","rule":"clients")";
  const std::string unanswered = R"(,"status":502,"decision":"forward","pool":"app")";
  const std::string log = Line(0, "/login", "192.0.2.7", refused) +
                          Line(1, "/", "192.0.2.7", refused) + Line(2, "/login", "192.0.2.7") +
                          Line(3, "/login", "192.0.2.7", unanswered) +
                          Line(4, "/login", "192.0.2.7", Said(101));
  const Json json = RunJson({.config = Rules(kLogins), .logs = {File("log", log)}});
  const Json& failed = json["result"]["rules"][1];
  EXPECT_EQ(failed["matched"], 0);
  EXPECT_EQ(failed["undecided"], 2);
  EXPECT_EQ(failed["not_logged"]["an answer (refused then)"], 1);
  EXPECT_EQ(failed["not_logged"]["an answer (perhaps refused then)"], 1);
  EXPECT_EQ(json["result"]["unknown_answers"], 2);
  EXPECT_EQ(json["result"]["behind_undecided"], 0);  // what became of them is sure
  EXPECT_THAT(json["notes"].dump(), HasSubstr("what servers said to 2 requests is not known: rules "
                                              "on responses charge nothing for it"));
}

TEST_F(ReplayTest, TheCombinedFormatTellsAnswersByTheStatusWhereThatIsNoProxys) {
  const std::string log = Combined(0, "/login", 401) + Combined(1, "/login", 403) +
                          Combined(2, "/login", 429) + Combined(3, "/login", 200) +
                          Combined(4, "/login", 401) + Combined(5, "/login", 401);
  const Json result = RunJson({.config = Rules(kLogins), .logs = {File("log", log)}})["result"];
  EXPECT_EQ(result["outcomes"]["limit"], 1);
  EXPECT_EQ(result["rules"][1]["matched"], 2);
  EXPECT_EQ(result["rules"][1]["not_logged"]["an answer (perhaps refused then)"], 2);
}

TEST_F(ReplayTest, FieldsOfAnswersAreNotLogged) {
  const std::string rules =
      "rules: [{ name: f, when: response, match: { response.header.x: y }, action: { tag: t } }]";
  const Json rule = Rule(rules, Line(0, "/", "192.0.2.7", Said(200)));
  EXPECT_EQ(rule["matched"], 0);
  EXPECT_EQ(rule["not_logged"]["response.header.x"], 1);
}

TEST_F(ReplayTest, AComparisonJudgesAnswersByBothConfigurations) {
  std::string log;
  for (int i = 0; i < 5; ++i) log += Line(i, "/login", "192.0.2.7", Said(401));
  const std::string before = File("before.yaml", std::string(kPools) + "rules: []\n");
  const Json json =
      RunJson({.config = Rules(kLogins), .against = before, .logs = {File("log", log)}});
  EXPECT_EQ(json["same"], 2);
  EXPECT_EQ(json["differences"][0]["requests"], 3);
  EXPECT_EQ(json["differences"][0]["after"]["rule"], "closed");
}

TEST_F(ReplayTest, TheHostCanBeSaidOfALogThatDoesNotHoldIt) {
  const std::string rules = "rules: [{ name: r, match: { host: shop.example.com }, action: deny }]";
  ReplayOrder order{.config = Rules(rules), .logs = {File("log", Combined(0, "/"))}};
  EXPECT_EQ(RunJson(order)["result"]["rules"][0]["undecided"], 1);
  order.host = "Shop.Example.com:443";
  EXPECT_EQ(RunJson(order)["result"]["rules"][0]["ended"], 1);
  order.host = "other.example.com";
  EXPECT_EQ(RunJson(order)["result"]["outcomes"]["forward"], 1);
  // What the log itself says counts.
  order = {
      .config = Rules(rules), .logs = {File("json", Line(0, "/"))}, .host = "shop.example.com"};
  EXPECT_EQ(RunJson(order)["result"]["outcomes"]["forward"], 1);
  order.host = "a b";
  EXPECT_EQ(Run(order), 2);
  EXPECT_THAT(err_, HasSubstr("--host: expected a host"));
}

TEST_F(ReplayTest, QueriesAreKnownWhenTheLogTellsThem) {
  const std::string rules = "rules: [{ name: q, match: { query.a: b }, action: deny }]";
  EXPECT_EQ(Rule(rules, Line(0, "/"))["undecided"], 1);
  // A line that has one comes later in the same log.
  const std::string some = Line(0, "/") + Line(1, "/", "192.0.2.7", R"(,"query":"a=b")");
  EXPECT_EQ(Rule(rules, some)["undecided"], 0);
  EXPECT_EQ(Rule(rules, some)["ended"], 1);
  EXPECT_EQ(Rule(rules, Combined(0, "/?a=b") + Combined(1, "/"))["ended"], 1);
  EXPECT_EQ(Rule(rules, Combined(0, "/?a=b") + Combined(1, "/"))["undecided"], 0);
  EXPECT_EQ(Rule(rules, Combined(0, "/"))["undecided"], 1);
}

TEST_F(ReplayTest, TogglesAndPassesCanBeSaid) {
  ReplayOrder order{.config = Rules(R"(
toggles: { surge: {} }
rules:
  - { name: t, toggle: surge, action: challenge }
)"),
                    .logs = {File("log", Line(0, "/"))}};
  const auto rule = [&] { return RunJson(order)["result"]["rules"][0]; };
  EXPECT_EQ(rule()["not_logged"], (Json{{"toggle surge", 1}}));
  order.toggles = {"surge=on"};
  EXPECT_EQ(rule()["not_logged"], (Json{{"a pass", 1}}));
  order.passes = "none";
  EXPECT_EQ(rule()["ended"], 1);
  order.passes = "all";
  EXPECT_EQ(rule()["ended"], 0);
  EXPECT_EQ(rule()["undecided"], 0);
  order.toggles = {"surge=off"};
  EXPECT_EQ(rule()["matched"], 0);
  order.toggles = {"surgr=on"};
  EXPECT_EQ(Run(order), 2);
  EXPECT_THAT(err_, HasSubstr("there is no toggle 'surgr'; expected surge"));
  order.toggles = {"surge"};
  EXPECT_EQ(Run(order), 2);
  EXPECT_THAT(err_, HasSubstr("expected NAME=on or NAME=off"));
}

TEST_F(ReplayTest, OfARobotItIsKnownOnlyThatABrowserIsNone) {
  const std::string rules =
      "rules: [{ name: r, match: { client.verified_bot: forged }, action: deny },"
      " { name: n, match: { client.verified_bot: none }, action: { tag: n } }]";
  const Json browser = Rule(rules, Combined(0, "/"), 0);
  EXPECT_EQ(browser["undecided"], 0);
  EXPECT_EQ(Rule(rules, Combined(0, "/"), 1)["matched"], 1);
  std::string robot = Combined(0, "/");
  robot.replace(robot.find("curl/8"), 6, "Googlebot/2.1");
  EXPECT_EQ(Rule(rules, robot, 0)["not_logged"]["client.verified_bot"], 1);
  EXPECT_EQ(Rule(rules, robot, 1)["matched"], 0);
}

TEST_F(ReplayTest, AgainstAnotherRuleSetItSaysWhatDiffersWithExamples) {
  const std::string old = File("old.yaml", kPools + std::string("rules: [{ name: a, match: { path: "
                                                                "/a }, action: deny }]"));
  const ReplayOrder order{
      .config = Rules("rules: [{ name: b, match: { path: [/a, /b] }, action: { respond: { status: "
                      "204 } } }, { name: lang, match: { path: /d, header.x: y }, action: deny }]"),
      .against = old,
      .logs = {File("log", Line(0, "/a") + Line(1, "/b") + Line(2, "/b") + Line(3, "/c") +
                               Line(4, "/b") + Line(5, "/b") + Line(6, "/d"))}};
  const Json json = RunJson(order);
  EXPECT_EQ(json["same"], 1);
  const Json& differences = json["differences"];
  ASSERT_EQ(differences.size(), 3u);
  EXPECT_EQ(differences[0]["requests"], 4);
  EXPECT_EQ(differences[0]["before"], (Json{{"action", "forward"}}));
  EXPECT_EQ(differences[0]["after"], (Json{{"action", "respond"}, {"rule", "b"}}));
  EXPECT_EQ(differences[0]["examples"].size(), Replay::kExamples);
  EXPECT_THAT(differences[0]["examples"][0].get<std::string>(),
              HasSubstr("log:2: 192.0.2.7 GET /b curl/8"));
  EXPECT_EQ(differences[2]["before"], (Json{{"action", "deny"}, {"rule", "a"}}));
  EXPECT_EQ(differences[1]["after"], (Json{{"action", "forward"}, {"undecided", "lang"}}));
  EXPECT_EQ(Run(order), 0);
  EXPECT_THAT(out_,
              AllOf(HasSubstr("6 requests (85.7%) would have gone otherwise"),
                    HasSubstr("-> respond b"), HasSubstr("-> perhaps deny lang, else forward")));
}

TEST_F(ReplayTest, LinesWithoutARequestAreToldApart) {
  const std::string log = Combined(0, "/") + "rubbish\n" +
                          "192.0.2.7 - - [01/Jul/2026:12:00:01 +0000] \"-\" 400 0 \"-\" \"-\"\n" +
                          Combined(2, "/a b", 400) + Combined(3, "/.spillway/challenge?x=1") +
                          Line(4000, "/x", "192.0.2.7", R"(,"decision":"bad_request")");
  const Json json = RunJson(
      {.config = Rules("rules: [{ name: all, action: deny }]"), .logs = {File("log", log)}});
  EXPECT_EQ(json["lines"], 6);
  EXPECT_EQ(json["requests"], 1);
  EXPECT_EQ(json["no_request"], 1);
  EXPECT_EQ(json["refused_before_rules"], 2);
  EXPECT_EQ(json["own_paths"], 1);
  EXPECT_EQ(json["logs"][0]["unreadable"], 1);
  EXPECT_THAT(json["unreadable"][0].get<std::string>(),
              HasSubstr("log:2: neither JSON nor the combined format"));
}

TEST_F(ReplayTest, ATargetIsReadAsARequestsAndANormalisedPathIsLeftAsItIs) {
  const std::string rules =
      "rules: [{ name: a, match: { path: /a b }, action: deny }, "
      "{ name: literal, match: { path: /a }, action: deny }]";
  EXPECT_EQ(Rule(rules, Combined(0, "/x/../a%20b"))["ended"], 1);
  EXPECT_EQ(Rule(rules, Combined(0, "/a b"))["ended"], 1);  // our own combined format
  EXPECT_EQ(Rule(rules, Line(0, "/a b"))["ended"], 1);
  EXPECT_EQ(Rule(rules, Combined(0, "/%61"), 1)["ended"], 1);
  EXPECT_EQ(Rule(rules, Line(0, "/%61"), 1)["ended"], 0);
}

TEST_F(ReplayTest, PathsThatAreRefusedAreRefusedHereToo) {
  const Json json = RunJson({.config = Rules("clients: { ambiguous_paths: refuse }\n"
                                             "rules: [{ name: all, action: { tag: x } }]"),
                             .logs = {File("log", Combined(0, "/a/../b") + Combined(1, "/b"))}});
  EXPECT_EQ(json["result"]["outcomes"]["bad_request"], 1);
  EXPECT_EQ(json["result"]["rules"][0]["matched"], 1);
}

TEST_F(ReplayTest, WhatIsNoAccessLogIsSaid) {
  const std::string site = Rules("rules: []");
  EXPECT_EQ(Run({.config = site, .logs = {File("log", "one\ntwo\n")}}), 1);
  EXPECT_THAT(err_, HasSubstr("log' is no access log: none of its first 2 lines can be read; line "
                              "1: neither JSON nor the combined format"));
  EXPECT_EQ(Run({.config = site, .logs = {site}}), 1);
  EXPECT_THAT(err_, HasSubstr("is no access log"));
  EXPECT_EQ(Run({.config = site, .logs = {directory_ / "none"}}), 1);
  EXPECT_THAT(err_, HasSubstr("No such file or directory"));
  EXPECT_EQ(Run({.config = directory_ / "none.yaml", .logs = {site}}), 1);
  EXPECT_THAT(err_, HasSubstr("none.yaml"));
  EXPECT_EQ(Run({.config = site, .logs = {File("empty", "")}}), 0);
  EXPECT_THAT(out_, HasSubstr("0 requests of 0 lines"));
}

TEST_F(ReplayTest, TheTextFitsEightyColumns) {
  std::string log;
  for (int i = 0; i < 300; ++i) {
    log += Line(i, i % 3 == 0 ? "/a/very/long/path/" + std::string(200, 'x') : "/",
                "2001:db8:1234:5678::" + std::to_string(i % 20));
  }
  const std::string long_name(64, 'n');
  const ReplayOrder order{
      .config =
          Rules("limits: { l: { key: client.address, rate: 1/s, burst: 2 } }\nrules: [{ name: " +
                long_name +
                ", match: { header.a-header-of-some-length: x }, action: challenge }, "
                "{ name: s, mode: shadow, action: { limit: l } }, "
                "{ name: lim, action: { limit: l } }]"),
      .against = File("old.yaml", kPools),
      .logs = {File("log", log)}};
  ASSERT_EQ(Run(order), 0) << err_;
  std::istringstream lines(out_);
  for (std::string line; std::getline(lines, line);) {
    // Rules are named in full where two are compared.
    if (line.find(long_name) != line.npos || line.find(directory_.path()) != line.npos) continue;
    EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST(TimeOrder, GivesTheEarliestAndKeepsTheOrderOfEquals) {
  TimeOrder order;
  for (const int second : {3, 1, 2, 1, 3}) {
    auto line = order.Spare();
    line->line.request.time = WallTime(std::chrono::seconds(second));
    line->number = static_cast<std::uint64_t>(order.size());
    order.Put(std::move(line));
  }
  std::vector<std::uint64_t> numbers;
  while (!order.empty()) {
    auto line = order.Take();
    numbers.push_back(line->number);
    order.GiveBack(std::move(line));
  }
  EXPECT_THAT(numbers, ElementsAre(1, 3, 2, 0, 4));
}

TEST(TimeOrder, IsFullByBytesToo) {
  TimeOrder order;
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(order.full());
    auto line = order.Spare();
    line->text.assign(TimeOrder::kMostBytes / 4, 'x');
    order.Put(std::move(line));
  }
  EXPECT_TRUE(order.full());
}

}  // namespace
}  // namespace spillway
