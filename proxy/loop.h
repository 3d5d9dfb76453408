// SPDX-License-Identifier: MIT
// One event loop for one thread, with its readiness watches, deadlines and signals: the door of
// libevent. The only place that reads a clock. Raw events, no bufferevents; level-triggered, but for
// watches that ask for edges.
//
// Thread rule: everything here belongs to the loop's thread, except Loop::Post and Loop::Stop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "spillway/units.h"

struct event;
struct event_base;

namespace spillway {

// Room for one `struct event` inside its owner, so that a watch costs no allocation (loop.cc checks
// the size).
struct EventRoom {
  alignas(void*) std::byte bytes[128];
};

class Deadline;

// A write to a connection that the peer has closed is an error value, not the end of the process.
void IgnoreSigpipe();

class Loop {
 public:
  Loop();   // throws std::runtime_error when the system gives no event base
  ~Loop();  // tasks posted but not run are dropped. REQUIRES: no watch, deadline or signal is left
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Constant within one callback.
  TimePoint now() const { return now_; }
  WallTime wall_now() const;  // read at the call

  void Run();   // until Stop
  void Stop();  // from any thread; what was posted before it still runs
  // From any thread; runs on the loop's thread, in order of posting
  void Post(std::function<void()> task);
  // Reads the clock into now(); every watch's callback has done so before it runs.
  void Tick();

  // For the files that libevent's own helpers live in (admin.cc: evhttp). Nobody else.
  event_base* base() const { return base_; }

 private:
  friend class IoWatch;
  friend class Deadline;
  struct Inbox;
  struct Timers;
  event_base* base_ = nullptr;
  std::unique_ptr<Inbox> inbox_;
  std::unique_ptr<Timers> timers_;
  TimePoint now_;
};

// Readiness of one descriptor, which it does not own. Starts out wanting nothing.
// The callback may destroy the watch. Wanting what is already wanted costs nothing.
//
// With edges the kernel tells once of what has come, and need not look again whether it was read. The
// reader then says when it has seen the descriptor empty. A callback that ends without that, an end of
// the stream behind what has come, or a wish to write: from then on the watch is level-triggered, as
// one that asked for nothing. So no byte and no end of the stream is ever missed, whatever the reader
// left. A reset that came with the bytes before it may be, as libevent does not tell the two apart: who
// has to hear of it does not say that the descriptor is empty, or uses levels.
class IoWatch {
 public:
  using Callback = void (*)(void* self);
  // REQUIRES: loop, self and the open descriptor outlive the watch.
  IoWatch(Loop& loop, int fd, void* self, Callback readable, Callback writable);
  ~IoWatch();
  IoWatch(const IoWatch&) = delete;
  IoWatch& operator=(const IoWatch&) = delete;

  // Wants nothing any more, whatever is asked of it. REQUIRES: the descriptor is still open.
  void Stop();
  void WantRead(bool want);
  void WantWrite(bool want);
  // Readiness to read comes by edges, until there is reason not to. REQUIRES: writing is not wanted.
  void UseEdges();
  void UseLevels();
  void NoteEmpty() { seen_empty_ = true; }  // a read has just left nothing
  bool uses_edges() const { return edges_; }
  bool wants_read() const { return wants_read_; }
  bool wants_write() const { return wants_write_; }
  // The loop has found it readable, and the callback comes later in this turn. Costs no system
  // call.
  bool read_is_due() const;

 private:
  static void OnRead(int fd, short what, void* self);
  static void OnWrite(int fd, short what, void* self);
  event* read_event() { return reinterpret_cast<event*>(read_room_.bytes); }
  void SetEdges(bool edges);
  Loop& loop_;
  void* self_;
  Callback readable_, writable_;
  EventRoom read_room_;
  event* write_ = nullptr;  // allocated when first wanted: most writes succeed at once
  bool* gone_ = nullptr;    // an edge's callback runs; to be set by the destructor
  int fd_;
  bool wants_read_ = false, wants_write_ = false, stopped_ = false;
  bool edges_ = false, seen_empty_ = false;
};

// A deadline that is moved often and seldom met. Moving it later is one store; its place among the
// loop's deadlines (a binary heap) is only touched when it comes up early or moves before it. Never
// early; late by the loop's turn. One for now is met at the loop's next turn.
class Deadline {
 public:
  using Callback = void (*)(void* self);
  // REQUIRES: loop and self outlive the deadline. The callback may destroy it or set it again.
  Deadline(Loop& loop, void* self, Callback expired)
      : loop_(loop), self_(self), expired_(expired) {}
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  void Set(TimePoint when);  // replaces an earlier deadline
  void SetAfter(Duration after) { Set(loop_.now() + after); }
  void Clear() { armed_ = false; }  // its place stays: it will be found to have nothing to do
  bool armed() const { return armed_; }
  Duration left() const { return when_ - loop_.now(); }  // REQUIRES: armed

 private:
  friend struct Loop::Timers;
  static constexpr std::uint32_t kNowhere = ~std::uint32_t{0};
  Loop& loop_;
  void* self_;
  Callback expired_;
  TimePoint when_;                  // if armed_
  std::uint32_t place_ = kNowhere;  // in the loop's heap
  bool armed_ = false;
};

// Something to be done once, after what else is due in this turn of the loop: so that what several
// callbacks have to say is said together. Costs no system call, nor another turn.
class TurnEnd {
 public:
  using Callback = void (*)(void* self);
  // REQUIRES: loop and self outlive it. The callback may destroy it or ask again, which must come to
  // an end: the turn goes on for as long.
  TurnEnd(Loop& loop, void* self, Callback reached);
  ~TurnEnd();
  TurnEnd(const TurnEnd&) = delete;
  TurnEnd& operator=(const TurnEnd&) = delete;

  void Ask();  // asked for already: nothing changes
  void Forget();

 private:
  static void OnReached(int fd, short what, void* self);
  Loop& loop_;
  void* self_;
  Callback reached_;
  EventRoom room_;
  bool asked_ = false;
};

// Delivers a signal to the loop's thread. REQUIRES: all signal watches of the process are on one
// loop, the control thread's: libevent lets a single base own signals. Deliveries that come close
// together may be one.
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
