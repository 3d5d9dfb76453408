// SPDX-License-Identifier: MIT
// How a configuration is put in force: first all of it that can fail, which changes nothing, and then
// the rest, which cannot.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "proxy/bot_checks.h"
#include "proxy/check.h"
#include "proxy/log.h"
#include "proxy/server_impl.h"

namespace spillway {
namespace {

constexpr Duration kRetirement = 1s;  // of an admin address that a reload replaced

std::string Trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// What `check` warns of, a line each.
void LogWarnings(const Diagnostics& warnings) {
  constexpr std::string_view kWord = "warning: ";  // which the level says
  for (Diagnostic warning : warnings) {
    if (warning.message.starts_with(kWord)) warning.message.erase(0, kWord.size());
    warning.source.clear();
    log::Warning("{}", Trimmed(Format(warning)));
  }
}

}  // namespace

Result<Server::Impl::Prepared> Server::Impl::Prepare(Config config) {
  Prepared prepared;
  const AdminConfig admin_config = config.admin;
  const AccessLogConfig log_config = config.access_log;
  Result<Blueprint> blueprint =
      BuildGeneration(std::move(config), generation.get(), keeper, constants);
  if (!blueprint) return Fail(blueprint.error().message);
  prepared.blueprint = std::move(*blueprint);
  const Config& next = prepared.blueprint.generation->config;

  auto opened = listeners.OpenNew(next.listeners, constants.workers, &succession.sockets());
  if (!opened) return Fail(opened.error().message);
  prepared.opened = std::move(*opened);

  if (admin_config.address) {
    Result<AdminGuard> guard = MakeAdminGuard(admin_config);
    if (!guard) return Fail(guard.error().message);
    prepared.guard = std::move(*guard);
    const bool kept = admin && generation->config.admin.address == admin_config.address;
    if (!kept) {
      auto fresh = AdminServer::Open(loop, server, *admin_config.address, *prepared.guard,
                                     succession.TakeAdminSocket(*admin_config.address));
      if (!fresh) return Fail(fresh.error().message + Hint(*admin_config.address));
      prepared.new_admin = std::move(*fresh);
    }
  }
  // Last, since it takes effect at once. It leaves the old log alone when it fails.
  if (Result<void> log = access_log->Open(log_config); !log) {
    return Fail("access_log: " + log.error().message);
  }
  return prepared;
}

// The port that a new admin address is refused on may be held by our own admin side, which stays
// until the new one is there: 127.0.0.1:9901 does not widen to :9901 while it runs.
std::string Server::Impl::Hint(const SocketAddress& refused) const {
  const bool ours = admin && refused.form == SocketAddress::Form::kIp &&
                    admin->address().ends_with(":" + std::to_string(refused.port));
  if (!ours) return {};
  return "; the present admin address has this port until it is given up: this change needs "
         "another port, or a restart";
}

void Server::Impl::Commit(Prepared prepared) {
  prepared.blueprint.Reconfigure(loop.now());
  if (generation) earlier.Add(generation);
  generation = prepared.blueprint.generation;
  const Config& config = generation->config;
  log::SetLevel(config.log_level);
  places.upstreams().Allow(generation->most_upstreams);
  keeper.Adopt(generation->pools);
  if (bot_resolver.Use(config.bots.nameservers)) constants.bots->BeginAgain();
  toggles.Configure(config, succession.TakeState());
  auto added = listeners.Adopt(std::move(prepared.opened), config.listeners, constants.workers);
  workers.Adopt(generation, toggles.toggles().States(), std::move(added));
  if (prepared.new_admin || !prepared.guard) {
    ReplaceAdmin(std::move(prepared.new_admin));
  } else {
    admin->SetGuard(std::move(*prepared.guard));
  }
  LogWarnings(config.warnings);
  const auto rules = config.policy->rules();
  const bool challenges = std::any_of(
      rules.begin(), rules.end(), [](const RuleInfo& rule) { return rule.action == "challenge"; });
  if (config.clients.max_connections > generation->most_connections) {
    log::Warning(
        "clients.max_connections: {} is more than {}, which the limit of {} descriptors "
        "allows: that many are open at once, others wait",
        config.clients.max_connections, generation->most_connections, constants.descriptors);
  }
  if (challenges && config.challenge.key_file.empty() && !std::exchange(told_of_key, true)) {
    log::Info(
        "the challenge key was made at the start: passes end with this process; set "
        "challenge.key_file to keep them");
  }
}

// The old one goes a little later: the order to reload may be a request to it that waits for its
// answer.
void Server::Impl::ReplaceAdmin(std::unique_ptr<AdminServer> fresh) {
  if (fresh) log::Info("admin on {}", fresh->address());
  if (admin) {
    admin->StopListening();
    retired_admin.push_back(std::move(admin));
    retired_timer.SetAfter(kRetirement);
  }
  admin = std::move(fresh);
}

// The listeners that are not in `before`, told by their real addresses.
void Server::Impl::AnnounceListeners(const std::vector<std::string>& before) const {
  const std::vector<std::string> addresses = listeners.addresses();
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    if (std::find(before.begin(), before.end(), addresses[i]) != before.end()) continue;
    const ListenerConfig& listener = generation->config.listeners[i];
    log::Info("listening on {} ({}{})", addresses[i], listener.tls ? "https" : "http",
              listener.proxy_protocol ? ", PROXY protocol required" : "");
  }
}

std::string Server::Impl::Describe() const {
  const Config& config = generation->config;
  return fmt::format("{}; configuration {:016x} from {}", Summarise(config), config.digest,
                     config.file.empty() ? "the environment" : config.file);
}

Result<void> Server::Reload(std::string_view who) {
  Impl& impl = *impl_;
  if (impl.phase != Impl::Phase::kServing) return Fail("not while draining");
  ReloadStatus& status = impl.reload_status;
  status.when = impl.loop.wall_now();
  auto config = LoadTested(impl.options.config_path, impl.options.environment);
  const std::uint32_t asked_workers = config ? config->workers : 0;
  Result<Impl::Prepared> prepared =
      config ? impl.Prepare(std::move(*config)) : Fail(Format(config.error()));
  if (!prepared) {
    status.ok = false;
    ++status.failed;
    status.error = prepared.error().message;
    // A rotated log must be let go of even then.
    static_cast<void>(impl.access_log->Open(impl.generation->config.access_log));
    log::Error("reload by {} refused, nothing is changed:\n{}", who, Trimmed(status.error));
    return Fail(status.error);
  }
  const std::vector<std::string> before = impl.listeners.addresses();
  impl.Commit(std::move(*prepared));
  status.ok = true;
  ++status.succeeded;
  status.error.clear();
  if (asked_workers != 0 && asked_workers != impl.constants.workers) {
    log::Warning("workers: {} needs a restart; {} go on", asked_workers, impl.constants.workers);
  }
  if (Result<void> moved = impl.succession.MoveTo(impl.generation->config.takeover_socket);
      !moved) {
    log::Warning("{}; nobody can take over", moved.error().message);
  }
  impl.AnnounceListeners(before);
  log::Info("reloaded by {}, generation {}: {}", who, impl.generation->number, impl.Describe());
  impl.WatchSignals();
  return {};
}

Result<std::string> Server::Check() const {
  Result<Checked> checked = CheckReload(impl_->options.config_path, impl_->options.environment);
  if (!checked) return Fail(checked.error().message);
  return std::move(checked->summary);
}

}  // namespace spillway
