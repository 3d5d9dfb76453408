// SPDX-License-Identifier: MIT
// The event loop over libevent's raw events. Three things are our own: the inbox that other threads
// post to, the laziness of deadlines, and the kernel's timer that the next of them rings.
#include "proxy/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
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
  // Nobody asks libevent for the time: it need not read the clock in each turn.
  event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME);
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

// All deadlines of the loop, the earliest on top, behind one timer: a connection has a deadline for
// as long as it lives, and an event for each would be most of what an idle one costs.
//
// The timer is a descriptor of the kernel's and no timeout of libevent's. For a wait with a timeout
// the kernel sets a timer and takes it away again, and libevent reads the clock, in each turn; this
// one is set anew when it has come, or something earlier is wanted: a few times in a second.
struct Loop::Timers {
  Timers(Loop& owner, int timer)
      : loop(owner),
        fd(timer),
        event_of_fd(event_new(owner.base_, fd, EV_READ | EV_PERSIST, &OnTimer, this)) {
    event_add(event_of_fd, nullptr);
  }
  ~Timers() {
    event_free(event_of_fd);
    close(fd);
  }

  struct Entry {
    TimePoint at;  // not later than its deadline, which may have moved on
    Deadline* deadline;
  };

  void Put(std::uint32_t place, Entry entry) {
    heap[place] = entry;
    entry.deadline->place_ = place;
  }

  void Rise(std::uint32_t place, Entry entry) {
    while (place > 0) {
      const std::uint32_t parent = (place - 1) / 2;
      if (heap[parent].at <= entry.at) break;
      Put(place, heap[parent]);
      place = parent;
    }
    Put(place, entry);
  }

  void Sink(std::uint32_t place, Entry entry) {
    for (;;) {
      std::uint32_t child = 2 * place + 1;
      if (child >= heap.size()) break;
      if (child + 1 < heap.size() && heap[child + 1].at < heap[child].at) ++child;
      if (entry.at <= heap[child].at) break;
      Put(place, heap[child]);
      place = child;
    }
    Put(place, entry);
  }

  void Add(Deadline* deadline) {
    // In the round that is running nothing is added: what is due at once waits for the next.
    const TimePoint at = std::max(deadline->when_, round_end + Duration(1));
    if (deadline->place_ == Deadline::kNowhere) {
      heap.push_back({});
      Rise(static_cast<std::uint32_t>(heap.size() - 1), {at, deadline});
    } else {
      Rise(deadline->place_, {at, deadline});
    }
    if (!in_round) Arm();
  }

  void Remove(Deadline* deadline) {
    const std::uint32_t place = deadline->place_;
    deadline->place_ = Deadline::kNowhere;
    const Entry last = heap.back();
    heap.pop_back();
    if (place == heap.size()) return;
    if (place > 0 && last.at < heap[(place - 1) / 2].at) {
      Rise(place, last);
    } else {
      Sink(place, last);
    }
  }

  void Arm() {
    if (heap.empty() || (pending && timer_at <= heap.front().at)) return;
    timer_at = heap.front().at;
    pending = true;
    // Of the clock that Tick reads; zero would mean never.
    const Duration at = std::max(timer_at.time_since_epoch(), Duration(1));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
    itimerspec when{};
    when.it_value.tv_sec = seconds.count();
    when.it_value.tv_nsec = (at - seconds).count();
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, nullptr);  // moves it, if pending
  }

  static void OnTimer(int fd, short, void* self) {
    std::uint64_t times;
    [[maybe_unused]] const ssize_t got = read(fd, &times, sizeof(times));
    static_cast<Timers*>(self)->Round();
  }

  void Round() {
    pending = false;
    loop.Tick();
    round_end = loop.now();
    in_round = true;
    while (!heap.empty() && heap.front().at <= round_end) {
      Deadline* deadline = heap.front().deadline;
      if (deadline->armed_ && deadline->when_ > heap.front().at) {
        Sink(0, {deadline->when_, deadline});  // it had moved on
        continue;
      }
      Remove(deadline);
      if (!std::exchange(deadline->armed_, false)) continue;
      deadline->expired_(deadline->self_);
      loop.Tick();
    }
    in_round = false;
    Arm();
  }

  Loop& loop;
  const int fd;
  event* const event_of_fd;
  std::vector<Entry> heap;
  TimePoint round_end;  // what is due until then is met in the round that is, or was last
  TimePoint timer_at;   // when the timer comes, if pending
  bool pending = false, in_round = false;
};

