// SPDX-License-Identifier: MIT
#include "proxy/worker.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <thread>
#include <utility>

#include "proxy/client_connection.h"
#include "proxy/log.h"
#include "proxy/worker_context.h"

namespace spillway {
namespace {

// How many connections one readiness event accepts, at most, before those that are open get their
// turn.
constexpr int kAcceptsPerTurn = 64;

// To find that nobody is left in the backlog costs a system call, and the loop says so for nothing.
// So an event accepts as many as the ones before it found, which most often is one, and more when it
// has found so many for so often.
constexpr int kEventsUntilMore = 8;

// More than a listener's backlog holds (proxy/socket.h).
constexpr int kBacklog = 8192;

// How long accepting pauses; the backlog holds what comes meanwhile. When descriptors have run out:
constexpr Duration kAcceptPause = 50ms;
// When as many connections are open as may be: one of another worker may end, which does not tell.
constexpr Duration kFullPause = 20ms;

// A connection that waits for its client is left alone for so long, whoever wants its place.
constexpr Duration kGiveUpAfter = 1s;

// How many places a worker gives to another at a time; it asks again after its pause.
constexpr int kGivenToOthers = 16;

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

// Whether a client is in the backlog: only then is anybody's place given up.
bool SomebodyWaits(int listener) {
  pollfd ready{listener, POLLIN, 0};
  return poll(&ready, 1, 0) == 1;
}

}  // namespace

struct Worker::Impl {
  Impl(std::size_t index, AccessLog& access_log, ConnectionPlaces& places, std::uint64_t seed,
       std::uint64_t id_seed)
      : context(index, access_log, places, seed, id_seed), resume(context.loop, this, &OnResume) {
    context.on_connection_gone = [this] { ConnectionGone(); };
  }
  ~Impl() { context.on_connection_gone = nullptr; }

  struct Listener {
    Listener(Impl& owner, WorkerListener from)
        : impl(owner),
          fd(std::move(from.fd)),
          id(std::move(from.id)),
          watch(owner.context.loop, fd.get(), this, &OnReadable, nullptr) {}
    static void OnReadable(void* self) {
      auto* listener = static_cast<Listener*>(self);
      const std::uint64_t most = listener->impl.context.generation->shared->most_connections;
      listener->Found(listener->impl.AcceptFrom(*listener, listener->expected, most));
    }
    void Found(int accepted) {
      if (accepted < expected) {
        expected = std::max(accepted, 1);
        events_with_more = 0;
      } else if (++events_with_more == kEventsUntilMore) {
        expected = std::min(2 * expected, kAcceptsPerTurn);
        events_with_more = 0;
      }
    }
    Impl& impl;
    Fd fd;
    ListenerId id;
    std::shared_ptr<const TlsContext> tls;  // null: plain
    bool proxy_protocol = false;
    bool http2_in_clear = false;
    IoWatch watch;
    int expected = 1;          // in its backlog, when it is ready
    int events_with_more = 0;  // that found as many one after another, and perhaps not all
  };

  void Adopt(std::shared_ptr<const Generation> generation, std::vector<bool> toggles,
             std::vector<WorkerListener> added);
  int AcceptFrom(Listener& listener, int most, std::uint64_t limit);
  void Pause(Duration time);
  void AcceptAgain();
  void CloseListener(Listener& listener);
  void Drain(std::function<void()> when_drained);
  void ConnectionGone();
  void CheckDrained();
  static void OnResume(void* self) { static_cast<Impl*>(self)->AcceptAgain(); }

