// SPDX-License-Identifier: MIT
// Requests that are held while no server of a pool answers, as all workers share them, and each worker's
// desk, where its requests hear what became of them.
//
//   exchange -> Held -> PoolHold (one lock) -> HoldLine
//      ^                   |  ^
//      '--- desk of the <--'  '-- outage watch of the control thread: a server is back
//           worker
//
// While servers answer all this costs a request is one look at an atomic.
//
// Thread rule: PoolHold may be used from any thread; a desk and its Held belong to one worker's loop
// thread, but for what a PoolHold puts on it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "proxy/loop.h"
#include "spillway/hold.h"
#include "spillway/units.h"

namespace spillway {

class HoldDesk;
class PoolAdmission;
class PoolHold;

// Who is held.
class HoldUser {
 public:
  // It is let out, or its time is over. Never within a call of its own.
  virtual void OnHoldEnd() = 0;

 protected:
  ~HoldUser() = default;
};

// One request's. What it holds is given back when it ends, however that is.
class Held {
 public:
  // REQUIRES: the desk and the user outlive it.
  Held(HoldDesk& desk, HoldUser& user) : desk_(desk), user_(user) {}
  ~Held() { Leave(); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  // False: it cannot be held. What is asked, `ask`, counts the first time.
  bool Enter(std::shared_ptr<PoolHold> hold, const HoldTicket& ask);
  // As this worker knows it.
  HoldTicket::State state() const { return state_; }
  void Answered(Duration took);
  void Leave();

 private:
  friend class HoldDesk;
  friend class PoolHold;
  HoldDesk& desk_;
  HoldUser& user_;
  std::shared_ptr<PoolHold> hold_;
  HoldTicket ticket_;
  HoldTicket::State state_ = HoldTicket::State::kOutside;
};

// Of one worker.
class HoldDesk {
 public:
  explicit HoldDesk(Loop& loop) : loop_(loop) {}
  Loop& loop() const { return loop_; }

 private:
  friend class Held;
  friend class PoolHold;
  void Put(Held* held);  // from any thread
  void Withdraw(Held* held);
  void Deliver();

  Loop& loop_;
  std::mutex mutex_;            // of the inbox
  std::vector<Held*> inbox_;    // what became of them is to be told
  std::vector<Held*> telling_;  // of them, those who are being told; null: no more
  std::atomic<bool> rung_{false};
};

class PoolHold {
 public:
  using State = HoldView::State;

  // `wake`: an outage's end is to be looked for, as often as there is somebody whom it would help; from
  // any thread.
  // `admission`: what those who are let out go through, or null.
  PoolHold(const HoldConfig& config, std::function<void()> wake,
           std::shared_ptr<PoolAdmission> admission);
  void Configure(const HoldConfig& config, TimePoint now, std::shared_ptr<PoolAdmission> admission);

  State state() const { return state_.load(std::memory_order_relaxed); }
  void Suspect(TimePoint now);
  bool Down(TimePoint now);  // false: that was known
  // A server is back.
  void Back(TimePoint now);
  // The same, every 50 ms while the state is not kUp: those whose time is over, or whose turn has come,
  // are told.
  void Look(TimePoint now);
  bool wanted(TimePoint now) const;
  // Somebody is not held: when to come back.
  Duration TurnAway(TimePoint now);
  HoldView View(TimePoint now) const;

 private:
  friend class Held;
  template <class Action>
  void Do(TimePoint now, Action action);

  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::shared_ptr<PoolAdmission> admission_;
  TimePoint latest_;  // workers' clocks differ by a turn of their loops: time does not go back
  HoldLine line_;
  std::atomic<State> state_{State::kUp};  // the line's
};

}  // namespace spillway
