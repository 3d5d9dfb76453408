// SPDX-License-Identifier: MIT
#include "proxy/generation_builder.h"

#include <algorithm>
#include <bit>
#include <map>
#include <optional>
#include <utility>

#include "proxy/challenge_gate.h"

namespace spillway {
namespace {

// Descriptors that are not for connections of either side: logs, files, the admin side, health
// checks, names, a reload.
constexpr std::uint64_t kReservedDescriptors = 64;

using TlsContexts = std::vector<std::shared_ptr<const TlsContext>>;

Result<TlsContexts> MakeTls(const Config& config,
                            const std::shared_ptr<const TicketKeys>& tickets) {
  TlsContexts contexts;
  for (const ListenerConfig& listener : config.listeners) {
    if (!listener.tls) {
      contexts.push_back(nullptr);
      continue;
    }
    auto context = TlsContext::Create(*listener.tls, tickets);
    if (!context) {
      return Fail("listener " + listener.address.text + ": " + context.error().message);
    }
    contexts.push_back(std::move(*context));
  }
  return contexts;
}

using TlsClientContexts = std::vector<std::shared_ptr<const TlsClientContext>>;

Result<TlsClientContexts> MakeUpstreamTls(const Config& config) {
  TlsClientContexts contexts;
  for (const PoolConfig& pool : config.pools) {
    contexts.push_back(nullptr);
    if (!pool.tls) continue;
    auto context = TlsClientContext::Create(
        *pool.tls, pool.protocol == UpstreamProtocol::kHttp2 ? "h2" : "http/1.1");
    if (!context) return Fail("pool " + pool.name + ": " + context.error().message);
    contexts.back() = std::move(*context);
  }
  return contexts;
}

using SharedGeoFile = std::shared_ptr<const GeoFile>;

Result<SharedGeoFile> OpenGeoFile(const std::string& path) {
  if (path.empty()) return SharedGeoFile();
  return GeoFile::Open(path);
}

// Which limit of `old` has the buckets for `limit`.
std::optional<std::size_t> FindLimit(std::span<const LimitInfo> old, const LimitInfo& limit) {
  for (std::size_t i = 0; i < old.size(); ++i) {
    const bool same_table = std::bit_ceil(old[i].spec.keys) == std::bit_ceil(limit.spec.keys);
    if (old[i].name == limit.name && old[i].key == limit.key && same_table) return i;
  }
  return std::nullopt;
}

bool SameSpec(const LimitSpec& a, const LimitSpec& b) {
  return a.rate == b.rate && a.burst == b.burst && a.parent_share == b.parent_share;
}

using SharedTable = std::shared_ptr<LimitTable>;

// `table`, which is to have the limit's rate from the reload on; without one, a new table.
Result<SharedTable> CarryLimit(SharedTable table, const LimitInfo& limit, Blueprint* blueprint) {
  if (!table) {
    Result<LimitTable> fresh = LimitTable::Create(limit.spec);
    if (!fresh) return Fail("limits." + limit.name + " " + fresh.error().message);
    return std::make_shared<LimitTable>(std::move(*fresh));
  }
  LimitSpec spec = limit.spec;
  spec.keys = table->spec().keys;  // rounded up to the same table
  if (!SameSpec(table->spec(), spec)) blueprint->changed_limits.emplace_back(table, spec);
  return table;
}

Result<void> CarryLimits(const Generation* previous, Blueprint* blueprint) {
  Generation& next = *blueprint->generation;
  for (const LimitInfo& limit : next.config.policy->limits()) {
    SharedTable table, shadow;
    if (previous != nullptr) {
      if (const auto old = FindLimit(previous->config.policy->limits(), limit)) {
        table = previous->limits[*old];
        shadow = previous->shadow_limits[*old];
      }
    }
    auto carried = CarryLimit(std::move(table), limit, blueprint);
    if (!carried) return Fail(carried.error().message);
    next.limits.push_back(std::move(*carried));
    next.shadow_limits.push_back(nullptr);
    if (!limit.in_shadow_use) continue;
    carried = CarryLimit(std::move(shadow), limit, blueprint);
    if (!carried) return Fail(carried.error().message);
    next.shadow_limits.back() = std::move(*carried);
  }
  return {};
}

// Counters for `names`, [worker][index]: the old ones where `old_names` has the same name.
template <typename T, typename Names, typename OldNames>
std::vector<std::vector<std::shared_ptr<T>>> CarryCounters(
    const Names& items, const OldNames& old_items,
    const std::vector<std::vector<std::shared_ptr<T>>>* old, std::size_t workers) {
  std::map<std::string_view, std::size_t> places;
  for (std::size_t i = 0; i < old_items.size(); ++i) places.emplace(old_items[i].name, i);
  std::vector<std::vector<std::shared_ptr<T>>> counters(workers);
  for (std::size_t worker = 0; worker < workers; ++worker) {
    for (const auto& item : items) {
      const auto place = places.find(item.name);
      counters[worker].push_back(old != nullptr && place != places.end()
                                     ? (*old)[worker][place->second]
                                     : std::make_shared<T>());
    }
  }
  return counters;
}

// Shares out the descriptors. A client connection may need an upstream one beside it, so clients have
// half of them if nothing else is asked for. Who expects a crowd that mostly waits may ask for more:
// an eighth is left. What is not for clients is for upstreams: one client of HTTP/2 may ask for a
// hundred, and must leave room for new clients.
void ShareDescriptors(const ProcessConstants& constants, Generation* next) {
  // A worker's loop, and its listeners, which the control thread holds as well.
  const std::uint64_t of_worker = 3 + 2 * next->config.listeners.size();
  const std::uint64_t wanted =
      std::max(kReservedDescriptors, kReservedDescriptors / 2 + constants.workers * of_worker);
  const std::uint64_t all = constants.descriptors - std::min(wanted, constants.descriptors / 2);
  const std::uint64_t asked = next->config.clients.max_connections;
  next->most_connections = asked == 0 ? all / 2 : std::min(asked, all - all / 8);
  next->most_upstreams = all - next->most_connections;
}

}  // namespace

void Blueprint::Reconfigure(TimePoint now) const {
  for (const auto& [table, spec] : changed_limits) table->Reconfigure(spec, now);
}

Result<Blueprint> BuildGeneration(Config config, const Generation* previous, PoolKeeper& keeper,
                                  const ProcessConstants& constants) {
  Result<TlsContexts> tls = MakeTls(config, constants.ticket_keys);
  if (!tls) return Fail(tls.error().message);
  const Result<TlsClientContexts> upstream_tls = MakeUpstreamTls(config);
  if (!upstream_tls) return Fail(upstream_tls.error().message);
  auto challenge = MakeChallengeState(config.challenge,
                                      previous != nullptr ? previous->challenge.get() : nullptr);
  if (!challenge) return Fail(challenge.error().message);

  const Result<SharedGeoFile> countries = OpenGeoFile(config.geo.country_file);
  if (!countries) return Fail("geo.country_file: " + countries.error().message);
  const Result<SharedGeoFile> networks = OpenGeoFile(config.geo.asn_file);
  if (!networks) return Fail("geo.asn_file: " + networks.error().message);

  Blueprint blueprint;
  blueprint.generation = std::make_shared<Generation>();
  Generation& next = *blueprint.generation;
  next.number = previous == nullptr ? 1 : previous->number + 1;
  next.config = std::move(config);
  next.countries = *countries;
  next.networks = *networks;
  next.tls = std::move(*tls);
  next.challenge = std::move(*challenge);
  next.hash_seed = constants.hash_seed;
  next.memo_secret = constants.memo_secret;
  next.bots = constants.bots;
  ShareDescriptors(constants, &next);
  next.pools = keeper.Build(next.config.pools, *upstream_tls);
  if (const std::size_t toggles = next.config.policy->toggles().size(); toggles > 0) {
    for (std::size_t worker = 0; worker < constants.workers; ++worker) {
      next.forecasts.push_back(std::make_shared<Forecast>(toggles, next.config.challenge.cookie,
                                                          next.config.clients.ipv6_prefix));
    }
  }
  if (Result<void> carried = CarryLimits(previous, &blueprint); !carried) {
    return Fail(carried.error().message);
  }
  const std::vector<PoolConfig> no_pools;
  next.pool_counters =
      CarryCounters<PoolCounters>(next.config.pools, previous ? previous->config.pools : no_pools,
                                  previous ? &previous->pool_counters : nullptr, constants.workers);
  next.rule_counters = CarryCounters<RuleCounters>(
      next.config.policy->rules(),
      previous ? previous->config.policy->rules() : std::span<const RuleInfo>(),
      previous ? &previous->rule_counters : nullptr, constants.workers);
  return blueprint;
}

}  // namespace spillway
