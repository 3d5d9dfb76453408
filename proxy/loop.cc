// SPDX-License-Identifier: MIT
// The event loop over libevent's raw events. Two things are our own: the inbox that other threads
// post to, and the laziness of deadlines.
#include "proxy/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include "proxy/log.h"

namespace spillway {
namespace {

static_assert(sizeof(event) <= sizeof(EventRoom::bytes));
static_assert(alignof(event) <= alignof(EventRoom));

Duration ReadClock(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
}

// Rounded up, so that a timer is seldom a turn too early; at least 1 ms, the grain of epoll_wait.
timeval ToTimeval(Duration after) {
  auto micros = std::chrono::ceil<std::chrono::microseconds>(after);
  micros = std::max<std::chrono::microseconds>(micros, std::chrono::milliseconds(1));
  const auto seconds = std::chrono::floor<std::chrono::seconds>(micros);
  timeval value;
  value.tv_sec = seconds.count();
  value.tv_usec = (micros - seconds).count();
  return value;
}

void LogFromLibevent(int severity, const char* text) {
  if (severity == EVENT_LOG_DEBUG) return;
  // One a second: out of descriptors, libevent complains of every connection that it cannot accept.
  static std::atomic<std::int64_t> last_second{-1};
  const auto second = std::chrono::floor<std::chrono::seconds>(ReadClock(CLOCK_MONOTONIC)).count();
  if (last_second.exchange(second) == second) return;
  log::Write(severity == EVENT_LOG_ERR ? log::Level::kError : log::Level::kWarning,
             std::string("libevent: ") + text);
}

event_base* NewBase() {
  static std::once_flag once;
  std::call_once(once, [] { event_set_log_callback(&LogFromLibevent); });
  event_config* config = event_config_new();
  if (config == nullptr) return nullptr;
  // No locks: other threads only come in through the inbox. The environment must not choose the
  // method.
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
  event_base* base = event_base_new_with_config(config);
  event_config_free(config);
  return base;
}

}  // namespace

void IgnoreSigpipe() {
  std::signal(SIGPIPE, SIG_IGN);
}

// Tasks from other threads. Unbounded: those who post are the control thread and a few ends of
// work.
struct Loop::Inbox {
  explicit Inbox(Loop& owner) : loop(owner) {}
  ~Inbox() {
    if (wake != nullptr) event_free(wake);
    if (fd >= 0) close(fd);
  }

  static void OnWake(int fd, short, void* self) {
    auto* inbox = static_cast<Inbox*>(self);
    std::uint64_t count;
    // Cleared before the tasks are taken: a task posted in between wakes us once more, for nothing.
    [[maybe_unused]] const ssize_t got = read(fd, &count, sizeof(count));
    {
      std::lock_guard lock(inbox->mutex);
      inbox->running.swap(inbox->waiting);
    }
    for (auto& task : inbox->running) {
      inbox->loop.Tick();
      std::exchange(task, nullptr)();
    }
    inbox->running.clear();
  }

