// SPDX-License-Identifier: MIT
#include "proxy/pool_keeper.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "proxy/first_contact.h"
#include "proxy/health_check.h"
#include "proxy/log.h"
#include "proxy/outage_watch.h"

namespace spillway {
namespace {

constexpr Duration kShortestTtl = std::chrono::seconds(1);
constexpr Duration kLongestTtl = std::chrono::hours(1);
constexpr Duration kLongestBackoff = std::chrono::seconds(30);

bool SameMembers(const PoolMembers& a, const PoolMembers& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.endpoint == y.endpoint && x.weight == y.weight && x.backup == y.backup;
  });
}

// Whom a server's certificate must be for.
std::string TlsName(const PoolConfig& config, const SocketAddress& server) {
  if (!config.tls->server_name.empty()) return config.tls->server_name;
  if (server.form == SocketAddress::Form::kIp) return server.ip.ToString();
  if (server.form == SocketAddress::Form::kUnix) return {};
  return server.name.substr(0, server.name.size() - (server.name.ends_with('.') ? 1 : 0));
}

// What makes an address another endpoint: connections that are kept, and the session, belong to
// one way of speaking to it.
std::string TlsKey(const UpstreamTlsConfig& tls, const std::string& name) {
  return "\n" + name + "\n" + tls.ca + "\n" + tls.certificate + "\n" + tls.key + "\n" +
         (tls.verify ? "v" : "") + (tls.min_version == TlsVersion::k1_3 ? "3" : "");
}

std::string Describe(const PoolMembers& members) {
  std::string text;
  for (const PoolMember& member : members) {
    if (!text.empty()) text += ", ";
    text += member.endpoint->text;
  }
  return text.empty() ? "none" : text;
}

}  // namespace

struct PoolKeeper::Impl : std::enable_shared_from_this<Impl> {
  // A host name in use: what it last resolved to, and when to ask again.
  struct Name {
    Name(Impl& owner, std::string text)
        : keeper(owner), name(std::move(text)), timer(owner.loop, this, [](void* self) {
            Name& it = *static_cast<Name*>(self);
            it.keeper.Ask(it);
          }) {}
    Impl& keeper;
    const std::string name;
    std::vector<IpAddress> addresses;
    std::uint32_t failures = 0;  // in a row
    bool answered = false;
    Deadline timer;
  };

  Impl(Loop& loop_in, Resolve resolve_in) : loop(loop_in), resolve(std::move(resolve_in)) {}

  std::shared_ptr<Endpoint> FindEndpoint(const PoolConfig& pool, const SocketAddress& server,
                                         const KernelAddress& address) {
    std::string text = address.ToString();
    const std::string name = pool.tls ? TlsName(pool, server) : std::string();
    std::weak_ptr<Endpoint>& known =
        endpoints[{pool.name, pool.tls ? text + TlsKey(*pool.tls, name) : text}];
    std::shared_ptr<Endpoint> endpoint = known.lock();
    if (!endpoint) {
      endpoint = std::make_shared<Endpoint>();
      endpoint->address = address;
      endpoint->identity = HashAddress(text);
      endpoint->text = std::move(text);
      endpoint->tls_name = name;
      known = endpoint;
    }
    return endpoint;
  }

  // The members that `config` has as far as its names are known.
  std::shared_ptr<const PoolMembers> FindMembers(const PoolConfig& config) {
    auto members = std::make_shared<PoolMembers>();
    const auto add = [&](const ServerConfig& server, const KernelAddress& address) {
      members->push_back(
          {FindEndpoint(config, server.address, address), server.weight, server.backup});
    };
    for (const ServerConfig& server : config.servers) {
      const SocketAddress& address = server.address;
      switch (address.form) {
        case SocketAddress::Form::kIp:
          add(server, KernelAddress::FromIp(address.ip, address.port));
          break;
        case SocketAddress::Form::kUnix:
          if (const Result<KernelAddress> path = KernelAddress::FromUnixPath(address.name)) {
            add(server, *path);
          } else {
            log::Warning("pool {}: {}", config.name, path.error().message);
          }
          break;
        case SocketAddress::Form::kName:
          if (const auto found = names.find(address.name); found != names.end()) {
            for (const IpAddress& ip : found->second->addresses) {
              add(server, KernelAddress::FromIp(ip, address.port));
            }
          }
          break;
      }
    }
    return members;
  }

