// SPDX-License-Identifier: MIT
#include "proxy/admin_views.h"

#include <fmt/format.h>

#include <algorithm>

#include "proxy/admission_view.h"
#include "proxy/forecast_view.h"
#include "proxy/generation.h"
#include "proxy/hold_view.h"
#include "proxy/toggles.h"
#include "proxy/version.h"
#include "proxy/wall_time.h"

namespace spillway {
namespace {

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// "10/s", "5/m", "5/10s".
std::string FormatRate(const Rate& rate) {
  std::string period = FormatDuration(rate.period);
  if (period.size() == 2 && period[0] == '1') period.erase(0, 1);
  return fmt::format("{}/{}", rate.events, period);
}

const char* LogLevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "";
}

const char* ProtocolName(UpstreamProtocol protocol) {
  return protocol == UpstreamProtocol::kHttp2 ? "h2" : "http1";
}

const char* BalanceName(Balance balance) {
  switch (balance) {
    case Balance::kRoundRobin:
      return "round_robin";
    case Balance::kLeastRequests:
      return "least_requests";
    case Balance::kHash:
      return "hash";
  }
  return "";
}

const char* ChallengeName(ChallengeKind kind) {
  switch (kind) {
    case ChallengeKind::kCookie:
      return "cookie";
    case ChallengeKind::kRefresh:
      return "refresh";
    case ChallengeKind::kProofOfWork:
      return "pow";
  }
  return "";
}

const char* LogFormatName(AccessLogConfig::Format format) {
  switch (format) {
    case AccessLogConfig::Format::kOff:
      return "off";
    case AccessLogConfig::Format::kJson:
      return "json";
    case AccessLogConfig::Format::kCombined:
      return "combined";
  }
  return "";
}

const char* TlsVersionName(TlsVersion version) {
  return version == TlsVersion::k1_3 ? "1.3" : "1.2";
}

Json ViewListener(const ListenerConfig& listener) {
  Json json;
  json["address"] = listener.address.text;
  json["proxy_protocol"] = listener.proxy_protocol;
  json["http2"] = listener.speaks_http2();
  if (!listener.tls) return json;
  Json& tls = json["tls"];
  tls["min_version"] = TlsVersionName(listener.tls->min_version);
  for (const TlsCertificate& pair : listener.tls->certificates) {
    tls["certificates"].push_back(
        {{"certificate", pair.certificate}, {"key", pair.key}, {"ocsp", pair.ocsp}});
  }
  tls["session_tickets"] = listener.tls->session_tickets;
  tls["ticket_keys"] = listener.tls->ticket_keys;
  if (const auto& clients = listener.tls->client_certificates) {
    const bool required = clients->mode == ClientCertificates::Mode::kRequired;
    tls["client_certificates"] = {{"ca", clients->ca},
                                  {"mode", required ? "required" : "optional"},
                                  {"depth", clients->depth}};
  }
  return json;
}

Json ViewClients(const ClientConfig& clients) {
  Json json;
  json["trusted_proxies"] = Json::array();
  for (const IpRange& range : clients.trusted_proxies) {
    json["trusted_proxies"].push_back(range.ToString());
  }
  json["address_header"] = clients.address_header;
  json["ipv6_prefix"] = clients.ipv6_prefix;
  const ClientConfig::Timeouts& t = clients.timeouts;
  json["timeouts"] = {
      {"handshake", FormatDuration(t.handshake)}, {"head", FormatDuration(t.head)},
      {"body", FormatDuration(t.body)},           {"write", FormatDuration(t.write)},
      {"idle", FormatDuration(t.idle)},           {"tunnel", FormatDuration(t.tunnel)}};
  const ClientConfig::Sizes& s = clients.sizes;
  json["sizes"] = {{"head", s.head.count},
                   {"headers", s.headers},
                   {"target", s.target.count},
                   {"user_agent", s.user_agent.count},
                   {"body", s.body.count}};
  json["min_rate"] = {{"body", clients.min_rate.body.count},
                      {"answer", clients.min_rate.answer.count}};
  json["http2"] = {{"streams", clients.http2.streams}};
  json["ambiguous_paths"] = clients.ambiguous_paths == AmbiguousPaths::kRefuse ? "refuse" : "pass";
  json["connections_per_client"] = clients.connections_per_client;
  json["max_connections"] = clients.max_connections;
  json["max_requests"] = clients.max_requests;
  return json;
}

Json ViewPoolConfig(const PoolConfig& pool) {
  Json json;
  json["name"] = pool.name;
  for (const ServerConfig& server : pool.servers) {
    json["servers"].push_back(
        {{"address", server.address.text}, {"weight", server.weight}, {"backup", server.backup}});
  }
  json["protocol"] = ProtocolName(pool.protocol);
  json["balance"] = BalanceName(pool.balance);
  if (pool.balance == Balance::kHash) json["hash_key"] = pool.hash_key.text;
  if (const auto& tls = pool.tls) {
    json["tls"] = {{"verify", tls->verify},
                   {"ca", tls->ca},
                   {"server_name", tls->server_name},
                   {"certificate", tls->certificate},
                   {"key", tls->key},
                   {"min_version", TlsVersionName(tls->min_version)}};
  }
  if (pool.health_check) {
    const HealthCheckConfig& check = *pool.health_check;
    json["health_check"] = {{"path", check.path},
                            {"host", check.host},
                            {"interval", FormatDuration(check.interval)},
                            {"timeout", FormatDuration(check.timeout)},
                            {"rise", check.rise},
                            {"fall", check.fall}};
  }
  json["ejection"] = {{"consecutive_errors", pool.ejection.consecutive_errors},
                      {"time", FormatDuration(pool.ejection.time)},
                      {"max_share", fmt::format("{}%", pool.ejection.max_share)}};
  json["slow_start"] = FormatDuration(pool.slow_start);
  json["timeouts"] = {{"connect", FormatDuration(pool.timeouts.connect)},
                      {"first_byte", FormatDuration(pool.timeouts.first_byte)},
                      {"idle", FormatDuration(pool.timeouts.idle)}};
  json["retries"] = {{"attempts", pool.retries.attempts},
                     {"budget", fmt::format("{}%", pool.retries.budget)}};
  json["keep_alive"] = {{"connections", pool.keep_alive.connections},
                        {"idle", FormatDuration(pool.keep_alive.idle)}};
  json["concurrency"] = ViewConcurrency(pool.admission);
  json["queue"] = ViewQueue(pool.admission);
  json["hold"] = ViewHoldConfig(pool.hold);
  json["apdex"] = FormatDuration(pool.apdex);
  json["host"] = pool.host;
  json["response_head"] = pool.response_head.count;
  json["errors"] = {{"hide", pool.errors.hide}, {"own_page", !pool.errors.page.empty()}};
  return json;
}

std::uint64_t SumWorkers(const AdminControls& server, Counter WorkerCounters::*counter) {
  std::uint64_t sum = 0;
  for (const WorkerCounters* worker : server.counters()) sum += (worker->*counter).value();
  return sum;
}

std::uint64_t SumPool(const Generation& generation, std::size_t pool,
                      Counter PoolCounters::*counter) {
  std::uint64_t sum = 0;
  for (const auto& worker : generation.pool_counters) sum += ((*worker[pool]).*counter).value();
  return sum;
}

std::optional<std::uint32_t> ApdexOf(const Generation& generation, std::size_t pool,
                                     TimePoint now) {
  Apdex::Sum sum;
  for (const auto& worker : generation.pool_counters) worker[pool]->apdex.AddTo(&sum, now);
  return sum.percent();
}

Json ViewEndpoint(const PoolMember& member, TimePoint now) {
  const Endpoint& endpoint = *member.endpoint;
  const auto relaxed = std::memory_order_relaxed;
  Json json;
  json["address"] = endpoint.text;
  json["weight"] = member.weight;
  json["backup"] = member.backup;
  json["up"] = Pool::Usable(endpoint, now);
  json["healthy"] = endpoint.healthy.load(relaxed);
  json["refuses"] = endpoint.refuses.load(relaxed);  // the last connection; tried all the same
  const Duration ejected = TimePoint(Duration(endpoint.ejected_until.load(relaxed))) - now;
  json["ejected_for_seconds"] = std::max(0.0, Seconds(ejected));
  json["ejected_as"] = nullptr;
  if (ejected > Duration{0}) json["ejected_as"] = EjectionText(endpoint.ejected_as.load(relaxed));
  json["in_flight"] = endpoint.in_flight.load(relaxed);
  json["requests"] = endpoint.requests.load(relaxed);
  json["errors"] = endpoint.errors.load(relaxed);
  return json;
}

}  // namespace

