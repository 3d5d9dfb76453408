// SPDX-License-Identifier: MIT
// The upstream side: `pools`, their servers, and how they are treated.
#include <algorithm>
#include <cctype>
#include <utility>

#include "rules/draft.h"
#include "rules/load_admission.h"
#include "rules/load_hold.h"
#include "rules/text_index.h"

namespace spillway {
namespace {

constexpr std::size_t kMaxPage = std::size_t{1} << 20;

void ReadServerAddress(const Slot& slot, ServerConfig* out) {
  if (auto address = ReadSocketAddress(slot.node, false)) out->address = *std::move(address);
}

constexpr KeyRow<ServerConfig> kServerRows[] = {
    {"address", "server address", "", "where the server listens", &ReadServerAddress, nullptr,
     "an address such as 10.0.0.5:3000"},
    {"weight", "integer 1..1000", "1", "its share of the requests, relative to the other servers",
     &Set<&ServerConfig::weight>},
    {"backup", "true | false", "false", "used only when no other server can be",
     &Set<&ServerConfig::backup>},
};

void ReadServers(const Slot& slot, PoolConfig* out) {
  std::vector<ServerConfig> servers;
  for (const yaml::Node& node : slot.node.Items()) {
    std::size_t errors = node.diagnostics().size();
    ServerConfig server;
    if (node.is_map()) {
      ReadKeys(node, kServerRows, slot.loader, &server);
    } else {
      ReadServerAddress({node, slot.type, slot.loader}, &server);
    }
    if (node.diagnostics().size() > errors) continue;
    auto same = [&](const ServerConfig& other) {
      return other.address.text == server.address.text;
    };
    if (std::any_of(servers.begin(), servers.end(), same)) {
      node.Fail(yaml::Quote(server.address.text) +
                " is a server of this pool already; give it a weight for a larger share");
    }
    servers.push_back(std::move(server));
  }
  if (slot.node.Items().empty()) {
    slot.node.Fail("no servers; expected at least one, such as [\"127.0.0.1:3000\"]");
  }
  out->servers = std::move(servers);
}

void ReadHashKey(const Slot& slot, PoolConfig* out) {
  using Of = HashKey::Of;
  constexpr std::pair<std::string_view, Of> kWhole[] = {
      {"client.address", Of::kClient}, {"path", Of::kPath}, {"host", Of::kHost}};
  constexpr std::pair<std::string_view, Of> kNamed[] = {{"header.", Of::kHeader},
                                                        {"cookie.", Of::kCookie}};
  const auto text = ReadText(slot.node);
  if (!text) return;
  for (const auto& [what, of] : kWhole) {
    if (*text == what) {
      out->hash_key = {of, {}, *text};
      return;
    }
  }
  for (const auto& [prefix, of] : kNamed) {
    if (!text->starts_with(prefix) || !IsToken(text->substr(prefix.size()))) continue;
    std::string name = text->substr(prefix.size());
    if (of == Of::kHeader) name = LowerAscii(name);
    out->hash_key = {of, name, std::string(prefix) + name};
    return;
  }
  slot.node.Fail(
      "cannot hash by " + yaml::Quote(*text) +
      yaml::ExpectedOneOf(*text, {"client.address", "path", "host", "header.NAME", "cookie.NAME"}));
}

// A Host field: a name or address, perhaps with a port. No more than that it cannot break a header.
bool IsHostField(std::string_view text) {
  return text.size() <= 255 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 ||
                  std::string_view("-._:[]").find(static_cast<char>(c)) != std::string_view::npos;
         });
}

template <auto kMember>
void ReadHost(const Slot& slot, OwnerOf<kMember>* out) {
  auto text = ReadText(slot.node);
  if (!text) return;
  if (IsHostField(*text)) {
    out->*kMember = *std::move(text);
  } else {
    slot.node.Fail("expected a host such as app.example.com or app.example.com:8080, found " +
                   yaml::Quote(*text));
  }
}

