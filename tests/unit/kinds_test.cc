// SPDX-License-Identifier: MIT
// What the binary says of its own keys: claims over every key of ListKinds(), held against the
// loader.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "config_text.h"
#include "rules/scalars.h"

namespace spillway {
namespace {

using testing::HasSubstr;

// Every value of a configuration, as text: two are equal when their dumps are.
class Dump {
 public:
  explicit Dump(const Config& c) {
    Put(c.workers, static_cast<int>(c.access_log.format), c.access_log.path, c.access_log.query,
        static_cast<int>(c.log_level), c.state_file, c.takeover_socket, c.shutdown.delay,
        c.shutdown.timeout);
    for (const ListenerConfig& listener : c.listeners) {
      Put("listener", listener.address, listener.proxy_protocol, listener.tls.has_value());
      if (!listener.tls) continue;
      for (const TlsCertificate& pair : listener.tls->certificates) Put(pair.certificate, pair.key);
      Put(static_cast<int>(listener.tls->min_version), listener.tls->session_tickets);
      if (const auto& asked = listener.tls->client_certificates) {
        Put("clients", asked->ca, static_cast<int>(asked->mode), asked->depth);
      }
    }
    Put("admin", c.admin.address.value_or(SocketAddress{}), c.admin.token_file);
    const ClientConfig& clients = c.clients;
    for (const IpRange& range : clients.trusted_proxies) Put(range.ToString());
    Put("clients", clients.address_header, clients.ipv6_prefix, clients.timeouts.handshake,
        clients.timeouts.head, clients.timeouts.body, clients.timeouts.write, clients.timeouts.idle,
        clients.timeouts.tunnel, clients.sizes.head, clients.sizes.headers, clients.sizes.target,
        clients.sizes.user_agent, clients.sizes.body, clients.min_rate.body,
        clients.min_rate.answer, clients.http2.streams, static_cast<int>(clients.ambiguous_paths),
        clients.connections_per_client, clients.max_connections, clients.max_requests);
    for (const PoolConfig& pool : c.pools) PutPool(pool);
    for (const ToggleConfig& toggle : c.toggles) {
      Put("toggle", toggle.name, toggle.description, toggle.initial, toggle.signal, toggle.file,
          toggle.max_on);
    }
    Put("geo", c.geo.country_file, c.geo.asn_file);
    for (const std::string& server : c.bots.nameservers) Put("bots", server);
    for (const BotConfig& bot : c.bots.known) Put("bot", bot.name, bot.mark);
    Put("challenge", c.challenge.key_file, c.challenge.cookie,
        static_cast<int>(c.challenge.defaults.kind), c.challenge.defaults.bits,
        c.challenge.defaults.pass);
    if (c.policy == nullptr) return;
    for (const LimitInfo& limit : c.policy->limits()) {
      Put("limit", limit.name, limit.key, limit.spec.rate.events, limit.spec.rate.period,
          limit.spec.burst, limit.spec.keys, limit.spec.parent_share);
    }
    for (const RuleInfo& rule : c.policy->rules()) Put("rule", rule.name, rule.place);
    for (const RuleTest& test : c.tests) {
      Put("test", test.name, test.repeat, test.spacing.events, test.spacing.period, test.into_week,
          test.pass, static_cast<int>(test.expect.action), test.expect.rule, test.expect.limit,
          test.expect.status.value_or(0), test.expect.after);
      for (const AnswerTexts& answer : test.answers) {
        if (answer.status != 200) Put("answer", answer.status);  // 200 is as none
      }
    }
  }
  std::string text() const { return out_.str(); }

