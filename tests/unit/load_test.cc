// SPDX-License-Identifier: MIT
// The loader as a whole. What each bad file says is compared in config_golden_test.cc; here stand
// what good ones come to, and claims over every key of ListKinds().
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <set>
#include <sstream>

#include "config_files.h"
#include "rules/scalars.h"

namespace spillway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const char* const kTwoLines = "version: 1\npools: { app: { servers: [\"127.0.0.1:3000\"] } }\n";

tl::expected<Config, Diagnostics> LoadText(const std::string& text,
                                           const Environment& environment = {}) {
  return LoadConfig("f.yaml",
                    MemoryFiles({{"f.yaml", text}, {"page.html", "<p>"}, {"list", "a\n"}}),
                    environment);
}

Config Loaded(const tl::expected<Config, Diagnostics>& result) {
  if (result) return *result;
  ADD_FAILURE() << Format(result.error());
  return {};
}

std::string Errors(const tl::expected<Config, Diagnostics>& result) {
  return result ? std::string() : Format(result.error());
}

// Every value of a configuration, as text: two are equal when their dumps are.
class Dump {
 public:
  explicit Dump(const Config& c) {
    Put(c.workers, static_cast<int>(c.access_log.format), c.access_log.path, c.access_log.query,
        c.log_level, c.state_file, c.shutdown.delay, c.shutdown.timeout);
    for (const ListenerConfig& listener : c.listeners) {
      Put("listener", listener.address, listener.proxy_protocol, listener.tls.has_value());
      if (!listener.tls) continue;
      for (const TlsCertificate& pair : listener.tls->certificates) Put(pair.certificate, pair.key);
      Put(listener.tls->min_version);
    }
    Put("admin", c.admin.address.value_or(SocketAddress{}), c.admin.token_file);
    const ClientConfig& clients = c.clients;
    for (const IpRange& range : clients.trusted_proxies) Put(range.ToString());
    Put("clients", clients.address_header, clients.ipv6_prefix, clients.timeouts.handshake,
        clients.timeouts.head, clients.timeouts.body, clients.timeouts.write, clients.timeouts.idle,
        clients.timeouts.tunnel, clients.sizes.head, clients.sizes.headers, clients.sizes.target,
        clients.sizes.body, clients.max_connections, clients.max_requests);
    for (const PoolConfig& pool : c.pools) PutPool(pool);
    for (const ToggleConfig& toggle : c.toggles) {
      Put("toggle", toggle.name, toggle.description, toggle.initial, toggle.signal, toggle.file,
          toggle.max_on);
    }
    Put("challenge", c.challenge.key_file, c.challenge.cookie,
        static_cast<int>(c.challenge.defaults.kind), c.challenge.defaults.bits,
        c.challenge.defaults.pass);
    if (c.policy == nullptr) return;
    for (const LimitInfo& limit : c.policy->limits()) {
      Put("limit", limit.name, limit.key, limit.spec.rate.events, limit.spec.rate.period,
          limit.spec.burst, limit.spec.keys, limit.spec.parent_share);
    }
    for (const RuleInfo& rule : c.policy->rules()) Put("rule", rule.name, rule.place);
  }
  std::string text() const { return out_.str(); }

 private:
  void PutPool(const PoolConfig& pool) {
    Put("pool", pool.name, static_cast<int>(pool.balance), pool.hash_key, pool.host,
        pool.response_head);
    for (const ServerConfig& server : pool.servers)
      Put(server.address, server.weight, server.backup);
    if (const auto& check = pool.health_check) {
      Put("check", check->path, check->host, check->interval, check->timeout, check->rise,
          check->fall);
    }
    Put(pool.ejection.consecutive_errors, pool.ejection.time, pool.ejection.max_share,
        pool.timeouts.connect, pool.timeouts.first_byte, pool.timeouts.idle, pool.retries.attempts,
        pool.retries.budget, pool.keep_alive.connections, pool.keep_alive.idle, pool.errors.page);
    for (int status : pool.errors.hide) Put(status);
  }
  template <class... T>
  void Put(const T&... values) {
    (One(values), ...);
    out_ << "\n";
  }
  void One(const SocketAddress& address) {
    out_ << static_cast<int>(address.form) << "|" << address.ip.ToString() << "|" << address.name
         << "|" << address.port << "|" << address.text << " ";
  }
  void One(Duration duration) { out_ << FormatDuration(duration) << " "; }
  void One(Bytes bytes) { out_ << bytes.count << "B "; }
  template <class T>
  void One(const T& value) {
    out_ << value << " ";
  }