Json ViewReload(const ReloadStatus& reload) {
  Json json;
  json["ok"] = reload.ok;
  json["when"] = FormatTime(reload.when);
  json["error"] = reload.error;
  json["succeeded"] = reload.succeeded;
  json["failed"] = reload.failed;
  return json;
}

Json ViewStatus(const AdminControls& server) {
  const Generation& generation = server.generation();
  Json json;
  json["version"] = Version();
  json["state"] = server.draining() ? "draining" : server.ready() ? "running" : "starting";
  json["ready"] = server.ready();
  json["uptime_seconds"] = Seconds(server.now() - server.started());
  json["workers"] = server.counters().size();
  json["listeners"] = server.listening();
  json["generation"] = generation.number;
  json["config"] = {{"file", generation.config.file},
                    {"digest", fmt::format("{:016x}", generation.config.digest)}};
  json["reload"] = ViewReload(server.reload_status());
  json["connections"] = {
      {"open", SumWorkers(server, &WorkerCounters::connections_open)},
      {"accepted", SumWorkers(server, &WorkerCounters::connections_accepted)},
      {"refused", SumWorkers(server, &WorkerCounters::connections_refused)},
      {"over_client_cap", SumWorkers(server, &WorkerCounters::connections_over_cap)},
      {"given_up", SumWorkers(server, &WorkerCounters::connections_given_up)},
      {"accept_pauses", SumWorkers(server, &WorkerCounters::accept_pauses)},
      {"kept_upstream", server.kept_upstream_connections()}};
  Json& decisions = json["decisions"] = Json::object();
  for (std::size_t i = 0; i < static_cast<std::size_t>(Decision::kCount); ++i) {
    std::uint64_t sum = 0;
    for (const WorkerCounters* worker : server.counters()) sum += worker->decisions[i].value();
    decisions[DecisionName(static_cast<Decision>(i))] = sum;
  }
  constexpr const char* kClasses[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
  Json& responses = json["responses"] = Json::object();
  for (std::size_t i = 0; i < std::size(kClasses); ++i) {
    std::uint64_t sum = 0;
    for (const WorkerCounters* worker : server.counters()) sum += worker->status_classes[i].value();
    responses[kClasses[i]] = sum;
  }
  Json& on = json["toggles_on"] = Json::array();
  for (const ToggleStatus& toggle : server.toggles()) {
    if (toggle.on) on.push_back(toggle.name);
  }
  json["admission"] = ViewAdmissions(generation, server.now());
  json["outages"] = ViewHolds(generation, server.now());
  json["access_log_dropped"] = server.access_log_dropped();
  return json;
}

Json ViewConfig(const AdminControls& server) {
  const Generation& generation = server.generation();
  const Config& config = generation.config;
  Json json;
  json["file"] = config.file;
  json["digest"] = fmt::format("{:016x}", config.digest);
  json["generation"] = generation.number;
  json["reload"] = ViewReload(server.reload_status());
  json["workers"] = server.counters().size();
  json["log_level"] = LogLevelName(config.log_level);
  json["access_log"] = {{"format", LogFormatName(config.access_log.format)},
                        {"path", config.access_log.path},
                        {"query", config.access_log.query}};
  json["state_file"] = config.state_file;
  json["takeover_socket"] = config.takeover_socket;
  json["shutdown"] = {{"delay", FormatDuration(config.shutdown.delay)},
                      {"timeout", FormatDuration(config.shutdown.timeout)}};
  json["listeners"] = Json::array();
  for (const ListenerConfig& listener : config.listeners) {
    json["listeners"].push_back(ViewListener(listener));
  }
  json["admin"] = {{"address", config.admin.address ? config.admin.address->text : "off"},
                   {"token_file", config.admin.token_file}};
  json["clients"] = ViewClients(config.clients);
  Json bots = Json::array();
  for (const BotConfig& bot : config.bots.known) {
    bots.push_back({{"name", bot.name}, {"user_agent", bot.user_agent}, {"domains", bot.domains}});
  }
  json["bots"] = {{"nameservers", config.bots.nameservers}, {"known", std::move(bots)}};
  json["geo"] = {{"country_file", config.geo.country_file}, {"asn_file", config.geo.asn_file}};
  const ChallengeDemand& demand = config.challenge.defaults;
  json["challenge"] = {{"key_file", config.challenge.key_file},
                       {"cookie", config.challenge.cookie},
                       {"kind", ChallengeName(demand.kind)},
                       {"bits", demand.bits},
                       {"pass", FormatDuration(demand.pass)}};
  json["pools"] = Json::array();
  for (const PoolConfig& pool : config.pools) json["pools"].push_back(ViewPoolConfig(pool));
  json["rules"] = config.policy->rules().size();
  json["tests"] = config.tests.size();
  json["limits"] = Json::array();
  for (const LimitInfo& limit : config.policy->limits()) {
    json["limits"].push_back({{"name", limit.name},
                              {"key", limit.key},
                              {"rate", FormatRate(limit.spec.rate)},
                              {"burst", limit.spec.burst},
                              {"keys", limit.spec.keys},
                              {"parent_share", limit.spec.parent_share}});
  }
  json["toggles"] = Json::array();
  for (const ToggleConfig& toggle : config.toggles) {
    json["toggles"].push_back({{"name", toggle.name},
                               {"description", toggle.description},
                               {"default", toggle.initial ? "on" : "off"},
                               {"signal", toggle.signal == 0 ? "" : SignalName(toggle.signal)},
                               {"file", toggle.file},
                               {"max_on", FormatDuration(toggle.max_on)}});
  }
  return json;
}

Json ViewRules(const AdminControls& server) {
  const Generation& generation = server.generation();
  const Policy& policy = *generation.config.policy;
  Json list = Json::array();
  const auto rules = policy.rules();
  for (std::size_t i = 0; i < rules.size(); ++i) {
    Json json;
    json["name"] = rules[i].name;
    json["action"] = rules[i].action;
    json["mode"] = ModeName(rules[i].mode);
    json["toggle"] = rules[i].toggle == kNoRule ? "" : policy.toggles()[rules[i].toggle];
    json["when"] = rules[i].on_response ? "response" : "request";
    json["place"] = rules[i].place;
    std::uint64_t enforced = 0, shadow = 0, over = 0, shadow_over = 0;
    for (const auto& worker : generation.rule_counters) {
      enforced += worker[i]->enforced.value();
      shadow += worker[i]->shadow.value();
      over += worker[i]->over_limit.value();
      shadow_over += worker[i]->shadow_over_limit.value();
    }
    json["matches"] = enforced;
    json["shadow_matches"] = shadow;
    if (rules[i].limits) {
      json["over_limit"] = over;
      json["shadow_over_limit"] = shadow_over;
    }
    list.push_back(std::move(json));
  }
  return {{"rules", std::move(list)}};
}

Json ViewToggle(const AdminControls& server, const ToggleStatus& toggle) {
  Json json;
  json["name"] = toggle.name;
  json["on"] = toggle.on;
  json["cause"] = toggle.cause;
  json["reason"] = toggle.reason;
  json["since"] = FormatTime(toggle.since);
  json["until"] = toggle.until ? Json(FormatTime(*toggle.until)) : Json();
  json["description"] = toggle.description;
  json["forecast"] = ViewForecast(server, toggle);
  return json;
}

Json ViewToggles(const AdminControls& server) {
  Json list = Json::array();
  for (const ToggleStatus& toggle : server.toggles()) list.push_back(ViewToggle(server, toggle));
  return {{"toggles", std::move(list)}};
}

Json ViewLimits(const AdminControls& server) {
  const Generation& generation = server.generation();
  const auto limits = generation.config.policy->limits();
  Json list = Json::array();
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const LimitInfo& limit = limits[i];
    const LimitTable::Usage usage = generation.limits[i]->Count(server.now());
    Json json;
    json["name"] = limit.name;
    json["key"] = limit.key;
    json["rate"] = FormatRate(limit.spec.rate);
    json["burst"] = limit.spec.burst;
    json["entries"] = usage.live;
    json["capacity"] = usage.capacity;
    json["parent_answers"] = usage.parent_answers;
    json["memory_bytes"] = usage.memory_bytes;
    json["shadow"] = limit.in_shadow_use;
    list.push_back(std::move(json));
  }
  return {{"limits", std::move(list)}};
}