 private:
  void PutPool(const PoolConfig& pool) {
    Put("pool", pool.name, static_cast<int>(pool.balance), pool.hash_key.text, pool.host,
        pool.response_head);
    for (const ServerConfig& server : pool.servers)
      Put(server.address, server.weight, server.backup);
    if (const auto& tls = pool.tls) {
      Put("tls", tls->verify, tls->ca, tls->server_name, tls->certificate, tls->key,
          static_cast<int>(tls->min_version));
    }
    if (const auto& check = pool.health_check) {
      Put("check", check->path, check->host, check->interval, check->timeout, check->rise,
          check->fall);
    }
    Put(pool.ejection.consecutive_errors, pool.ejection.time, pool.ejection.max_share,
        pool.timeouts.connect, pool.timeouts.first_byte, pool.timeouts.idle, pool.retries.attempts,
        pool.retries.budget, pool.keep_alive.connections, pool.keep_alive.idle, pool.errors.page);
    Put("admission", static_cast<int>(pool.admission.limit), pool.admission.fixed,
        pool.admission.min, pool.admission.max, pool.admission.initial, pool.admission.queue.max,
        pool.admission.queue.timeout, pool.apdex, pool.slow_start);
    Put("hold", pool.hold.on, pool.hold.time, pool.hold.max, pool.hold.bytes,
        static_cast<int>(pool.hold.from));
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
      {"pools.NAME.tls.", pool + "tls: { $ } } }"},
      {"pools.NAME.health_check.", pool + "health_check: { path: /, $ } } }"},
      {"pools.NAME.ejection.", pool + "ejection: { $ } } }"},
      {"pools.NAME.timeouts.", pool + "timeouts: { $ } } }"},
      {"pools.NAME.retries.", pool + "retries: { $ } } }"},
      {"pools.NAME.keep_alive.", pool + "keep_alive: { $ } } }"},
      {"pools.NAME.concurrency.initial", pool + "concurrency: { min: 1, max: 1000000, $ } } }"},
      {"pools.NAME.concurrency.", pool + "concurrency: { $ } } }"},
      {"pools.NAME.queue.", pool + "queue: { $ } } }"},
      {"pools.NAME.hold.", pool + "hold: { $ } } }"},
      {"pools.NAME.errors.", pool + "errors: { $ } } }"},
      {"pools.NAME.", pool + "$ } }"},
      {"listeners[].tls.client_certificates.",
       "listeners: [{ address: \":1\", tls: { certificate: a, key: b, client_certificates: { ca: "
       "c, $ } } }]"},
      {"listeners[].tls.", "listeners: [{ address: \":1\", tls: { certificate: a, key: b, $ } }]"},
      {"listeners[].address", "listeners: [{ $ }]"},
      {"listeners[].", "listeners: [{ address: \":1\", $ }]"},
      {"admin.", "admin: { $ }"},
      {"clients.timeouts.", "clients: { timeouts: { $ } }"},
      {"clients.sizes.target", "clients: { sizes: { head: 1MiB, $ } }"},
      {"clients.sizes.head", "clients: { sizes: { $, target: 1KiB } }"},
      {"clients.sizes.", "clients: { sizes: { $ } }"},
      {"clients.min_rate.", "clients: { min_rate: { $ } }"},
      {"clients.http2.", "clients: { http2: { $ } }"},
      {"clients.", "clients: { $ }"},
      {"access_log.", "access_log: { $ }"},
      {"log.", "log: { $ }"},
      {"shutdown.", "shutdown: { $ }"},
      {"toggles.NAME.", "toggles: { t: { $ } }"},
      {"bots.", "bots: { $ }"},
      {"challenge.", "challenge: { $ }"},
      {"limits.NAME.", "limits: { l: { key: path, rate: 1000000000/s, $ } }"},
      {"rules[].when", "rules: [{ action: { tag: a }, $ }]"},
      {"rules[].", "rules: [{ action: deny, $ }]"},
      {"tests[].expect.action", "tests: [{ name: n, expect: { $ } }]"},
      {"tests[].expect.status", "tests: [{ name: n, expect: { action: deny, $ } }]"},
      {"tests[].expect.", "tests: [{ name: n, repeat: 100000, expect: { action: limit, $ } }]"},
      {"tests[].", "tests: [{ name: n, expect: { action: forward }, $ }]"},
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
    if (kind.type.find("..") == std::string::npos || kind.type.find("list") != std::string::npos) {
      continue;
    }
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

}  // namespace
}  // namespace spillway
