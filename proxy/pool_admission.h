// SPDX-License-Identifier: MIT
// Admission to a pool as all workers share it, and each worker's desk, where its requests hear that
// their turn has come.
//
//   exchange -> Permit -> PoolAdmission (one lock) -> Admission
//      ^                        |
//      '---- desk of the worker <'   admitted, or shed, by whoever made it so
//
// Thread rule: PoolAdmission may be used from any thread; a desk and its permits belong to one
// worker's loop thread, but for what a PoolAdmission puts on it.
// Memory: a permit of about 200 bytes for each request that waits or is in flight; at most 1,024
// spare ones for each worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "proxy/loop.h"
#include "spillway/admission.h"
#include "spillway/units.h"

namespace spillway {

class AdmissionDesk;
class Permit;

// Who waits for its turn.
class AdmissionUser {
 public:
  // The permit is no longer queued: it is admitted or shed. Never within a call of its own.
  virtual void OnAdmission() = 0;

 protected:
  ~AdmissionUser() = default;
};

class PoolAdmission : public std::enable_shared_from_this<PoolAdmission> {
 public:
  // `name`: of the pool, for the log.
  PoolAdmission(std::string name, const AdmissionConfig& config, std::uint64_t seed, TimePoint now);
  void Configure(const AdmissionConfig& config, TimePoint now);
  AdmissionView View(TimePoint now) const;
  AdmissionLoad Load() const;
  void Pressure(double pressure, TimePoint now, AdmissionDesk* desk);

 private:
  friend class AdmissionDesk;
  friend class Permit;
  // Runs `action` on what is behind the lock, tells those whose turn it made, and sees to it that
  // somebody looks when the next thing is due. `desk`: the caller's; null: has none.
  template <class Action>
  void Do(TimePoint now, AdmissionDesk* desk, Action action);
  void Look(TimePoint now, AdmissionDesk* desk);  // as the desk has promised

  const std::string name_;
  // Held for some 100 ns: less than what two requests on two workers would have to tell each other
  // without it, since a place that one gives back may be another's at once. But for a tick, ten in a
  // second: in a crowd it walks those who are told, and those who wait for a route to answer (64 at most).
  mutable std::mutex mutex_;
  TimePoint latest_;  // workers' clocks differ by a turn of their loops: time does not go back
  TimePoint promised_ = TimePoint::max();  // when the first of the desks looks
  Admission admission_;
  std::vector<CappedRoute> capped_;  // as the log was told
  std::uint32_t cap_changes_ = 0;    // as of then
};

// One request's at one pool. What it holds is given back when it ends, however that is.
class Permit {
 public:
  explicit Permit(AdmissionDesk& desk) : desk_(desk) {}
  ~Permit() { Leave(AdmissionEnd::kUnmeasured); }
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;

  // REQUIRES: the user outlives it, or takes it back by Forget.
  void Enter(std::shared_ptr<PoolAdmission> pool, const AdmissionAsk& ask, AdmissionUser* user);
  AdmissionTicket::State state() const { return state_; }
  const AdmissionTicket& ticket() const { return ticket_; }
  // The pool hears of it with what is told next, or by Settle: an answer that is all here costs one turn at
  // the pool's lock, not two.
  // A `status` of 400 to 499 is compared with such alone, 500 and more teach nothing.
  void FirstByte(Duration took, int status);
  void Settle();
  void StandApart();
  void AwaitRequest();  // state() is kShed afterwards where too many are coming
  void RequestDone();
  void Leave(AdmissionEnd end);
  void Forget();                           // nobody is to be told any more
  void TakeUp() { ticket_.left.reset(); }  // after Forget: somebody waits for it again
  PoolAdmission* pool() const { return pool_.get(); }

 private:
  friend class AdmissionDesk;
  friend class PoolAdmission;
  // Tells of the first byte, and then does `action`.
  template <class Action>
  void Tell(Action action);
  void Speak(Admission* admission, TimePoint now);

  AdmissionDesk& desk_;
  std::shared_ptr<PoolAdmission> pool_;
  AdmissionUser* user_ = nullptr;
  AdmissionTicket ticket_;  // kOutside, kQueued: the pool's; else nobody changes it but us
  AdmissionTicket::State state_ = AdmissionTicket::State::kOutside;  // as this worker knows it
  struct Spoken {
    Duration took;
    int status;
  };
  std::optional<Spoken> spoken_;  // and the pool does not know
};

// Of one worker.
class AdmissionDesk {
 public:
  explicit AdmissionDesk(Loop& loop);
  // REQUIRES: no permit is left.
  ~AdmissionDesk();

  std::unique_ptr<Permit> Take();
  void PutBack(std::unique_ptr<Permit> permit);  // gives back what it holds, unmeasured
  Loop& loop() const { return loop_; }

 private:
  friend class PoolAdmission;
  friend class Permit;
  struct Promised {
    std::shared_ptr<PoolAdmission> pool;
    TimePoint when;
  };
  static constexpr std::size_t kKeepSpare = 1024;

  void Put(Permit* permit, AdmissionDesk* by);  // from any thread
  void Withdraw(Permit* permit);
  void Deliver();
  void Promise(std::shared_ptr<PoolAdmission> pool, TimePoint when);
  void OnTimer();

  Loop& loop_;
  TurnEnd turn_;
  Deadline timer_;
  std::mutex mutex_;                // of the inbox
  std::vector<Permit*> inbox_;      // those whose turn has come, or will not
  std::vector<Permit*> telling_;    // of them, those who are being told; null: no more
  std::atomic<bool> rung_{false};   // the loop has been told to look at it
  std::vector<Promised> promises_;  // to look at a pool where somebody waits
  std::vector<std::unique_ptr<Permit>> spare_;
};

}  // namespace spillway