  WorkerContext context;
  std::vector<std::unique_ptr<Listener>> listeners;
  Deadline resume;    // armed: accepting pauses until then
  bool full = false;  // it pauses at the connection limit, not for want of descriptors
  std::function<void()> drained;
  std::thread thread;
};

void Worker::Impl::Adopt(std::shared_ptr<const Generation> generation, std::vector<bool> toggles,
                         std::vector<WorkerListener> added) {
  const LocalRef next(
      new LocalGeneration(std::move(generation), std::move(toggles), context.index));
  const std::vector<ListenerConfig>& configured = next->shared->config.listeners;
  const std::vector<ListenerId> ids = ListenerIds(configured);
  const auto find = [&](const Listener& listener) {
    return std::find(ids.begin(), ids.end(), listener.id);
  };
  std::vector<std::unique_ptr<Listener>> kept, gone;
  for (std::unique_ptr<Listener>& listener : listeners) {
    (find(*listener) != ids.end() ? kept : gone).push_back(std::move(listener));
  }
  listeners = std::move(kept);
  for (const auto& listener : gone) CloseListener(*listener);

  context.generation = next;
  for (WorkerListener& each : added) {
    listeners.push_back(std::make_unique<Listener>(*this, std::move(each)));
  }
  for (const auto& listener : listeners) {
    const auto found = static_cast<std::size_t>(find(*listener) - ids.begin());
    listener->tls = next->shared->tls[found];
    listener->proxy_protocol = configured[found].proxy_protocol;
    listener->http2_in_clear = configured[found].speaks_http2() && !configured[found].tls;
  }
  if (full || !resume.armed()) AcceptAgain();  // there may be new listeners, or a higher limit
}

// What is in the backlog has connected already and is still served, whatever the limit.
void Worker::Impl::CloseListener(Listener& listener) {
  listener.watch.WantRead(false);
  AcceptFrom(listener, kBacklog, kNoLimit);
}

// How many it has accepted.
int Worker::Impl::AcceptFrom(Listener& listener, int most, std::uint64_t limit) {
  int count = 0;
  for (int i = 0; i < most; ++i) {
    if (!context.places.TryTake(limit)) {
      if (!SomebodyWaits(listener.fd.get())) return count;
      if (context.GiveUpOne(kGiveUpAfter)) continue;
      full = true;
      context.places.AskOthers(context.index);
      Pause(kFullPause);
      return count;
    }
    std::optional<Accepted> accepted = Accept(listener.fd.get());
    if (!accepted) {
      context.places.Free();
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return count;
      if (!SomebodyWaits(listener.fd.get())) return count;  // the kernel takes the descriptor first
      if (context.GiveUpOne(kGiveUpAfter)) continue;
      // Out of descriptors or memory. Level-triggered readiness would spin here: pause instead.
      log::Warning("cannot accept: {}", std::strerror(errno));
      context.counters.accept_pauses.Add();
      full = false;
      Pause(kAcceptPause);
      return count;
    }
    auto connection =
        std::make_unique<ClientConnection>(context, std::move(*accepted), listener.tls,
                                           listener.proxy_protocol, listener.http2_in_clear);
    ClientConnection* started = connection.get();
    context.Add(std::move(connection));
    started->Start();
    ++count;
  }
  return count;
}

void Worker::Impl::Pause(Duration time) {
  for (const auto& each : listeners) each->watch.WantRead(false);
  resume.SetAfter(time);
}

void Worker::Impl::AcceptAgain() {
  full = false;
  resume.Clear();
  for (const auto& each : listeners) each->watch.WantRead(true);
}

void Worker::Impl::ConnectionGone() {
  context.places.Free();
  if (full) resume.Set(context.loop.now());
  CheckDrained();
}

void Worker::Impl::Drain(std::function<void()> when_drained) {
  context.draining = true;
  drained = std::move(when_drained);
  for (const auto& listener : listeners) CloseListener(*listener);
  listeners.clear();
  context.ForEach([](ClientConnection& connection) { connection.Drain(); });
  CheckDrained();
}

void Worker::Impl::CheckDrained() {
  if (!context.draining || !drained || context.connection_count() > 0) return;
  std::exchange(drained, nullptr)();
}

Worker::Worker(std::size_t index, AccessLog& access_log, ConnectionPlaces& places,
               std::uint64_t seed, std::uint64_t id_seed)
    : impl_(std::make_unique<Impl>(index, access_log, places, seed, id_seed)) {}

Worker::~Worker() = default;

void Worker::Start() {
  impl_->thread = std::thread([this] { impl_->context.loop.Run(); });
}

void Worker::Join() {
  if (impl_->thread.joinable()) impl_->thread.join();
}

void Worker::Adopt(std::shared_ptr<const Generation> generation, std::vector<bool> toggles,
                   std::vector<WorkerListener> added) {
  // std::function wants a copyable task; descriptors move only.
  auto listeners = std::make_shared<std::vector<WorkerListener>>(std::move(added));
  impl_->context.loop.Post([impl = impl_.get(), generation = std::move(generation),
                            toggles = std::move(toggles), listeners]() mutable {
    impl->Adopt(std::move(generation), std::move(toggles), std::move(*listeners));
  });
}

void Worker::SetToggle(std::uint64_t generation, std::uint32_t toggle, bool on) {
  impl_->context.loop.Post([impl = impl_.get(), generation, toggle, on] {
    LocalGeneration& local = *impl->context.generation;
    if (local.shared->number == generation) local.toggles[toggle] = on;
  });
}

void Worker::Drain(std::function<void()> drained) {
  impl_->context.loop.Post([impl = impl_.get(), drained = std::move(drained)]() mutable {
    impl->Drain(std::move(drained));
  });
}

void Worker::GiveUpSome() {
  impl_->context.loop.Post([&context = impl_->context] {
    for (int i = 0; i < kGivenToOthers && context.GiveUpOne(kGiveUpAfter); ++i) {
    }
  });
}

void Worker::EndIdleUpstreams(std::shared_ptr<void> heard) {
  impl_->context.loop.Post(
      [&context = impl_->context, heard = std::move(heard)] { context.EndIdleUpstreams(); });
}

void Worker::FindReceipt(std::string id, std::function<void(const FoundReceipt&)> found) {
  impl_->context.loop.Post([&context = impl_->context, id = std::move(id),
                            found = std::move(found)] { found(context.receipts.Search(id)); });
}

void Worker::OnTurn(std::function<void()> task) {
  impl_->context.loop.Post(std::move(task));
}

void Worker::Stop() {
  impl_->context.loop.Stop();
}

const WorkerCounters& Worker::counters() const {
  return impl_->context.counters;
}

std::uint64_t Worker::kept_upstream_connections() const {
  return impl_->context.upstreams.size() + impl_->context.http2_upstreams.idle();
}

}  // namespace spillway
