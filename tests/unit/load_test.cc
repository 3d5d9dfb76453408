// SPDX-License-Identifier: MIT
// The loader as a whole. What each bad file says is compared in config_golden_test.cc; here stands
// what good ones come to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <set>

#include "config_text.h"

namespace spillway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(LoadConfig, FillsInTheRestOfTwoLines) {
  Config config = Loaded(LoadText(kTwoLines));
  EXPECT_EQ(config.file, "f.yaml");
  ASSERT_EQ(config.listeners.size(), 1u);
  EXPECT_EQ(config.listeners[0].address.text, ":8080");
  EXPECT_EQ(config.listeners[0].address.port, 8080);
  ASSERT_TRUE(config.admin.address.has_value());
  EXPECT_EQ(config.admin.address->text, "127.0.0.1:9901");
  EXPECT_EQ(config.pools[0].name, "app");
  EXPECT_EQ(config.pools[0].servers[0].address.text, "127.0.0.1:3000");
  EXPECT_NE(config.policy, nullptr);
}

TEST(LoadConfig, ReadsEveryKeyOfTheFullFile) {
  Config c = Loaded(LoadConfig("good/full.yaml", FilesUnder("good"), {}));
  EXPECT_EQ(c.workers, 4u);
  EXPECT_EQ(c.access_log,
            (AccessLogConfig{AccessLogConfig::Format::kCombined, "good/logs/access.log", true}));
  EXPECT_EQ(c.log_level, LogLevel::kDebug);
  EXPECT_EQ(c.state_file, "good/state");
  EXPECT_EQ(c.shutdown.timeout, 90s);
  ASSERT_EQ(c.listeners.size(), 4u);
  EXPECT_TRUE(c.listeners[1].proxy_protocol);
  EXPECT_EQ(c.listeners[1].tls->min_version, TlsVersion::k1_3);
  EXPECT_EQ(c.listeners[2].tls->certificates[0].certificate, "/etc/a.crt");
  EXPECT_EQ(c.listeners[2].tls->certificates[1].key, "good/b.key");
  EXPECT_EQ(c.listeners[2].tls->min_version, TlsVersion::k1_3);
  EXPECT_EQ(c.listeners[3].address.form, SocketAddress::Form::kUnix);
  EXPECT_EQ(c.admin.token_file, "good/admin.token");
  ASSERT_EQ(c.clients.trusted_proxies.size(), 3u);
  EXPECT_EQ(c.clients.trusted_proxies[2].ToString(), "0.0.0.0/0");
  EXPECT_EQ(c.clients.address_header, "cf-connecting-ip");
  EXPECT_EQ(c.clients.sizes.body.count, 10'000'000u);
  ASSERT_EQ(c.pools.size(), 2u);
  const PoolConfig& app = c.pools[0];
  EXPECT_EQ(app.servers[1].weight, 2u);
  EXPECT_EQ(app.servers[1].address.form, SocketAddress::Form::kName);
  EXPECT_TRUE(app.servers[2].backup);
  EXPECT_EQ(app.balance, Balance::kHash);
  EXPECT_EQ(app.hash_key, (HashKey{HashKey::Of::kHeader, "x-session", "header.x-session"}));
  EXPECT_EQ(app.health_check->path, "/healthz?deep=1");
  EXPECT_THAT(app.errors.hide, ElementsAre(500, 502));
  EXPECT_EQ(app.errors.page, "<h1>Sorry</h1>\n");
  EXPECT_EQ(c.pools[1].servers.size(), 1u);
  ASSERT_EQ(c.toggles.size(), 4u);
  EXPECT_TRUE(c.toggles[0].initial);
  EXPECT_EQ(c.toggles[0].signal, SIGUSR1);
  EXPECT_EQ(c.toggles[0].file, "good/toggles/surge");
  EXPECT_EQ(c.toggles[1].signal, SIGRTMIN + 3);
  EXPECT_EQ(c.toggles[3].name, "plainer");
  EXPECT_EQ(c.challenge.defaults.kind, ChallengeKind::kRefresh);
  EXPECT_EQ(c.challenge.key_file, "good/challenge.key");
}

TEST(LoadConfig, GivesALimitWithoutBurstItsRatesNumber) {
  Config c = Loaded(LoadConfig("good/full.yaml", FilesUnder("good"), {}));
  ASSERT_EQ(c.policy->limits().size(), 3u);
  EXPECT_EQ(c.policy->limits()[0].spec.burst, 40u);
  EXPECT_EQ(c.policy->limits()[1].name, "login");
  EXPECT_EQ(c.policy->limits()[1].key, "client.address,path");
  EXPECT_EQ(c.policy->limits()[1].spec.burst, 5u);
  EXPECT_EQ(c.policy->limits()[2].name, "per-path");
}

