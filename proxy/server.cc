// SPDX-License-Identifier: MIT
#include "proxy/server.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>

#include "proxy/access_log.h"
#include "proxy/admin.h"
#include "proxy/bot_checks.h"
#include "proxy/bot_resolver.h"
#include "proxy/check.h"
#include "proxy/cpus.h"
#include "proxy/crypto.h"
#include "proxy/earlier_generations.h"
#include "proxy/generation_builder.h"
#include "proxy/listeners.h"
#include "proxy/log.h"
#include "proxy/pool_keeper.h"
#include "proxy/resolver.h"
#include "proxy/succession.h"
#include "proxy/tls_tickets.h"
#include "proxy/toggle_keeper.h"
#include "proxy/version.h"
#include "proxy/watched_signals.h"
#include "proxy/workers.h"

namespace spillway {
namespace {

// Between the last worker's end and the loop's: an answer of the admin side may still be on its
// way.
constexpr Duration kLastWords = 50ms;

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

struct Server::Impl {
  Impl(Server& owner, Loop& loop_in, Options options_in)
      : server(owner),
        loop(loop_in),
        options(std::move(options_in)),
        resolver(loop),
        bot_resolver(loop),
        keeper(loop, resolver),
        toggles(loop, [this](std::size_t index, bool on) { OnToggle(index, on); }),
        drain_timer(loop, this, [](void* self) { static_cast<Impl*>(self)->OnDrainTimer(); }),
        retired_timer(loop, this,
                      [](void* self) { static_cast<Impl*>(self)->retired_admin.clear(); }),
        ticket_timer(loop, this, [](void* self) { static_cast<Impl*>(self)->RotateTickets(); }),
        succession(
            loop, options.manager, [this] { return Offer(); },
            [this](int heir) { HandedOver(heir); }),
        started(loop.now()),
        signals(loop) {}

  // Everything that can fail of putting a configuration in force, done; nothing is changed yet.
  struct Prepared {
    Blueprint blueprint;
    std::vector<OpenedListener> opened;
    std::optional<AdminGuard> guard;         // the admin side is on
    std::unique_ptr<AdminServer> new_admin;  // at another address than before
  };

  Result<Prepared> Prepare(Config config);
  Result<Estate> Offer() const;
  void HandedOver(int heir);
  std::string Hint(const SocketAddress& refused) const;
  void Commit(Prepared prepared);
  void ReplaceAdmin(std::unique_ptr<AdminServer> fresh);
  void RotateTickets();
  void OnToggle(std::size_t index, bool on);
  void WatchSignals();
  void AnnounceListeners(const std::vector<std::string>& before) const;
  std::string Describe() const;
  void BeginDraining();
  void OnDrainTimer();
  void OnWorkerDrained();
  void End();

  enum class Phase { kStarting, kServing, kDelaying, kDraining, kEnding };

