// SPDX-License-Identifier: MIT
// One event loop for one thread, with its readiness watches, deadlines and signals: the door of libevent.
// The only place that reads a clock. Level-triggered; raw events, no bufferevents.
//
// Thread rule: everything here belongs to the loop's thread, except Loop::Post and Loop::Stop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "spillway/units.h"

struct event;
struct event_base;

namespace spillway {

class Loop {
 public:
  Loop();  // throws std::runtime_error when the system gives no event base
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Constant within one callback.
  TimePoint now() const { return now_; }
  WallTime wall_now() const;  // read at the call

  void Run();                              // until Stop
  void Stop();                             // from any thread
  void Post(std::function<void()> task);   // from any thread; runs on the loop's thread, in order of posting
  // Reads the clock into now(); every watch's callback has done so before it runs.
  void Tick();

  // For the files that libevent's own helpers live in (admin.cc: evhttp). Nobody else.
  event_base* base() const { return base_; }

 private:
  struct Inbox;
  event_base* base_ = nullptr;
  std::unique_ptr<Inbox> inbox_;
  TimePoint now_;
};

// Readiness of one descriptor, which it does not own. Starts out wanting nothing.
// The callback may destroy the watch. Wanting what is already wanted costs nothing.
class IoWatch {
 public:
  using Callback = void (*)(void* self);
  // REQUIRES: loop and self outlive the watch. `closed` hears of the peer's FIN or a reset even while
  // nothing is read (EPOLLRDHUP); may be null.
  IoWatch(Loop& loop, int fd, void* self, Callback readable, Callback writable, Callback closed = nullptr);
  ~IoWatch();
  IoWatch(const IoWatch&) = delete;
  IoWatch& operator=(const IoWatch&) = delete;

  void WantRead(bool want);
  void WantWrite(bool want);
  void WantClosed(bool want);  // REQUIRES: a closed callback
  bool wants_read() const { return wants_read_; }
  bool wants_write() const { return wants_write_; }

  // Gives the watch to another owner (a kept connection goes to the pool and back) without a system call.
  void Rebind(void* self, Callback readable, Callback writable, Callback closed = nullptr);

 private:
  static void OnRead(int fd, short what, void* self);
  static void OnWrite(int fd, short what, void* self);
  Loop& loop_;
  void* self_;
  Callback readable_, writable_, closed_;
  event* read_ = nullptr;
  event* write_ = nullptr;
  event* closed_event_ = nullptr;
  bool wants_read_ = false, wants_write_ = false, wants_closed_ = false;
};

// A deadline that is moved often and seldom met. Moving it later is one store; the loop's own timer is only
// touched when it fires early or the deadline moves before it.
class Deadline {
 public:
  using Callback = void (*)(void* self);
  Deadline(Loop& loop, void* self, Callback expired);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  void Set(TimePoint when);          // replaces an earlier deadline
  void SetAfter(Duration after) { Set(loop_.now() + after); }
  void Clear();
  bool armed() const { return armed_; }

 private:
  static void OnTimer(int fd, short what, void* self);
  Loop& loop_;
  void* self_;
  Callback expired_;
  event* timer_ = nullptr;
  TimePoint when_;        // the deadline, if armed_
  TimePoint timer_at_;    // when the loop's timer fires, if pending_
  bool armed_ = false, pending_ = false;
};

// Delivers a signal to the loop's thread.
class SignalWatch {
 public:
  SignalWatch(Loop& loop, int signal, std::function<void()> delivered);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  static void OnSignal(int fd, short what, void* self);
  Loop& loop_;
  std::function<void()> delivered_;
  event* event_ = nullptr;
};

}  // namespace spillway
