// SPDX-License-Identifier: MIT
#include "proxy/server.h"

#include <signal.h>

#include "proxy/bot_checks.h"
#include "proxy/check.h"
#include "proxy/cpus.h"
#include "proxy/crypto.h"
#include "proxy/log.h"
#include "proxy/server_impl.h"
#include "proxy/version.h"

namespace spillway {
namespace {

// Between the last worker's end and the loop's: an answer of the admin side may still be on its
// way.
constexpr Duration kLastWords = 50ms;

}  // namespace

Server::Impl::Impl(Server& owner, Loop& loop_in, Options options_in)
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

void Server::Impl::RotateTickets() {
  ticket_keys->Rotate();
  ticket_timer.SetAfter(TicketKeys::kKeyLife);
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