  std::ostringstream out_;
};

// A file in which the key of `kind` has `value` and all it needs around it; value "": without the
// key.
std::string FileWith(const std::string& name, const std::string& value) {
  struct Frame {
    const char* prefix;
    const char* before;  // "$" stands for the entry
  };
  const std::string pool = "pools: { app: { servers: [\"127.0.0.1:3000\"], ";
  const std::pair<std::string, std::string> kFrames[] = {
      {"pools.NAME.servers[].",
       "pools: { app: { servers: [{ address: \"127.0.0.1:3000\", $ }] } }"},
      {"pools.NAME.health_check.", pool + "health_check: { path: /, $ } } }"},
      {"pools.NAME.ejection.", pool + "ejection: { $ } } }"},
      {"pools.NAME.timeouts.", pool + "timeouts: { $ } } }"},
      {"pools.NAME.retries.", pool + "retries: { $ } } }"},
      {"pools.NAME.keep_alive.", pool + "keep_alive: { $ } } }"},
      {"pools.NAME.errors.", pool + "errors: { $ } } }"},
      {"pools.NAME.", pool + "$ } }"},
      {"listeners[].tls.", "listeners: [{ address: \":1\", tls: { certificate: a, key: b, $ } }]"},
      {"listeners[].address", "listeners: [{ $ }]"},
      {"listeners[].", "listeners: [{ address: \":1\", $ }]"},
      {"admin.", "admin: { $ }"},
      {"clients.timeouts.", "clients: { timeouts: { $ } }"},
      {"clients.sizes.target", "clients: { sizes: { head: 1MiB, $ } }"},
      {"clients.sizes.head", "clients: { sizes: { $, target: 1KiB } }"},
      {"clients.sizes.", "clients: { sizes: { $ } }"},
      {"clients.", "clients: { $ }"},
      {"access_log.", "access_log: { $ }"},
      {"log.", "log: { $ }"},
      {"shutdown.", "shutdown: { $ }"},
      {"toggles.NAME.", "toggles: { t: { $ } }"},
      {"challenge.", "challenge: { $ }"},
      {"limits.NAME.", "limits: { l: { key: path, rate: 1000000000/s, $ } }"},
      {"", "$"},
  };
  for (const auto& [prefix, frame] : kFrames) {
    if (!name.starts_with(prefix)) continue;
    std::string leaf = name.substr(name.rfind('.') + 1);
    std::string entry = value.empty() ? "" : leaf + ": " + value;
    std::string line = frame;
    line.replace(line.find('$'), 1, entry);
    // A flow map may end in ", " but not have an empty entry in its middle.
    if (entry.empty() && line.find("{ ,") != std::string::npos) line.erase(line.find("{ ,") + 2, 1);
    return "version: 1\n" + line + "\n" +
           (line.starts_with("pools") ? "" : std::string(kTwoLines).substr(11));
  }
  return {};
}

std::vector<Kind> Keys() {
  std::vector<Kind> keys;
  for (const Kind& kind : ListKinds()) {
    if (kind.group == "key") keys.push_back(kind);
  }
  return keys;
}