TEST(LoadConfig, PutsIncludedRulesFirstWhenIncludeIsWrittenFirst) {
  Config c = Loaded(LoadConfig(
      "f.yaml",
      MemoryFiles({{"f.yaml", std::string(kTwoLines) +
                                  "include: r.d/*.yaml\nrules: [{ name: own, action: allow }]\n"},
                   {"r.d/2.yaml", "rules: [{ name: two, action: allow }]"},
                   {"r.d/1.yaml", "rules: [{ name: one, action: allow }]"}}),
      {}));
  ASSERT_NE(c.policy, nullptr);
  std::vector<std::string> names;
  for (const RuleInfo& rule : c.policy->rules()) names.push_back(rule.name);
  EXPECT_THAT(names, ElementsAre("one", "two", "own"));
}

TEST(LoadConfig, ReadsWhatIncludedFilesIncludeEachOnceInFileNameOrder) {
  const std::string rule = "rules: [{ action: allow, name: ";
  Config c = Loaded(LoadConfig(
      "etc/f.yaml",
      MemoryFiles({{"etc/f.yaml", std::string(kTwoLines) + "include: stances/siege.yaml\n"},
                   {"etc/stances/siege.yaml",
                    "include: [guarded.yaml, ../rules.d/9.yaml, ../rules.d/1.yaml]\n"},
                   {"etc/stances/guarded.yaml",
                    "include: [../rules.d/1.yaml, ../rules.d/5.yaml]\n" + rule + "g }]\n"},
                   {"etc/rules.d/1.yaml", rule + "one }]"},
                   {"etc/rules.d/5.yaml", rule + "five }]"},
                   {"etc/rules.d/9.yaml", rule + "nine }]"}}),
      {}));
  ASSERT_NE(c.policy, nullptr);
  std::vector<std::string> names;
  for (const RuleInfo& info : c.policy->rules()) names.push_back(info.name);
  EXPECT_THAT(names, ElementsAre("one", "five", "nine", "g"));
}

TEST(LoadConfig, SaysWhichFilesIncludeThemselves) {
  EXPECT_THAT(
      Errors(LoadConfig("f.yaml",
                        MemoryFiles({{"f.yaml", std::string(kTwoLines) + "include: a.yaml\n"},
                                     {"a.yaml", "include: [a.yaml, b.yaml]\n"},
                                     {"b.yaml", "include: f.yaml\n"}}),
                        {})),
      AllOf(
          HasSubstr("a.yaml:1:11: include[0]: the file 'a.yaml' includes itself\n"),
          HasSubstr("b.yaml:1:10: include: the file 'f.yaml' includes itself by way of others\n")));
  std::map<std::string, std::string> chain = {{"f.yaml", std::string(kTwoLines) + "include: 1\n"}};
  for (int i = 1; i <= 20; ++i) chain[std::to_string(i)] = "include: " + std::to_string(i + 1);
  EXPECT_THAT(Errors(LoadConfig("f.yaml", MemoryFiles(chain), {})),
              HasSubstr("files include one another more than 16 deep"));
}

TEST(LoadConfig, PutsIncludedRulesAfterItsOwnInFileNameOrder) {
  Config c = Loaded(LoadConfig("good/full.yaml", FilesUnder("good"), {}));
  std::vector<std::string> rules;
  for (const RuleInfo& rule : c.policy->rules()) rules.push_back(rule.name + " " + rule.place);
  EXPECT_THAT(rules, ElementsAre("office good/full.yaml:68", "first good/parts/10-first.yaml:4",
                                 "second good/parts/20-second.yaml:4"));
}

TEST(LoadConfig, ReadsOffAsNothing) {
  Config c = Loaded(LoadText(std::string(kTwoLines) + "admin: off\naccess_log: off\n"));
  EXPECT_FALSE(c.admin.address.has_value());
  EXPECT_EQ(c.access_log.format, AccessLogConfig::Format::kOff);
}

TEST(LoadConfig, DigestsEveryFileThatWasRead) {
  std::map<std::string, std::string> files = {
      {"f.yaml", std::string(kTwoLines) + "lists: { l: { file: list } }\ninclude: more.yaml\n"},
      {"list", "a\n"},
      {"more.yaml", "rules: []\n"}};
  std::set<std::uint64_t> digests;
  digests.insert(Loaded(LoadConfig("f.yaml", MemoryFiles(files), {})).digest);
  EXPECT_EQ(Loaded(LoadConfig("f.yaml", MemoryFiles(files), {})).digest, *digests.begin());
  for (const char* name : {"f.yaml", "list", "more.yaml"}) {
    auto changed = files;
    changed[name] += "# a comment\n";
    digests.insert(Loaded(LoadConfig("f.yaml", MemoryFiles(changed), {})).digest);
  }
  EXPECT_EQ(digests.size(), 4u);
}