  // That of the pool in force under its name, which learns of its new settings when it is adopted.
  std::shared_ptr<PoolAdmission> FindAdmission(const PoolConfig& config) const {
    if (config.admission.limit == AdmissionConfig::Limit::kOff) return nullptr;
    for (const std::shared_ptr<Pool>& pool : pools) {
      if (pool->config().name == config.name && pool->admission()) return pool->admission();
    }
    const auto chance = static_cast<std::uint64_t>(loop.now().time_since_epoch().count());
    return std::make_shared<PoolAdmission>(config.name, config.admission,
                                           HashAddress(config.name) ^ chance, loop.now());
  }

  // The same, but that those who are held are sent in the way of before: one that is spoken to otherwise has
  // a hold of its own. Its wake may come when the keeper is gone, or the pool is.
  std::shared_ptr<PoolHold> FindHold(const PoolConfig& config,
                                     std::shared_ptr<PoolAdmission> admission) {
    if (!config.hold.on) return nullptr;
    for (const std::shared_ptr<Pool>& pool : pools) {
      const PoolConfig& in_force = pool->config();
      const bool same = in_force.name == config.name && in_force.tls == config.tls &&
                        in_force.protocol == config.protocol;
      if (same && pool->hold()) return pool->hold();
    }
    auto wake = [&to = loop, weak = weak_from_this(), name = config.name] {
      to.Post([weak, name] {
        const auto self = weak.lock();
        if (self == nullptr) return;
        if (const auto found = self->watches.find(name); found != self->watches.end())
          found->second->Begin();
      });
    };
    return std::make_shared<PoolHold>(config.hold, std::move(wake), std::move(admission));
  }

  // Requests of an earlier configuration go on in the servers that are in force now: they share a hold, and
  // that nobody is at the servers of before must not be taken for an outage of these.
  void TellEarlier(const Pool& pool) {
    for (const std::weak_ptr<Pool>& each : earlier) {
      const std::shared_ptr<Pool> old = each.lock();
      if (old == nullptr || old->hold() == nullptr || old->hold() != pool.hold()) continue;
      if (!SameMembers(*old->members(), *pool.members())) old->SetMembers(pool.members());
    }
  }

  // Where nothing is held any more, nobody would look for those who are held, or would be later.
  void AdoptHolds(const std::vector<std::shared_ptr<Pool>>& before) {
    watches.clear();
    for (const std::shared_ptr<Pool>& pool : pools) {
      if (pool->hold() == nullptr) continue;
      pool->hold()->Configure(pool->config().hold, loop.now(), pool->admission());
      watches[pool->config().name] = std::make_unique<OutageWatch>(
          loop, pool, [this](Endpoint& endpoint, std::function<void(bool)> done) {
            const auto check = checks.find(&endpoint);
            if (check == checks.end()) return false;
            check->second->AskNow(std::move(done));
            return true;
          });
    }
    for (const std::shared_ptr<Pool>& old : before) {
      if (old->hold() == nullptr) continue;
      const bool kept = std::any_of(pools.begin(), pools.end(),
                                    [&](const auto& pool) { return pool->hold() == old->hold(); });
      if (kept) continue;
      HoldConfig none = old->config().hold;
      none.on = false;
      old->hold()->Configure(none, loop.now(), nullptr);
    }
    std::erase_if(earlier, [](const auto& each) { return each.expired(); });
    earlier.insert(earlier.end(), before.begin(), before.end());
    for (const std::shared_ptr<Pool>& pool : pools) TellEarlier(*pool);
  }

  bool WaitsForName(const PoolConfig& config) const {
    return std::any_of(config.servers.begin(), config.servers.end(), [&](const auto& server) {
      if (server.address.form != SocketAddress::Form::kName) return false;
      const auto found = names.find(server.address.name);
      return found == names.end() || found->second->addresses.empty();
    });
  }

  void Ask(Name& name) {
    resolve(name.name, [weak = weak_from_this(), text = name.name](Result<Resolved> answer) {
      if (const auto self = weak.lock()) self->OnResolved(text, std::move(answer));
    });
  }