TEST(ListKinds, NamesEachKeyOnceWithATypeAndASentence) {
  std::set<std::string> names;
  for (const Kind& kind : ListKinds()) {
    EXPECT_TRUE(names.insert(kind.group + " " + kind.name).second) << kind.name;
    if (kind.group != "key" && kind.group != "environment") continue;
    EXPECT_FALSE(kind.type.empty()) << kind.name;
    EXPECT_FALSE(kind.text.empty()) << kind.name;
    EXPECT_FALSE(kind.text.ends_with('.')) << kind.name;
  }
  for (const char* name :
       {"key version", "key pools.NAME.timeouts.connect", "key pools.NAME.servers[].weight",
        "key listeners[].tls.min_version", "key limits.NAME.burst", "key lists.NAME.file",
        "environment SPILLWAY_UPSTREAM"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(ListKinds, GivesDefaultsThatChangeNothingWhenWritten) {
  int tried = 0;
  for (const Kind& kind : Keys()) {
    if (kind.fallback.empty() || kind.name == "listeners[].address") continue;
    std::string fallback = kind.fallback == "[]" ? "[]" : "'" + kind.fallback + "'";
    Config without = Loaded(LoadText(FileWith(kind.name, "")));
    Config with = Loaded(LoadText(FileWith(kind.name, fallback)));
    EXPECT_EQ(Dump(with).text(), Dump(without).text()) << kind.name << ": " << kind.fallback;
    ++tried;
  }
  EXPECT_GT(tried, 45);
}

// "duration 1ms..5m" -> {"1ms", "5m"}
std::pair<std::string, std::string> Edges(const std::string& type) {
  std::size_t dots = type.find("..");
  std::size_t begin = type.rfind(' ', dots) + 1;
  return {type.substr(begin, dots - begin), type.substr(dots + 2)};
}

// The values just outside a range, in its smallest unit.
std::vector<std::string> JustOutside(const std::string& type, const std::string& low,
                                     const std::string& high) {
  std::vector<std::string> outside;
  if (type.starts_with("duration")) {
    Duration lowest = *ParseDuration(low), highest = *ParseDuration(high);
    if (lowest > 0ns) outside.push_back(FormatDuration(lowest - 1ns));
    outside.push_back(FormatDuration(highest + 1ns));
  } else if (type.starts_with("size")) {
    std::uint64_t lowest = ParseBytes(low)->count, highest = ParseBytes(high)->count;
    if (lowest > 0) outside.push_back(std::to_string(lowest - 1));
    outside.push_back(std::to_string(highest + 1));
  } else if (type.starts_with("percent")) {
    outside.push_back("101%");
  } else {
    std::uint64_t lowest = *ParseInteger(low), highest = *ParseInteger(high);
    if (lowest > 0) outside.push_back(std::to_string(lowest - 1));
    outside.push_back(std::to_string(highest + 1));
  }
  return outside;
}

TEST(ListKinds, GivesRangesWhoseEdgesAreLegalAndNothingBeyondThem) {
  int tried = 0;
  for (const Kind& kind : Keys()) {
    if (kind.type.find("..") == std::string::npos || kind.type.starts_with("list")) continue;
    auto [low, high] = Edges(kind.type);
    std::vector<std::string> dumps;
    for (const std::string& edge : {low, high}) {
      dumps.push_back(Dump(Loaded(LoadText(FileWith(kind.name, edge)))).text());
    }
    EXPECT_NE(dumps[0], dumps[1]) << kind.name << " is not read at all";
    for (const std::string& value : JustOutside(kind.type, low, high)) {
      EXPECT_THAT(Errors(LoadText(FileWith(kind.name, value))), HasSubstr("out of range"))
          << kind.name << value;
    }
    ++tried;
  }
  EXPECT_GT(tried, 35);
}

TEST(ListKinds, GivesWordsThatAreAllLegal) {
  int tried = 0;
  for (const Kind& kind : Keys()) {
    bool words = kind.type.find(" | ") != std::string::npos &&
                 kind.type.find_first_of(":+[A.") == std::string::npos;
    if (!words || kind.type.starts_with("map") || kind.type.starts_with("auto")) continue;
    for (std::string rest = kind.type + " | "; !rest.empty(); rest.erase(0, rest.find(" | ") + 3)) {
      std::string word = rest.substr(0, rest.find(" | "));
      EXPECT_EQ(Errors(LoadText(FileWith(kind.name, word))), "") << kind.name;
    }
    ++tried;
  }
  EXPECT_GE(tried, 7);
}

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
  EXPECT_EQ(c.log_level, "debug");
  EXPECT_EQ(c.state_file, "good/state");
  EXPECT_EQ(c.shutdown.timeout, 90s);
  ASSERT_EQ(c.listeners.size(), 4u);
  EXPECT_TRUE(c.listeners[1].proxy_protocol);
  EXPECT_EQ(c.listeners[1].tls->min_version, 13);
  EXPECT_EQ(c.listeners[2].tls->certificates[0].certificate, "/etc/a.crt");
  EXPECT_EQ(c.listeners[2].tls->certificates[1].key, "good/b.key");
  EXPECT_EQ(c.listeners[2].tls->min_version, 13);
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
  EXPECT_EQ(app.hash_key, "header.x-session");
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

TEST(LoadConfig, PutsIncludedRulesAfterItsOwnInFileNameOrder) {
  Config c = Loaded(LoadConfig("good/full.yaml", FilesUnder("good"), {}));
  std::vector<std::string> rules;
  for (const RuleInfo& rule : c.policy->rules()) rules.push_back(rule.name + " " + rule.place);
  EXPECT_THAT(rules, ElementsAre("office good/full.yaml:65", "first good/parts/10-first.yaml:4",
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

TEST(LoadConfig, AllowsAHealthCheckThatTakesLongerThanItsInterval) {
  EXPECT_EQ(Errors(LoadText(FileWith("pools.NAME.health_check.timeout", "1m"))), "");
}

TEST(LoadConfig, AllowsThatAllServersAreBackups) {
  EXPECT_EQ(
      Errors(LoadText("version: 1\npools: { a: { servers: [{ address: x:1, backup: true }] } }\n")),
      "");
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

TEST(Environment, IsEnoughWithoutAFile) {
  Config c = Loaded(LoadConfig(
      "", MemoryFiles(),
      {{"SPILLWAY_LISTEN", ":8000, [::1]:8001"}, {"SPILLWAY_UPSTREAM", "a:1,10.0.0.1:2"}}));
  EXPECT_EQ(c.file, "");
  ASSERT_EQ(c.listeners.size(), 2u);
  EXPECT_EQ(c.listeners[1].address.text, "[::1]:8001");
  ASSERT_EQ(c.pools.size(), 1u);
  EXPECT_EQ(c.pools[0].name, "app");
  EXPECT_EQ(c.pools[0].servers.size(), 2u);
  EXPECT_NE(c.policy, nullptr);
}

TEST(Environment, MustNameTheUpstreamWithoutAFile) {
  EXPECT_THAT(Errors(LoadConfig("", MemoryFiles(), {})), HasSubstr("SPILLWAY_UPSTREAM"));
  EXPECT_THAT(Errors(LoadConfig("", MemoryFiles(), {{"SPILLWAY_UPSTREAM", ""}})),
              HasSubstr("SPILLWAY_UPSTREAM"));
}

TEST(Environment, GoesOverTheFile) {
  std::string file =
      "version: 1\nworkers: 2\npools: { first: { servers: [x:1] }, second: { servers: [y:1] } }\n";
  Config c = Loaded(LoadText(file, {{"SPILLWAY_PORT", "8001"},
                                    {"SPILLWAY_UPSTREAM", "a:1"},
                                    {"SPILLWAY_ADMIN", "unix:/run/admin"},
                                    {"SPILLWAY_ADMIN_TOKEN_FILE", "token"},
                                    {"SPILLWAY_CHALLENGE_KEY_FILE", "/key"},
                                    {"SPILLWAY_TRUSTED_PROXIES", "10.0.0.0/8, ::1"},
                                    {"SPILLWAY_WORKERS", "3"},
                                    {"SPILLWAY_LOG_LEVEL", "error"},
                                    {"SPILLWAY_ACCESS_LOG", "combined"},
                                    {"SPILLWAY_STATE_FILE", "state"},
                                    {"SPILLWAY_CONFIG", "f.yaml"},
                                    {"PATH", "/bin"}}));
  EXPECT_EQ(c.listeners[0].address.text, ":8001");
  EXPECT_EQ(c.listeners[0].address.port, 8001);
  EXPECT_EQ(c.pools[0].name, "first");
  EXPECT_EQ(c.pools[0].servers[0].address.text, "a:1");
  EXPECT_EQ(c.pools[1].servers[0].address.text, "y:1");
  EXPECT_EQ(c.admin.address->name, "/run/admin");
  EXPECT_EQ(c.admin.token_file, "token");
  EXPECT_EQ(c.challenge.key_file, "/key");
  EXPECT_EQ(c.clients.trusted_proxies.size(), 2u);
  EXPECT_EQ(c.workers, 3u);
  EXPECT_EQ(c.log_level, "error");
  EXPECT_EQ(c.access_log.format, AccessLogConfig::Format::kCombined);
  EXPECT_EQ(c.state_file, "state");
}

TEST(Environment, GivesServersToAFileThatNamesNone) {
  EXPECT_EQ(Errors(LoadText("version: 1\n", {{"SPILLWAY_UPSTREAM", "a:1"}})), "");
  EXPECT_EQ(Errors(LoadText("version: 1\npools: { a: {} }\n", {{"SPILLWAY_UPSTREAM", "a:1"}})), "");
  EXPECT_THAT(
      Errors(LoadText("version: 1\npools: { a: {}, b: {} }\n", {{"SPILLWAY_UPSTREAM", "a:1"}})),
      HasSubstr("pools.b.servers: is missing"));
}

TEST(Environment, ListenGoesBeforePort) {
  Config c = Loaded(LoadText(kTwoLines, {{"SPILLWAY_PORT", "1"}, {"SPILLWAY_LISTEN", ":2"}}));
  ASSERT_EQ(c.listeners.size(), 1u);
  EXPECT_EQ(c.listeners[0].address.port, 2);
}

TEST(Environment, SaysWhatIsWrongByTheVariablesName) {
  const std::tuple<const char*, const char*, const char*> kCases[] = {
      {"SPILLWAY_UPSTREM", "a:1", "did you mean 'SPILLWAY_UPSTREAM'?"},
      {"SPILLWAY_UPSTREAM", "a", "has no ':' and port"},
      {"SPILLWAY_UPSTREAM", ", ,", "no server"},
      {"SPILLWAY_UPSTREAM", "a:1,a:1", "twice"},
      {"SPILLWAY_LISTEN", "8080", "has no ':' and port"},
      {"SPILLWAY_LISTEN", ",", "no address"},
      {"SPILLWAY_LISTEN", ":1,[::]:1", "twice"},
      {"SPILLWAY_PORT", "0", "out of range; expected 1 to 65535"},
      {"SPILLWAY_PORT", "65536", "out of range; expected 1 to 65535"},
      {"SPILLWAY_ADMIN", ":9901", "token_file must be set"},
      {"SPILLWAY_WORKERS", "257", "expected 1 to 256"},
      {"SPILLWAY_WORKERS", "0", "expected 1 to 256"},
      {"SPILLWAY_LOG_LEVEL", "loud", "expected one of debug"},
      {"SPILLWAY_ACCESS_LOG", "on", "expected one of off"},
      {"SPILLWAY_TRUSTED_PROXIES", "10.0.0.0/8,proxy", "found 'proxy'"},
      {"SPILLWAY_STATE_FILE", "a\nb", "more than one line"},
      {"SPILLWAY_STATE_FILE", "a\x01", "control character"},
  };
  for (const auto& [name, value, message] : kCases) {
    std::string errors = Errors(LoadText(kTwoLines, {{name, value}}));
    EXPECT_THAT(errors, testing::StartsWith(name)) << value;
    EXPECT_THAT(errors, HasSubstr(message)) << name;
  }
}

TEST(Environment, ReadsQuotesAndHashesAsTheyAre) {
  EXPECT_EQ(
      Loaded(LoadText(kTwoLines, {{"SPILLWAY_STATE_FILE", "/it's: #1 \"x\" \\n"}})).state_file,
      "/it's: #1 \"x\" \\n");
}

TEST(Environment, LeavesTheVariablesThatKubernetesMakesOfAServiceAlone) {
  EXPECT_EQ(Errors(LoadText(kTwoLines, {{"SPILLWAY_SERVICE_HOST", "10.0.0.1"},
                                        {"SPILLWAY_SERVICE_PORT", "80"},
                                        {"SPILLWAY_SERVICE_PORT_HTTP", "80"},
                                        {"SPILLWAY_PORT", "tcp://10.0.0.1:80"},
                                        {"SPILLWAY_PORT_80_TCP", "tcp://10.0.0.1:80"},
                                        {"SPILLWAY_PORT_80_TCP_ADDR", "10.0.0.1"},
                                        {"SPILLWAY_X_SERVICE_HOST", "10.0.0.1"},
                                        {"SPILLWAY_X_PORT_53_UDP_PROTO", "udp"}})),
            "");
  EXPECT_NE(Errors(LoadText(kTwoLines, {{"SPILLWAY_PORT_X", "1"}})), "");
}

TEST(Environment, CollidesWithTheAdminAddressAloud) {
  EXPECT_THAT(
      Errors(LoadConfig("", MemoryFiles(),
                        {{"SPILLWAY_UPSTREAM", "a:1"}, {"SPILLWAY_LISTEN", "127.0.0.1:9901"}})),
      HasSubstr("a listener has this address already"));
}

}  // namespace
}  // namespace spillway