  Server& server;
  Loop& loop;
  const Options options;
  ProcessConstants constants;
  Resolver resolver;
  BotResolver bot_resolver;
  PoolKeeper keeper;
  ToggleKeeper toggles;
  Deadline drain_timer, retired_timer, ticket_timer;
  Succession succession;
  std::shared_ptr<TicketKeys> ticket_keys;
  const TimePoint started;
  Phase phase = Phase::kStarting;
  ReloadStatus reload_status;
  Listeners listeners;
  std::shared_ptr<const Generation> generation;
  EarlierGenerations earlier;
  std::unique_ptr<AccessLog> access_log;
  ConnectionPlaces places;
  Workers workers;  // destroyed before the log they write to
  std::unique_ptr<AdminServer> admin;
  std::vector<std::unique_ptr<AdminServer>> retired_admin;
  WatchedSignals signals;
  std::size_t undrained = 0;
  bool told_of_key = false;
  bool settled = false;  // once ready, a new name to look up does not make us unready again
  // Tasks posted to the loop look here whether the server is still there.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

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

// ---- from one process to the next

Result<Estate> Server::Impl::Offer() const {
  if (phase != Phase::kServing) return Fail("not while draining");
  Estate estate;
  Result<std::vector<HandedListener>> copies = listeners.Duplicate();
  if (!copies) return Fail(copies.error().message);
  estate.listeners = std::move(*copies);
  if (admin) {
    Result<Fd> socket = admin->DuplicateSocket();
    if (!socket) return Fail(socket.error().message);
    estate.admin = generation->config.admin.address->text;
    estate.admin_socket = std::move(*socket);
  }
  estate.state = toggles.Saved();
  return estate;
}

// The other process serves from the same sockets, so nothing waits for this one any more but what
// is under way.
void Server::Impl::HandedOver(int heir) {
  if (phase == Phase::kServing || phase == Phase::kDelaying) {
    log::Info("process {} serves now: at most {} more for what is under way here", heir,
              FormatDuration(generation->config.shutdown.timeout));
    listeners.LetGo(/*inherited=*/true);
    toggles.LetGo();
    if (admin) admin->LeaveListening();
    BeginDraining();
  }
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

void Server::Impl::RotateTickets() {
  ticket_keys->Rotate();
  ticket_timer.SetAfter(TicketKeys::kKeyLife);
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

void Server::Impl::OnToggle(std::size_t index, bool on) {
  workers.SetToggle(generation->number, static_cast<std::uint32_t>(index), on);
}

void Server::Impl::WatchSignals() {
  // The server logs what came of it.
  signals.Watch(SIGHUP, [this] { static_cast<void>(server.Reload("signal HUP")); });
  signals.Watch(SIGTERM, [this] { server.Drain("signal TERM"); });
  signals.Watch(SIGINT, [this] {
    log::Info("signal INT: stopping at once");
    server.Quit();
  });
  std::vector<int> flips = {SIGUSR1, SIGUSR2};
  for (const ToggleConfig& toggle : generation->config.toggles) {
    if (toggle.signal != 0) flips.push_back(toggle.signal);
  }
  for (const int signal : flips) {
    signals.Watch(signal, [this, signal] { toggles.Signal(signal); });
  }
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

void Server::Impl::BeginDraining() {
  phase = Phase::kDraining;
  listeners.LetGo(/*inherited=*/false);  // nothing changes where another process has them
  undrained = workers.size();
  drain_timer.SetAfter(generation->config.shutdown.timeout);
  workers.Drain([this, here = std::weak_ptr<bool>(alive), &to = loop] {
    to.Post([this, here] {
      if (here.lock()) OnWorkerDrained();
    });
  });
}

void Server::Impl::OnWorkerDrained() {
  if (phase != Phase::kDraining || --undrained > 0) return;
  log::Info("drained");
  End();
}

void Server::Impl::OnDrainTimer() {
  switch (phase) {
    case Phase::kDelaying:
      BeginDraining();
      break;
    case Phase::kDraining:
      log::Warning("shutdown.timeout is over: cutting what is left");
      End();
      break;
    case Phase::kEnding:
      loop.Stop();
      break;
    case Phase::kStarting:
    case Phase::kServing:
      break;
  }
}

void Server::Impl::End() {
  phase = Phase::kEnding;
  workers.Stop();
  access_log->Flush();
  drain_timer.SetAfter(kLastWords);
}

Server::Server(Loop& loop, Options options)
    : impl_(std::make_unique<Impl>(*this, loop, std::move(options))) {}

Server::~Server() {
  impl_->signals.Hold();
  impl_->workers.Stop();
}

Result<void> Server::Start() {
  Impl& impl = *impl_;
  impl.constants.descriptors = RaiseDescriptorLimit();
  impl.constants.hash_seed = SeedFor(impl.options.seed, "limit keys");
  impl.constants.memo_secret = {SeedFor(impl.options.seed, "memo, first half"),
                                SeedFor(impl.options.seed, "memo, second half")};
  impl.constants.bots = std::make_shared<BotChecks>(
      impl.loop, SeedFor(impl.options.seed, "robots"),
      [&impl](const IpAddress& client, const std::vector<std::string>& domains, auto done) {
        impl.bot_resolver.LookUp(client, domains, std::move(done));
      });
  impl.constants.ticket_keys = impl.ticket_keys = std::make_shared<TicketKeys>();
  impl.ticket_timer.SetAfter(TicketKeys::kKeyLife);
  auto config = LoadTested(impl.options.config_path, impl.options.environment);
  if (!config) return Fail(Format(config.error()));
  log::SetLevel(config->log_level);
  impl.constants.workers = config->workers != 0 ? config->workers : AvailableCpus();
  impl.access_log = std::make_unique<AccessLog>(impl.constants.workers);
  if (Result<void> begun = impl.succession.Begin(*config); !begun) return begun;
  auto prepared = impl.Prepare(std::move(*config));
  if (!prepared) return Fail(prepared.error().message);

  impl.workers.Start(impl.constants.workers, *impl.access_log, impl.places, impl.options.seed);
  impl.Commit(std::move(*prepared));
  impl.phase = Impl::Phase::kServing;
  impl.reload_status.when = impl.loop.wall_now();
  impl.AnnounceListeners({});
  log::Info("spillway {}: {} {}, {}", Version(), impl.workers.size(),
            impl.workers.size() == 1 ? "worker" : "workers", impl.Describe());
  impl.WatchSignals();  // after the threads are there: these keep the signals blocked
  bool took_over = false;
  const std::string& next = impl.generation->config.takeover_socket;
  if (Result<void> serves = impl.succession.Serve(next, &took_over); !serves) return serves;
  if (took_over && impl.admin) impl.admin->OwnPath();
  return {};
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

Result<void> Server::SetToggle(const std::string& name, bool on, std::optional<Duration> hold,
                               std::string_view cause, std::string_view reason) {
  return impl_->toggles.Set(name, on, hold, cause, reason);
}

void Server::Drain(std::string_view who) {
  Impl& impl = *impl_;
  if (impl.phase != Impl::Phase::kServing) return;
  const ShutdownConfig& shutdown = impl.generation->config.shutdown;
  if (shutdown.delay > Duration(0)) {
    impl.phase = Impl::Phase::kDelaying;
    impl.drain_timer.SetAfter(shutdown.delay);
  } else {
    impl.BeginDraining();
  }
  impl.succession.End();
  log::Info("draining by {}: accepting for {} more, then at most {} for what is under way", who,
            FormatDuration(shutdown.delay), FormatDuration(shutdown.timeout));
}

void Server::Quit() {
  Impl& impl = *impl_;
  impl.phase = Impl::Phase::kEnding;
  impl.workers.Stop();
  if (impl.access_log) impl.access_log->Flush();
  impl.loop.Stop();
}

bool Server::ready() const {
  impl_->settled = impl_->settled || impl_->keeper.settled();
  return impl_->phase == Impl::Phase::kServing && impl_->settled;
}
bool Server::draining() const {
  return impl_->phase > Impl::Phase::kServing;
}
const Generation& Server::generation() const {
  return *impl_->generation;
}
std::vector<ToggleStatus> Server::toggles() const {
  return impl_->toggles.toggles().Statuses();
}
const std::map<std::pair<std::string, std::string>, std::uint64_t>& Server::toggle_flips() const {
  return impl_->toggles.toggles().flips();
}
const ReloadStatus& Server::reload_status() const {
  return impl_->reload_status;
}

std::vector<const WorkerCounters*> Server::counters() const {
  return impl_->workers.counters();
}

ReceiptSearch Server::FindReceipt(const std::string& id) const {
  return impl_->workers.FindReceipt(id);
}

std::shared_ptr<const Generation> Server::FindGeneration(std::uint64_t number) const {
  return impl_->earlier.Find(number, impl_->generation);
}

std::uint64_t Server::kept_upstream_connections() const {
  return impl_->workers.kept_upstream_connections();
}

std::vector<std::string> Server::listening() const {
  return impl_->listeners.addresses();
}
std::uint64_t Server::access_log_dropped() const {
  return impl_->access_log->dropped();
}
TimePoint Server::now() const {
  return impl_->loop.now();
}
TimePoint Server::started() const {
  return impl_->started;
}
WallTime Server::wall_now() const {
  return impl_->loop.wall_now();
}

}  // namespace spillway