  void OnResolved(const std::string& text, Result<Resolved> answer) {
    const auto found = names.find(text);
    if (found == names.end()) return;  // no longer configured
    Name& name = *found->second;
    name.answered = true;
    if (!answer || answer->addresses.empty()) {
      const Duration backoff =
          std::min(kLongestBackoff, Duration(std::chrono::seconds(1)) *
                                        (1 << std::min<std::uint32_t>(name.failures, 5)));
      if (name.failures++ == 0) {
        log::Warning(
            "cannot resolve {}: {}; {}", name.name,
            answer ? "no addresses" : answer.error().message,
            name.addresses.empty() ? "its pools go without it" : "keeping its last addresses");
      }
      name.timer.SetAfter(backoff);
      return;
    }
    if (name.failures != 0) log::Info("{} resolves again", name.name);
    name.failures = 0;
    name.timer.SetAfter(std::clamp(answer->ttl, kShortestTtl, kLongestTtl));
    if (name.addresses == answer->addresses) return;
    name.addresses = std::move(answer->addresses);
    for (const std::shared_ptr<Pool>& pool : pools) {
      const auto& servers = pool->config().servers;
      if (std::any_of(servers.begin(), servers.end(), [&](const auto& server) {
            return server.address.form == SocketAddress::Form::kName && server.address.name == text;
          })) {
        Refresh(*pool);
      }
    }
    UpdateChecks();
  }

  void Refresh(Pool& pool) {
    std::shared_ptr<const PoolMembers> members = FindMembers(pool.config());
    if (members->empty() && WaitsForName(pool.config())) return;  // what it began with stays
    if (SameMembers(*members, *pool.members())) return;
    log::Info("pool {}: servers are now {}", pool.config().name, Describe(*members));
    pool.SetMembers(std::move(members));
    TellEarlier(pool);
  }

  void Adopt(std::vector<std::shared_ptr<Pool>> adopted) {
    const std::vector<std::shared_ptr<Pool>> before = std::exchange(pools, std::move(adopted));
    for (const std::shared_ptr<Pool>& pool : pools) {
      if (pool->admission()) pool->admission()->Configure(pool->config().admission, loop.now());
    }
    std::map<std::string, std::unique_ptr<Name>> kept;
    std::vector<Name*> fresh;
    for (const std::shared_ptr<Pool>& pool : pools) {
      for (const ServerConfig& server : pool->config().servers) {
        const std::string& text = server.address.name;
        if (server.address.form != SocketAddress::Form::kName || kept.count(text) != 0) continue;
        if (const auto found = names.find(text); found != names.end()) {
          kept[text] = std::move(found->second);
        } else {
          fresh.push_back((kept[text] = std::make_unique<Name>(*this, text)).get());
        }
      }
    }
    names = std::move(kept);
    for (const std::shared_ptr<Pool>& pool : pools) Refresh(*pool);
    UpdateChecks();
    AdoptHolds(before);
    for (Name* name : fresh) Ask(*name);
  }

  // A check for each member of each pool that has checks: those that are the same go on
  // undisturbed.
  void UpdateChecks() {
    std::map<Endpoint*, std::unique_ptr<HealthCheck>> kept;
    for (const std::shared_ptr<Pool>& pool : pools) {
      const std::optional<HealthCheckConfig>& config = pool->config().health_check;
      for (const PoolMember& member : *pool->members()) {
        Endpoint* endpoint = member.endpoint.get();
        if (!config) {
          endpoint->healthy.store(true, std::memory_order_relaxed);
          continue;
        }
        if (kept.count(endpoint) != 0) continue;
        const auto found = checks.find(endpoint);
        const UpstreamProtocol protocol = pool->config().protocol;
        const bool same = found != checks.end() && found->second->Same(*config, protocol);
        kept[endpoint] = same ? std::move(found->second)
                              : std::make_unique<HealthCheck>(loop, pool->config().name,
                                                              member.endpoint, *config, protocol);
        kept[endpoint]->UseTls(pool->tls());
      }
    }
    checks = std::move(kept);
    UpdateContacts();
    std::erase_if(endpoints, [](const auto& entry) { return entry.second.expired(); });
  }