TEST(LoadConfig, SaysWhyTheFileCannotBeRead) {
  EXPECT_EQ(Errors(LoadConfig("gone.yaml", MemoryFiles(), {})),
            "gone.yaml: cannot be read: No such file or directory\n");
}

TEST(LoadConfig, SaysAnErrorOfAnAnchoredValueOnce) {
  auto result = LoadText(
      "version: 1\npools: { a: { servers: [x:1], timeouts: &t { connect: 1 } }, b: { servers: "
      "[x:1], timeouts: *t } }\n");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().size(), 1u);
}

TEST(LoadConfig, HandsRulesTheirListsLimitsAndToggles) {
  Config c =
      Loaded(LoadText(std::string(kTwoLines) +
                      "toggles: { t: }\nlimits: { l: { key: path, rate: 1/s } }\n"
                      "lists: { names: { file: list } }\n"
                      "rules: [{ toggle: t, match: { host: $names }, action: { limit: l } }]\n"));
  ASSERT_NE(c.policy, nullptr);
  ASSERT_EQ(c.policy->rules().size(), 1u);
  EXPECT_EQ(c.policy->rules()[0].toggle, 0u);
  EXPECT_EQ(c.policy->rules()[0].action, "limit");
  EXPECT_EQ(c.policy->toggles()[0], "t");
  EXPECT_EQ(c.policy->pools()[0], "app");
}

TEST(LoadConfig, ReportsItemsOfAListWhereTheyStand) {
  std::string text = std::string(kTwoLines) +
                     "lists: { office: { file: ranges } }\n"
                     "rules: [{ match: { client.address: $office }, action: deny }]\n";
  EXPECT_THAT(Errors(LoadConfig(
                  "f.yaml", MemoryFiles({{"f.yaml", text}, {"ranges", "10.0.0.0/8\nhome\n"}}), {})),
              HasSubstr("ranges:2"));
}

TEST(LoadConfig, WarnsOfAPatternThatIncludesNothing) {
  const MemoryFiles files(
      {{"etc/f.yaml", std::string(kTwoLines) + "include: [r.d/*.yaml, a.yaml]\n"},
       {"etc/a.yaml", "include:\n  - none.d/*.yaml\n"},
       {"etc/r.d/a.yaml", "rules: []\n"}});
  const Config config = Loaded(LoadConfig("etc/f.yaml", files, {}));
  ASSERT_EQ(config.warnings.size(), 1u);
  EXPECT_THAT(Format(config.warnings[0]),
              HasSubstr("etc/a.yaml:2:5: include[0]: warning: no file matches 'etc/none.d/*.yaml', "
                        "so nothing is included\n"));
}

TEST(LoadConfig, TheAdminSideDoesNotListenWhereAListenerTakesEveryAddress) {
  struct Case {
    const char* listener;
    const char* admin;
    bool meet;
  };
  constexpr Case kCases[] = {
      {":9901", "127.0.0.1:9901", true},     {"[::]:9901", "127.0.0.1:9901", true},
      {"[::]:9901", "[::1]:9901", true},     {"0.0.0.0:9901", "127.0.0.1:9901", true},
      {"0.0.0.0:9901", "[::1]:9901", false}, {"127.0.0.1:9901", "127.0.0.2:9901", false},
      {":9902", "127.0.0.1:9901", false},    {":0", "127.0.0.1:0", false},
      {"127.0.0.1:9901", "[::]:9901", true}, {"127.0.0.1:9901", "0.0.0.0:9901", true},
      {"unix:/a", "unix:/b", false},         {"unix:/a", "127.0.0.1:9901", false},
  };
  for (const auto& [listener, admin, meet] : kCases) {
    const std::string text = std::string(kTwoLines) + "listeners: [{ address: \"" + listener +
                             "\" }]\nadmin: { address: \"" + admin + "\", token_file: t }\n";
    const std::string said = Errors(
        LoadConfig("f.yaml", MemoryFiles({{"f.yaml", text}, {"t", "0123456789abcdef"}}), {}));
    EXPECT_EQ(said.find(" meet: one of them takes every address of the port") != std::string::npos,
              meet)
        << listener << " and " << admin << ": " << said;
  }
}

TEST(LoadConfig, AllowsAHealthCheckThatTakesLongerThanItsInterval) {
  EXPECT_EQ(Errors(LoadText("version: 1\npools: { app: { servers: [\"127.0.0.1:3000\"], "
                            "health_check: { path: /, timeout: 1m } } }\n")),
            "");
}