Json ViewPools(const AdminControls& server) {
  const Generation& generation = server.generation();
  Json list = Json::array();
  for (std::size_t i = 0; i < generation.pools.size(); ++i) {
    const Pool& pool = *generation.pools[i];
    Json json;
    json["name"] = pool.config().name;
    json["protocol"] = ProtocolName(pool.config().protocol);
    json["balance"] = BalanceName(pool.config().balance);
    json["requests"] = SumPool(generation, i, &PoolCounters::requests);
    json["errors"] = {{"connect", SumPool(generation, i, &PoolCounters::connect_errors)},
                      {"timeout", SumPool(generation, i, &PoolCounters::timeouts)},
                      {"reset", SumPool(generation, i, &PoolCounters::resets)},
                      {"protocol", SumPool(generation, i, &PoolCounters::protocol_errors)},
                      {"no_server", SumPool(generation, i, &PoolCounters::no_server)}};
    json["retries"] = SumPool(generation, i, &PoolCounters::retries);
    json["admission"] = ViewAdmission(pool, server.now());
    json["hold"] = ViewHold(pool, server.now());
    const auto apdex = ApdexOf(generation, i, server.now());
    json["apdex"] = apdex ? Json(*apdex / 100.0) : Json();
    json["servers"] = Json::array();
    for (const PoolMember& member : *pool.members()) {
      json["servers"].push_back(ViewEndpoint(member, server.now()));
    }
    list.push_back(std::move(json));
  }
  return {{"pools", std::move(list)}};
}

}  // namespace spillway