  // One for each member that was not one before. Where there are health checks these will tell.
  void UpdateContacts() {
    std::map<Endpoint*, std::unique_ptr<FirstContact>> kept;
    for (const std::shared_ptr<Pool>& pool : pools) {
      for (const PoolMember& member : *pool->members()) {
        Endpoint* endpoint = member.endpoint.get();
        const auto [at, is_first] = kept.try_emplace(endpoint);
        if (!is_first || pool->config().health_check) continue;
        if (const auto found = contacts.find(endpoint); found != contacts.end()) {
          at->second = std::move(found->second);
        } else {
          at->second = std::make_unique<FirstContact>(
              loop, endpoint->address, pool->config().timeouts.connect,
              [this, endpoint](std::string_view why) { OnNoContact(*endpoint, why); });
        }
      }
    }
    contacts = std::move(kept);
  }

  // As if a visitor had been refused; where one has tried already, what he found is the better word. A backup has no
  // visitors who would find out that it is there again.
  void OnNoContact(Endpoint& endpoint, std::string_view why) {
    for (const std::shared_ptr<Pool>& pool : pools) {
      const std::shared_ptr<const PoolMembers> members = pool->members();
      const auto member = std::find_if(members->begin(), members->end(), [&](const auto& each) {
        return each.endpoint.get() == &endpoint;
      });
      if (member == members->end()) continue;
      log::Warning("pool {}: {} takes no connection: {}", pool->config().name, endpoint.text, why);
      if (member->backup || endpoint.requests.load(std::memory_order_relaxed) != 0) return;
      endpoint.refuses.store(true, std::memory_order_relaxed);
      const bool all_known = !WaitsForName(pool->config());
      if (pool->hold() && all_known && pool->AllOut()) pool->NoteDown(loop.now());
      return;
    }
  }

  Loop& loop;
  const Resolve resolve;
  std::vector<std::shared_ptr<Pool>> pools;  // in force
  std::vector<std::weak_ptr<Pool>> earlier;  // which requests under way may still have
  std::map<std::string, std::unique_ptr<Name>> names;
  std::map<std::pair<std::string, std::string>, std::weak_ptr<Endpoint>> endpoints;
  std::map<Endpoint*, std::unique_ptr<HealthCheck>> checks;
  std::map<Endpoint*, std::unique_ptr<FirstContact>>
      contacts;  // of all members; null: none was made
  std::map<std::string, std::unique_ptr<OutageWatch>> watches;  // by pool
};

PoolKeeper::PoolKeeper(Loop& loop, Resolver& resolver)
    : PoolKeeper(loop, [&resolver](const std::string& name, auto done) {
        resolver.Resolve(name, std::move(done));
      }) {}

PoolKeeper::PoolKeeper(Loop& loop, Resolve resolve)
    : impl_(std::make_shared<Impl>(loop, std::move(resolve))) {}

PoolKeeper::~PoolKeeper() = default;

std::vector<std::shared_ptr<Pool>> PoolKeeper::Build(
    std::span<const PoolConfig> configs,
    std::span<const std::shared_ptr<const TlsClientContext>> tls) {
  std::vector<std::shared_ptr<Pool>> pools;
  for (const PoolConfig& config : configs) {
    std::shared_ptr<PoolAdmission> admission = impl_->FindAdmission(config);
    std::shared_ptr<PoolHold> hold = impl_->FindHold(config, admission);
    auto pool = std::make_shared<Pool>(config, tls.empty() ? nullptr : tls[pools.size()],
                                       std::move(admission), std::move(hold));
    std::shared_ptr<const PoolMembers> members = impl_->FindMembers(config);
    if (members->empty() && impl_->WaitsForName(config)) {
      for (const std::shared_ptr<Pool>& old : impl_->pools) {
        const bool same = old->config().name == config.name && old->config().tls == config.tls;
        if (same) members = old->members();
      }
    }
    pool->SetMembers(std::move(members));
    pools.push_back(std::move(pool));
  }
  return pools;
}

void PoolKeeper::Adopt(std::vector<std::shared_ptr<Pool>> pools) {
  impl_->Adopt(std::move(pools));
}

bool PoolKeeper::settled() const {
  return std::all_of(impl_->names.begin(), impl_->names.end(),
                     [](const auto& entry) { return entry.second->answered; });
}

}  // namespace spillway