TEST(LoadConfig, AllowsThatAllServersAreBackups) {
  EXPECT_EQ(
      Errors(LoadText("version: 1\npools: { a: { servers: [{ address: x:1, backup: true }] } }\n")),
      "");
}

// What the only rule of a file answers.
std::string Answered(const std::string& file, const MemoryFiles& files) {
  const Config config = Loaded(LoadConfig(file, files, {}));
  if (config.policy == nullptr) return "nothing";
  Verdict verdict;
  config.policy->Decide(Request(), Facts(), TimePoint(1h), &verdict);
  const auto* respond = std::get_if<Respond>(&verdict.action);
  if (respond == nullptr) return "no response";
  return std::string(respond->content_type) + ": " + std::string(respond->body);
}

TEST(LoadConfig, APageStandsBesideTheFileWhoseRuleNamesIt) {
  const std::string rules = "rules: [{ action: { respond: { status: 503, page: page.html } } }]\n";
  const MemoryFiles files({{"main/site.yaml", std::string(kTwoLines) + rules},
                           {"main/with.yaml", std::string(kTwoLines) + "include: more/*.yaml\n"},
                           {"main/more/a.yaml", rules},
                           {"main/more/b.yaml", "lists: { unused: [x] }\n"},
                           {"main/page.html", "<p>main"},
                           {"main/more/page.html", "<p>more"}});
  EXPECT_EQ(Answered("main/site.yaml", files), "text/html; charset=utf-8: <p>main");
  EXPECT_EQ(Answered("main/with.yaml", files), "text/html; charset=utf-8: <p>more");
}

TEST(LoadConfig, APageOfAnotherTypeSaysSo) {
  const std::string text = std::string(kTwoLines) +
                           "rules: [{ action: { respond: { page: list, content_type: a/b } } }]\n";
  EXPECT_EQ(Answered("f.yaml", MemoryFiles({{"f.yaml", text}, {"list", "x"}})), "a/b: x");
}

TEST(LoadConfig, APageHasAMebibyteAtMost) {
  const std::string text =
      std::string(kTwoLines) + "rules: [{ action: { respond: { page: big } } }]\n";
  const auto load = [&](std::size_t size) {
    return Errors(
        LoadConfig("f.yaml", MemoryFiles({{"f.yaml", text}, {"big", std::string(size, 'x')}}), {}));
  };
  EXPECT_EQ(load(1 << 20), "");
  EXPECT_THAT(load((1 << 20) + 1), HasSubstr("f.yaml:3:38: rules[0].action.respond.page: 'big' "
                                             "has 1048577 bytes; expected at most 1MiB"));
}

TEST(LoadConfig, ADigestTellsOneContentOfAPageFromAnother) {
  const std::string text =
      std::string(kTwoLines) + "rules: [{ action: { respond: { page: p } } }]\n";
  const auto digest = [&](const char* page) {
    return Loaded(LoadConfig("f.yaml", MemoryFiles({{"f.yaml", text}, {"p", page}}), {})).digest;
  };
  EXPECT_NE(digest("a"), digest("b"));
}

TEST(LoadConfig, WantsATokenForAnAdminAddressThatOthersReach) {
  for (const char* address : {":9901", "0.0.0.0:9901", "[::]:9901", "192.0.2.1:9901"}) {
    std::string admin = "admin: { address: \"" + std::string(address) + "\"";
    EXPECT_THAT(Errors(LoadText(kTwoLines + admin + " }\n")), HasSubstr("token_file")) << address;
    EXPECT_EQ(Errors(LoadText(kTwoLines + admin + ", token_file: t }\n")), "") << address;
  }
  for (const char* address : {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "unix:/s"}) {
    EXPECT_EQ(
        Errors(LoadText(kTwoLines + std::string("admin: { address: \"") + address + "\" }\n")), "");
  }
}

TEST(LoadConfig, LimitsTheFilesAPageAndAListMayName) {
  std::string text = std::string(kTwoLines) + "lists: { l: { file: big } }\n";
  std::string lines;
  for (int i = 0; i < 1'000'001; ++i) lines += "a\n";
  EXPECT_THAT(Errors(LoadConfig("f.yaml", MemoryFiles({{"f.yaml", text}, {"big", lines}}), {})),
              HasSubstr("more than 1000000 items"));
  text = "version: 1\npools: { a: { servers: [x:1], errors: { page: big } } }\n";
  EXPECT_THAT(Errors(LoadConfig("f.yaml", MemoryFiles({{"f.yaml", text}, {"big", lines}}), {})),
              HasSubstr("expected at most 1MiB"));
}

}  // namespace
}  // namespace spillway