Loop::Loop() : base_(NewBase()), inbox_(std::make_unique<Inbox>(*this)) {
  if (base_ == nullptr) throw std::runtime_error("cannot create an event loop");
  inbox_->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (inbox_->fd < 0 || timer < 0) {
    if (timer >= 0) close(timer);
    inbox_.reset();
    event_base_free(base_);
    throw std::runtime_error("cannot create an event descriptor");
  }
  inbox_->wake = event_new(base_, inbox_->fd, EV_READ | EV_PERSIST, &Inbox::OnWake, inbox_.get());
  event_add(inbox_->wake, nullptr);
  timers_ = std::make_unique<Timers>(*this, timer);
  Tick();
}

Loop::~Loop() {
  timers_.reset();
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
    : loop_(loop), self_(self), readable_(readable), writable_(writable), fd_(fd) {
  event_assign(read_event(), loop_.base_, fd_, EV_READ | EV_PERSIST, &OnRead, this);
}

IoWatch::~IoWatch() {
  Stop();
  if (gone_ != nullptr) *gone_ = true;
}

void IoWatch::Stop() {
  WantRead(false);
  wants_write_ = false;
  stopped_ = true;
  if (write_ != nullptr) event_free(std::exchange(write_, nullptr));
}

void IoWatch::WantRead(bool want) {
  if (want == wants_read_ || stopped_) return;
  wants_read_ = want;
  want ? event_add(read_event(), nullptr) : event_del(read_event());
}

void IoWatch::WantWrite(bool want) {
  if (want == wants_write_ || stopped_) return;
  wants_write_ = want;
  if (want && edges_) SetEdges(false);  // libevent has one way for each descriptor
  if (write_ == nullptr)
    write_ = event_new(loop_.base_, fd_, EV_WRITE | EV_PERSIST, &OnWrite, this);
  want ? event_add(write_, nullptr) : event_del(write_);
}

void IoWatch::UseEdges() {
  if (!edges_ && !stopped_) SetEdges(true);
}

void IoWatch::UseLevels() {
  if (edges_ && !stopped_) SetEdges(false);
}

// EV_CLOSED: that the stream has ended is told with what came before it, and no second edge would.
void IoWatch::SetEdges(bool edges) {
  edges_ = edges;
  if (wants_read_) event_del(read_event());
  const int how = edges ? EV_ET | EV_CLOSED : 0;
  event_assign(read_event(), loop_.base_, fd_, static_cast<short>(EV_READ | EV_PERSIST | how),
               &OnRead, this);
  if (wants_read_) event_add(read_event(), nullptr);
}

bool IoWatch::read_is_due() const {
  return (reinterpret_cast<const event*>(read_room_.bytes)->ev_evcallback.evcb_flags &
          EVLIST_ACTIVE) != 0;
}

// After the callback the watch may be gone.
void IoWatch::OnRead(int, short what, void* self) {
  auto* watch = static_cast<IoWatch*>(self);
  watch->loop_.Tick();
  if (!watch->edges_) return watch->readable_(watch->self_);
  bool gone = false;
  watch->gone_ = &gone;
  watch->seen_empty_ = false;
  watch->readable_(watch->self_);
  if (gone) return;
  watch->gone_ = nullptr;
  const bool all = watch->seen_empty_ && (what & EV_CLOSED) == 0;
  if (!all && watch->edges_ && !watch->stopped_) watch->SetEdges(false);
}

void IoWatch::OnWrite(int, short, void* self) {
  auto* watch = static_cast<IoWatch*>(self);
  watch->loop_.Tick();
  watch->writable_(watch->self_);
}

Deadline::~Deadline() {
  if (place_ != kNowhere) loop_.timers_->Remove(this);
}

void Deadline::Set(TimePoint when) {
  when_ = when;
  armed_ = true;
  Loop::Timers& timers = *loop_.timers_;
  if (place_ != kNowhere && timers.heap[place_].at <= when) return;  // looks again then
  timers.Add(this);
}

TurnEnd::TurnEnd(Loop& loop, void* self, Callback reached)
    : loop_(loop), self_(self), reached_(reached) {
  event_assign(reinterpret_cast<event*>(room_.bytes), loop_.base(), -1, 0, &OnReached, this);
}

TurnEnd::~TurnEnd() {
  Forget();
}

// Behind all that is active already; libevent goes on until there is none.
void TurnEnd::Ask() {
  if (std::exchange(asked_, true)) return;
  event_active(reinterpret_cast<event*>(room_.bytes), EV_TIMEOUT, 1);
}

void TurnEnd::Forget() {
  if (std::exchange(asked_, false)) event_del(reinterpret_cast<event*>(room_.bytes));
}

void TurnEnd::OnReached(int, short, void* self) {
  auto* end = static_cast<TurnEnd*>(self);
  end->asked_ = false;
  end->loop_.Tick();
  end->reached_(end->self_);
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