  Loop& loop;
  int fd = -1;
  event* wake = nullptr;
  std::mutex mutex;
  std::vector<std::function<void()>> waiting;  // under mutex
  std::vector<std::function<void()>> running;  // the loop's
};

Loop::Loop() : base_(NewBase()), inbox_(std::make_unique<Inbox>(*this)) {
  if (base_ == nullptr) throw std::runtime_error("cannot create an event loop");
  inbox_->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (inbox_->fd < 0) {
    inbox_.reset();
    event_base_free(base_);
    throw std::runtime_error("cannot create an event descriptor");
  }
  inbox_->wake = event_new(base_, inbox_->fd, EV_READ | EV_PERSIST, &Inbox::OnWake, inbox_.get());
  event_add(inbox_->wake, nullptr);
  Tick();
}

Loop::~Loop() {
  inbox_.reset();
  event_base_free(base_);
}

WallTime Loop::wall_now() const {
  return WallTime(ReadClock(CLOCK_REALTIME));
}

void Loop::Tick() {
  now_ = TimePoint(ReadClock(CLOCK_MONOTONIC));
}

void Loop::Run() {
  Tick();
  event_base_loop(base_, EVLOOP_NO_EXIT_ON_EMPTY);
}

void Loop::Stop() {
  Post([this] { event_base_loopbreak(base_); });
}

void Loop::Post(std::function<void()> task) {
  bool first;
  {
    std::lock_guard lock(inbox_->mutex);
    first = inbox_->waiting.empty();
    inbox_->waiting.push_back(std::move(task));
  }
  if (!first) return;  // whoever made it non-empty has woken the loop
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t put = write(inbox_->fd, &one, sizeof(one));
}

IoWatch::IoWatch(Loop& loop, int fd, void* self, Callback readable, Callback writable)
    : loop_(loop), fd_(fd), self_(self), readable_(readable), writable_(writable) {
  read_ = reinterpret_cast<event*>(read_room_.bytes);
  event_assign(read_, loop_.base_, fd_, EV_READ | EV_PERSIST, &OnRead, this);
}

IoWatch::~IoWatch() {
  if (wants_read_) event_del(read_);
  if (write_ != nullptr) event_free(write_);
}

void IoWatch::WantRead(bool want) {
  if (want == wants_read_) return;
  wants_read_ = want;
  want ? event_add(read_, nullptr) : event_del(read_);
}

void IoWatch::WantWrite(bool want) {
  if (want == wants_write_) return;
  wants_write_ = want;
  if (write_ == nullptr)
    write_ = event_new(loop_.base_, fd_, EV_WRITE | EV_PERSIST, &OnWrite, this);
  want ? event_add(write_, nullptr) : event_del(write_);
}

bool IoWatch::read_is_due() const {
  return (read_->ev_evcallback.evcb_flags & EVLIST_ACTIVE) != 0;
}

void IoWatch::Rebind(void* self, Callback readable, Callback writable) {
  self_ = self;
  readable_ = readable;
  writable_ = writable;
}

// Nothing is touched after the callback: it may have destroyed the watch.
void IoWatch::OnRead(int, short, void* self) {
  auto* watch = static_cast<IoWatch*>(self);
  watch->loop_.Tick();
  watch->readable_(watch->self_);
}

void IoWatch::OnWrite(int, short, void* self) {
  auto* watch = static_cast<IoWatch*>(self);
  watch->loop_.Tick();
  watch->writable_(watch->self_);
}

Deadline::Deadline(Loop& loop, void* self, Callback expired)
    : loop_(loop), self_(self), expired_(expired) {
  timer_ = reinterpret_cast<event*>(room_.bytes);
  event_assign(timer_, loop_.base(), -1, 0, &OnTimer, this);
}

Deadline::~Deadline() {
  if (pending_) event_del(timer_);
}

void Deadline::Set(TimePoint when) {
  when_ = when;
  armed_ = true;
  if (pending_ && timer_at_ <= when) return;  // fires early, looks again then
  StartTimer();
}

// The timer stays where it is: it will find nothing to do, or a later deadline set meanwhile.
void Deadline::Clear() {
  armed_ = false;
}

void Deadline::StartTimer() {
  const timeval after = ToTimeval(when_ - loop_.now());
  event_add(timer_, &after);  // moves it, if pending
  timer_at_ = when_;
  pending_ = true;
}

void Deadline::OnTimer(int, short, void* self) {
  auto* deadline = static_cast<Deadline*>(self);
  deadline->pending_ = false;
  deadline->loop_.Tick();
  if (!deadline->armed_) return;
  if (deadline->loop_.now() < deadline->when_) {
    deadline->StartTimer();
    return;
  }
  deadline->armed_ = false;
  deadline->expired_(deadline->self_);
}

SignalWatch::SignalWatch(Loop& loop, int signal, std::function<void()> delivered)
    : loop_(loop), delivered_(std::move(delivered)) {
  event_ = evsignal_new(loop_.base(), signal, &OnSignal, this);
  if (event_ == nullptr || event_add(event_, nullptr) != 0) {
    throw std::runtime_error("cannot watch a signal");
  }
}

SignalWatch::~SignalWatch() {
  event_free(event_);
}

void SignalWatch::OnSignal(int, short, void* self) {
  auto* watch = static_cast<SignalWatch*>(self);
  watch->loop_.Tick();
  const auto delivered = watch->delivered_;  // a copy, for it may destroy the watch
  delivered();
}

}  // namespace spillway