void ReadCheckPath(const Slot& slot, HealthCheckConfig* out) {
  auto text = ReadText(slot.node);
  if (!text) return;
  bool clean =
      std::all_of(text->begin(), text->end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (text->front() != '/' || !clean || text->find('#') != std::string::npos) {
    slot.node.Fail("expected a path such as /healthz, found " + yaml::Quote(*text));
    return;
  }
  out->path = *std::move(text);
}

using Check = HealthCheckConfig;
constexpr KeyRow<Check> kHealthCheckRows[] = {
    {"path", "path of a URL", "", "what to GET; an answer of 2xx or 3xx is healthy", &ReadCheckPath,
     nullptr, "a path such as /healthz"},
    {"host", "host", "", "the Host field to send; without it the server's own address",
     &ReadHost<&Check::host>},
    {"interval", "duration 100ms..1h", "2s", "from one check to the next", &Set<&Check::interval>},
    {"timeout", "duration 10ms..5m", "1s", "no answer for so long is a failure",
     &Set<&Check::timeout>},
    {"rise", "integer 1..100", "2", "successes in a row that make a server healthy",
     &Set<&Check::rise>},
    {"fall", "integer 1..100", "3", "failures in a row that make it unhealthy", &Set<&Check::fall>},
};

void ReadHealthCheck(const Slot& slot, PoolConfig* out) {
  HealthCheckConfig check;
  ReadKeys(slot.node, kHealthCheckRows, slot.loader, &check, "{ path: /healthz }");
  out->health_check = std::move(check);
}

using UpstreamTls = UpstreamTlsConfig;

void ReadServerName(const Slot& slot, UpstreamTls* out) {
  auto text = ReadText(slot.node);
  if (!text) return;
  if (IsHostName(*text) || IpAddress::Parse(*text)) {
    out->server_name = *std::move(text);
  } else {
    slot.node.Fail("expected a host name such as app.example.com, found " + yaml::Quote(*text));
  }
}

constexpr KeyRow<UpstreamTls> kUpstreamTlsRows[] = {
    {"verify", "true | false", "true",
     "check the server's certificate and its name; false: whoever answers is trusted",
     &Set<&UpstreamTls::verify>},
    {"ca", "path", "",
     "PEM file with the certificates that may vouch for servers; without it the system's",
     &SetPath<&UpstreamTls::ca, kPemPath>},
    {"server_name", "host name or IP address", "",
     "asked for by SNI and compared with the certificate; without it the host in the server's "
     "address",
     &ReadServerName},
    {"certificate", "path", "", "PEM file with a certificate that we show to servers that ask",
     &SetPath<&UpstreamTls::certificate, kPemPath>},
    {"key", "path", "", "PEM file with that certificate's private key",
     &SetPath<&UpstreamTls::key, kPemPath>},
    {"min_version", "1.2 | 1.3", "1.2", "the oldest version of TLS that is spoken",
     &Set<&UpstreamTls::min_version>},
};

void ReadUpstreamTls(const Slot& slot, PoolConfig* out) {
  UpstreamTls tls;
  out->tls = tls;  // a map without a key too: with all defaults
  if (slot.node.kind() == yaml::NodeKind::kNull) return;
  ReadKeys(slot.node, kUpstreamTlsRows, slot.loader, &tls, "{ verify: true }");
  if (!slot.node.is_map()) return;
  const yaml::Node certificate = slot.node.Get("certificate"), key = slot.node.Get("key");
  if (!certificate.missing()) RequireKey(slot.node, "key", kPemPath);
  if (!key.missing()) RequireKey(slot.node, "certificate", kPemPath);
  if (!tls.verify && !tls.ca.empty()) {
    slot.node.Get("ca").Fail("nothing is compared with it, since verify is false; leave one out");
  }
  out->tls = std::move(tls);
}

using Ejection = PoolConfig::Ejection;
constexpr KeyRow<Ejection> kEjectionRows[] = {
    {"consecutive_errors", "integer 0..1000", "5",
     "errors in a row for which a server is left out; 0: it never is, whatever it does",
     &Set<&Ejection::consecutive_errors>},
    {"time", "duration 100ms..1h", "10s", "for how long", &Set<&Ejection::time>},
    {"max_share", "percent 0%..100%", "50%", "of the pool's servers at once; one may always stay",
     &Set<&Ejection::max_share>},
};

using Timeouts = PoolConfig::Timeouts;
constexpr KeyRow<Timeouts> kTimeoutRows[] = {
    {"connect", "duration 1ms..5m", "1s", "to connect to a server", &Set<&Timeouts::connect>},
    {"first_byte", "duration 1ms..1d", "30s",
     "from the request's last byte to the response's first", &Set<&Timeouts::first_byte>},
    {"idle", "duration 1ms..1d", "60s", "the longest silence once the response has begun",
     &Set<&Timeouts::idle>},
};

using Retries = PoolConfig::Retries;
constexpr KeyRow<Retries> kRetryRows[] = {
    {"attempts", "integer 0..10", "1",
     "tries beyond the first, for requests that are safe to repeat", &Set<&Retries::attempts>},
    {"budget", "percent 0%..100%", "20%",
     "retries as a share of the requests of the last ten seconds", &Set<&Retries::budget>},
};

using KeepAlive = PoolConfig::KeepAlive;
constexpr KeyRow<KeepAlive> kKeepAliveRows[] = {
    {"connections", "integer 0..100000", "64", "idle connections kept, for each worker",
     &Set<&KeepAlive::connections>},
    {"idle", "duration 100ms..1h", "30s", "how long one is kept", &Set<&KeepAlive::idle>},
};

using Errors = PoolConfig::Errors;
void ReadHide(const Slot& slot, Errors* out) {
  out->hide.clear();
  for (const yaml::Node& node : slot.node.Items()) {
    int status = 0;
    ReadValue(Slot{node, slot.type, slot.loader}, &status);
    if (status != 0) out->hide.push_back(status);
  }
  if (slot.node.kind() == yaml::NodeKind::kNull)
    slot.node.Fail("expected a list of statuses, found nothing");
}

void ReadPage(const Slot& slot, Errors* out) {
  if (auto page = slot.loader.ReadNamed(slot.node, "an HTML file", kMaxPage))
    out->page = *std::move(page);
}

constexpr KeyRow<Errors> kErrorRows[] = {
    {"hide", "integer 400..599, or list of these", "[]",
     "upstream errors whose body never reaches a client", &ReadHide},
    {"page", "path", "",
     "an HTML file to show in their place, at most 1 MiB; without it the built-in page", &ReadPage},
};

void ReadPoolConcurrency(const Slot& slot, PoolConfig* out) {
  ReadConcurrency(slot, &out->admission);
}

void ReadPoolQueue(const Slot& slot, PoolConfig* out) {
  ReadQueue(slot, &out->admission);
}

void ReadPoolHold(const Slot& slot, PoolConfig* out) {
  ReadHold(slot, &out->hold);
}

constexpr std::string_view kPoolExample = "{ servers: [\"127.0.0.1:3000\"] }";

constexpr KeyRow<PoolConfig> kPoolRows[] = {
    {"servers", "server address, map, or list of these", "", "the servers that answer the requests",
     &ReadServers, &ListItems<kServerRows>},
    {"protocol", "http1 | h2", "http1",
     "what the servers are spoken to in; h2: HTTP/2, as gRPC needs it, by ALPN with tls and by "
     "prior "
     "knowledge without",
     &Set<&PoolConfig::protocol>},
    {"balance", "round_robin | least_requests | hash", "least_requests",
     "how the server of a request is picked", &Set<&PoolConfig::balance>},
    {"hash_key", "client.address | path | host | header.NAME | cookie.NAME", "client.address",
     "what the hash is taken of", &ReadHashKey},
    {"tls", "map or nothing", "", "speak TLS to the servers", &ReadUpstreamTls,
     &ListSection<kUpstreamTlsRows>},
    {"health_check", "map", "", "ask each server regularly whether it is well", &ReadHealthCheck,
     &ListSection<kHealthCheckRows>},
    {"ejection", "map", "", "leave out a server that fails or hangs",
     &Section<&PoolConfig::ejection, kEjectionRows>, &ListSection<kEjectionRows>},
    {"slow_start", "duration 0s..1h", "10s",
     "until a server that was ejected or unwell has its share again; 0s: at once",
     &Set<&PoolConfig::slow_start>},
    {"timeouts", "map", "", "how long to wait for a server",
     &Section<&PoolConfig::timeouts, kTimeoutRows>, &ListSection<kTimeoutRows>},
    {"retries", "map", "", "try another server when one fails",
     &Section<&PoolConfig::retries, kRetryRows>, &ListSection<kRetryRows>},
    {"keep_alive", "map", "", "connections to servers kept open between requests",
     &Section<&PoolConfig::keep_alive, kKeepAliveRows>, &ListSection<kKeepAliveRows>},
    {"concurrency", "map | adaptive | off | integer 1..1000000", "adaptive",
     "how many requests are at its servers at once", &ReadPoolConcurrency, &ListConcurrencyKeys},
    {"queue", "map", "", "where requests wait for their turn", &ReadPoolQueue, &ListQueueKeys},
    {"hold", "map | off", "", "requests that are kept while no server answers", &ReadPoolHold,
     &ListHoldKeys},
    {"apdex", "duration 1ms..1m", "500ms",
     "an answer that begins within this satisfies, and one within four times this is borne",
     &Set<&PoolConfig::apdex>},
    {"errors", "map", "", "what clients see of a server's errors",
     &Section<&PoolConfig::errors, kErrorRows>, &ListSection<kErrorRows>},
    {"host", "host", "", "the Host field sent to servers; without it the client's",
     &ReadHost<&PoolConfig::host>},
    {"response_head", "size 1KiB..1MiB", "64KiB", "the largest response head that is accepted",
     &Set<&PoolConfig::response_head>},
};

}  // namespace

void ReadPools(const Slot& slot, Draft* draft) {
  ForEachNamed(slot.node, "app: " + std::string(kPoolExample),
               [&](const yaml::Node& key, const yaml::Node& value) {
                 PoolConfig pool;
                 pool.name = key.text();
                 ReadKeys(value, kPoolRows, slot.loader, &pool, kPoolExample);
                 draft->config.pools.push_back(std::move(pool));
               });
}

void ListPoolKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListNamed<kPoolRows>(name, kinds);
}

}  // namespace spillway
