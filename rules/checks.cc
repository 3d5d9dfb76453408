// SPDX-License-Identifier: MIT
// What no single key can know. Each is reported at the key that would have to change.
#include <algorithm>

#include "rules/draft.h"

namespace spillway {
namespace {

constexpr const char* kNoPools =
    "no pools; expected at least one with a server, as in\n"
    "    version: 1\n"
    "    pools: { app: { servers: [\"127.0.0.1:3000\"] } }";

constexpr const char* kNoUpstream =
    "no file and no SPILLWAY_UPSTREAM; expected one of them, as in\n"
    "    SPILLWAY_LISTEN=:8080 SPILLWAY_UPSTREAM=127.0.0.1:3000 spillway run";

void CheckVersion(const yaml::Node& root) {
  yaml::Node version = root.Get("version");
  if (version.missing() || !ExpectScalar(version, "version: 1")) return;
  if (version.text() == "1") return;
  version.Fail("unknown version " + yaml::Quote(version.text()) + "; expected 1");
}

void CheckPools(const Draft& draft) {
  yaml::Node pools = draft.root.Get("pools");
  std::vector<std::pair<yaml::Node, yaml::Node>> entries = pools.Entries();
  bool nothing = pools.missing() || pools.kind() == yaml::NodeKind::kNull ||
                 (pools.is_map() && entries.empty());
  if (nothing && !draft.servers_from_environment) pools.Fail(kNoPools);
  bool first = true;
  for (const auto& [key, pool] : entries) {
    bool given = first && draft.servers_from_environment;
    if (pool.is_map() && !given && pool.Get("servers").missing()) {
      pool.Get("servers").Fail(
          "is missing; expected at least one server, such as [\"127.0.0.1:3000\"]");
    }
    first = false;
  }
}

// A socket in the file system has no name that a certificate could be compared with.
void CheckUpstreamTls(const Draft& draft) {
  for (const PoolConfig& pool : draft.config.pools) {
    if (!pool.tls || !pool.tls->verify) continue;
    const yaml::Node tls = draft.root.Get("pools").Get(pool.name).Get("tls");
    if (!tls.Get("server_name").missing()) continue;
    const bool nameless =
        std::any_of(pool.servers.begin(), pool.servers.end(), [](const ServerConfig& server) {
          return server.address.form == SocketAddress::Form::kUnix;
        });
    if (!nameless) continue;
    tls.Fail(
        "a server at a unix socket has no name to compare its certificate with; set server_name, "
        "or verify: false");
  }
}

// Whoever reaches the admin address switches toggles: away from this machine that takes a token.
void CheckAdmin(const Draft& draft, Diagnostics* diagnostics) {
  const AdminConfig& admin = draft.config.admin;
  if (!admin.address) return;
  auto fail = [&](const std::string& message) {
    if (draft.admin_from_environment || !draft.root.is_map()) {
      Diagnostic diagnostic;
      diagnostic.path = "SPILLWAY_ADMIN";
      diagnostic.message = message;
      diagnostics->push_back(std::move(diagnostic));
    } else {
      draft.root.Get("admin").Get("address").Fail(message);
    }
  };
  bool local = admin.address->form == SocketAddress::Form::kUnix || admin.address->ip.is_loopback();
  if (!local && admin.token_file.empty()) {
    fail(
        "other machines can reach this address, so admin.token_file must be set (or "
        "SPILLWAY_ADMIN_TOKEN_FILE); expected it, or 127.0.0.1, [::1] or a unix socket");
  }
  for (const ListenerConfig& listener : draft.config.listeners) {
    if (!SharesPlace(listener.address, *admin.address)) continue;
    const bool same = SameListener(listener.address, *admin.address);
    const std::string at = "the admin side at " + admin.address->text;
    fail(same ? "a listener has the address of " + at +
                    " already; expected another port for one of them"
              : at + " and the listener at " + listener.address.text +
                    " meet: one of them takes every address of the port; expected another port "
                    "for one of them");
    break;
  }
}

void CheckSizes(const Draft& draft) {
  const ClientConfig::Sizes& sizes = draft.config.clients.sizes;
  if (sizes.target <= sizes.head) return;
  yaml::Node node = draft.root.Get("clients").Get("sizes");
  bool said = !node.Get("target").missing();
  node.Get(said ? "target" : "head")
      .Fail("the target (" + FormatBytes(sizes.target) + ") is part of the head (" +
            FormatBytes(sizes.head) + ") and cannot be larger");
}

// Nobody waits at a pool that takes everybody, and a limit that is known is not looked for.
void WarnOfAdmission(const PoolConfig& pool, const yaml::Node& written, Diagnostics* warnings) {
  using Limit = AdmissionConfig::Limit;
  const yaml::Node queue = written.Get("queue"), concurrency = written.Get("concurrency");
  if (pool.admission.limit == Limit::kOff && !queue.missing()) {
    warnings->push_back(queue.About(
        "warning: this does nothing beside concurrency: off; nobody waits where all are "
        "let in"));
  }
  if (pool.admission.limit == Limit::kAdaptive || !concurrency.is_map()) return;
  for (const std::string_view key : {"min", "max", "initial"}) {
    const yaml::Node value = concurrency.Get(key);
    if (value.missing()) continue;
    warnings->push_back(value.About(
        "warning: this does nothing beside limit: " + std::string(concurrency.Get("limit").text()) +
        "; it is for limit: adaptive"));
  }
}

// Whether a request of the class fares otherwise at the pool than one that no rule names: in its queue, or
// in an outage.
bool TellsApart(const PoolConfig& pool, std::string_view traffic_class) {
  if (pool.admission.limit != AdmissionConfig::Limit::kOff) return true;
  if (!pool.hold.on) return false;
  const auto* const last =
      kTrafficClassNames.begin() + static_cast<std::size_t>(pool.hold.from) + 1;
  const bool is_held = std::find(kTrafficClassNames.begin(), last, traffic_class) != last;
  return is_held != (TrafficClass::kCritical <= pool.hold.from);
}

// Once, at the first of the rules: what helps is one key at a pool.
void WarnOfClasses(const Draft& draft, Diagnostics* warnings) {
  const std::vector<PoolConfig>& pools = draft.config.pools;
  for (const yaml::Node& rule : draft.rules) {
    const yaml::Node traffic_class = rule.Get("action").Get("class");
    if (traffic_class.missing()) continue;
    const bool told_apart = std::any_of(pools.begin(), pools.end(), [&](const PoolConfig& pool) {
      return TellsApart(pool, traffic_class.text());
    });
    if (told_apart) continue;
    warnings->push_back(traffic_class.About(
        "warning: this class does nothing, since every pool has concurrency: off; "
        "expected adaptive, or a number, at one of them"));
    return;
  }
}

}  // namespace

void CheckTogether(const Draft& draft, Diagnostics* diagnostics) {
  if (draft.root.is_map()) {
    CheckVersion(draft.root);
    CheckPools(draft);
    CheckUpstreamTls(draft);
    CheckSizes(draft);
  } else if (draft.config.file.empty() && !draft.servers_from_environment) {
    Diagnostic diagnostic;
    diagnostic.message = kNoUpstream;
    diagnostics->push_back(std::move(diagnostic));
  }
  CheckAdmin(draft, diagnostics);
}

void WarnTogether(Draft* draft) {
  Diagnostics& warnings = draft->config.warnings;
  const yaml::Node pools = draft->root.Get("pools");
  for (const PoolConfig& pool : draft->config.pools) {
    WarnOfAdmission(pool, pools.Get(pool.name), &warnings);
  }
  WarnOfClasses(*draft, &warnings);
}

}  // namespace spillway
