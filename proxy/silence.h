// SPDX-License-Identifier: MIT
// Those of a worker's requests that wait for the first byte of their answer, so that a server that
// hangs is known long before any of them has waited for timeouts.first_byte: ten times a second it
// tells their pools which have waited for long (Pool::NoteSilence), and tells those whose server has
// been ejected for that.
//
// Thread rule: one worker's loop thread. Memory: none but what is in its users.
#pragma once

#include "proxy/loop.h"
#include "spillway/units.h"

namespace spillway {

struct Endpoint;
class Pool;
class Silence;

// Who waits.
class SilentUser {
 public:
  // Its server hangs, and has been ejected. Told once, and never within a call of its own.
  virtual void OnServerHangs() = 0;

 protected:
  ~SilentUser() = default;
};

// Its place among those that wait.
class SilentWait {
 public:
  explicit SilentWait(SilentUser& user) : user_(user) {}
  ~SilentWait() { Leave(); }
  SilentWait(const SilentWait&) = delete;
  SilentWait& operator=(const SilentWait&) = delete;
  void Leave();  // the answer has come, or nobody waits for it any more

 private:
  friend class Silence;
  struct List {
    SilentWait* first = nullptr;
    SilentWait* last = nullptr;
    void Add(SilentWait* wait);
  };
  SilentUser& user_;
  List* list_ = nullptr;  // null: it does not wait
  SilentWait* previous_ = nullptr;
  SilentWait* next_ = nullptr;
  Pool* pool_ = nullptr;
  Endpoint* endpoint_ = nullptr;
  TimePoint asked_;
  bool counted_ = false;  // as one that has waited in vain
};

class Silence {
 public:
  explicit Silence(Loop& loop);

  // REQUIRES: `pool` and `endpoint` live until it has left.
  void Enter(SilentWait* wait, Pool& pool, Endpoint& endpoint, TimePoint asked);

 private:
  void Look();
  void Tell();
  Loop& loop_;
  Deadline timer_;
  TimePoint due_;                    // when the timer was to come
  SilentWait::List waiting_, told_;  // told_: those who are being told
};

}  // namespace spillway
