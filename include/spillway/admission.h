// SPDX-License-Identifier: MIT
// Who of a pool's requests goes to its servers now, who waits, and who is refused: a limit on the
// requests in flight, fixed or found on live latency, and a bounded queue before it.
//
// Pure: time and chance are arguments, and a simulation runs the same code as the proxy.
//
// Thread rule: none of its own; the proxy holds one for each pool, of all workers, under a lock.
// Memory: about 150 KiB of tables, of routes, clients, visitors and lanes; AdmissionConfig::Queue::max tickets
// may wait, and they belong to their owners.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spillway/route.h"
#include "spillway/traffic_class.h"
#include "spillway/units.h"

namespace spillway {

// `pools.NAME.concurrency` and `pools.NAME.queue`.
struct AdmissionConfig {
  enum class Limit : std::uint8_t { kOff, kFixed, kAdaptive } limit = Limit::kAdaptive;
  // Of kAdaptive. No key chooses it: kKnee is what won (docs/overload.md), the others are there to
  // be compared with.
  enum class Algorithm : std::uint8_t { kKnee, kGradient2, kVegas, kAimd };
  Algorithm algorithm = Algorithm::kKnee;
  std::uint32_t fixed = 0;  // requests in flight; of kFixed
  std::uint32_t min = 1;    // of kAdaptive, as what follows
  std::uint32_t max = 100000;
  std::uint32_t initial = 12;
  struct Queue {
    // Requests that wait, of all classes; as many more, 64 at most, wait for a route to answer at all.
    std::uint32_t max = 10000;
    // None waits longer; of a crowd that came in one instant some wait a fifth longer, and who waited for
    // a route to answer may wait so long again for a slot.
    Duration timeout = std::chrono::seconds(5);
    friend bool operator==(const Queue&, const Queue&) = default;
  } queue;
  friend bool operator==(const AdmissionConfig&, const AdmissionConfig&) = default;
};

// What is known of a request when it asks.
struct AdmissionAsk {
  TrafficClass traffic_class = TrafficClass::kCritical;
  bool is_protected = false;  // of a visitor in the middle of something: takes the reserved share
  std::uint8_t cohort = 0;    // 0..127, of the visitor, stable for the hour
  std::uint64_t client = 0;   // hash of who asks, for fairness
  RouteHash route;            // 0: not known
  // How the route is called where it is told of; read by Enter only, and empty afterwards.
  std::string_view method, path;
  std::optional<TimePoint> deadline;  // of the client: an answer after it is no use
};

enum class ShedReason : std::uint8_t {
  kNone,
  kQueueFull,
  kQueueTimeout,
  kDeadline,  // could not be answered in the time that the client gives
  kCohort,    // its class and cohort are not served at the moment
  kRoute,     // its route holds more than its share of the slots, hangs, or never answered
  kFailing,   // the servers answer errors faster than they could do good
  kClient,    // its client asks for more than its share
};
inline constexpr std::size_t kShedReasons = 8;
std::string_view ShedReasonText(ShedReason reason);   // as logs say it: "shed: queue full"
std::string_view ShedReasonLabel(ShedReason reason);  // as metrics do: "queue_full"

// Of one request at one pool, as long as it waits or is in flight. Owned by the caller, who must
// Leave before it goes. Does not move.
struct AdmissionTicket {
  enum class State : std::uint8_t { kOutside, kQueued, kAdmitted, kShed } state = State::kOutside;
  ShedReason reason = ShedReason::kNone;  // of kShed
  AdmissionAsk ask;
  TimePoint entered, admitted;
  void* owner = nullptr;  // the caller's own
  // The caller's to say: since when nobody waits for its answer. A path that hangs answers after all, when its visitors
  // have long gone; that teaches nothing of what is usual.
  std::optional<TimePoint> left;

  // The admission's own.
  AdmissionTicket* previous = nullptr;  // in the one list that its state puts it in
  AdmissionTicket* next = nullptr;
  AdmissionTicket* older = nullptr;  // of its rank, while it waits
  AdmissionTicket* younger = nullptr;
  std::uint32_t in_flight = 0;  // as it was admitted, with itself
  std::uint32_t cohort = 0;     // in which its answer is looked at
  std::uint16_t route_row = 0;  // in the table of routes
  std::uint8_t rank = 0;        // before whom it is served: class and protection
  std::uint8_t lane = 0;
  bool measured = false;
  bool counted = false;    // the limit goes by its answer
  bool erred = false;      // its first byte was that of an error
  bool apart = false;      // in flight, and not counted
  bool coming = false;     // the same, until its request is here
  bool by_design = false;  // the same, since its route waits by design
  bool no_upload = false;  // as it was admitted there were too many that were coming still
  bool untold = false;     // its state has changed, and Next has yet to say so
  bool on_trial = false;   // it waits for its route to answer at all
};

// How a request that was admitted ended.
enum class AdmissionEnd : std::uint8_t {
  kAnswered,    // whatever its status below 500
  kError,       // a status of 500 and more
  kDropped,     // timeout, reset, refused connection: a sign of overload
  kUnmeasured,  // says nothing of the servers: the client left, it never went out
};

// A route that is held to a few slots, the culprit of an overload or of what others wait for.
struct CappedRoute {
  static constexpr std::size_t kNameBytes = 64;
  std::string name;  // "GET /report/:id", cut off at kNameBytes; as strangers wrote it
  std::uint32_t in_flight = 0;
  std::uint32_t allowed = 0;
  bool hangs = false;  // else it holds more than its share
  friend bool operator==(const CappedRoute&, const CappedRoute&) = default;
};

// For status and metrics.
struct AdmissionView {
  std::uint32_t limit = 0;  // 0: none
  std::uint32_t in_flight = 0;
  std::uint32_t apart = 0;  // admitted, and not counted: streams, uploads, slow readers, long polls
  std::uint32_t protected_requests = 0;  // of protected visitors, in flight or waiting
  std::array<std::uint32_t, kTrafficClasses> queued{};
  std::array<std::array<std::uint64_t, kShedReasons>, kTrafficClasses> shed{};  // since it began
  Duration baseline{0};    // first byte of a server that is not pressed; 0: not known yet
  double gradient = 1;     // the last step's: below 1 the limit shrinks
  double admit_share = 1;  // of the cohorts of the lowest class that is not shed as a whole
  TrafficClass lowest = TrafficClass::kSheddable;  // that class
  bool pressed = false;  // more is asked for, lastingly, than can be answered
  double failing = 0;    // share of the asks refused since the servers fail fast
  double pressure = 0;   // as the servers say: Pressure
  // Those that are held to `allowed` slots.
  std::vector<CappedRoute> capped;
};

// Which share of a class's cohorts the line lets pass.
inline double AdmittedShare(const AdmissionView& view, TrafficClass of) {
  if (of == view.lowest) return view.admit_share;
  return of < view.lowest ? 1 : 0;
}

// The same in short.
struct AdmissionLoad {
  std::uint32_t limit = 0;  // 0: none
  std::uint32_t in_flight = 0, queued = 0;
};

class Admission {
 public:
  // `seed` is for the choices by chance.
  Admission(const AdmissionConfig& config, std::uint64_t seed, TimePoint now);
  ~Admission();
  // Another configuration; what was learnt stays, and so do those who wait.
  void Configure(const AdmissionConfig& config, TimePoint now);

  // REQUIRES: the ticket is outside, its ask set. Afterwards it is kQueued, kAdmitted or kShed;
  // and another that waited may have had to go for it, which Next says.
  void Enter(AdmissionTicket* ticket, TimePoint now);
  // The first byte of the final answer came, `took` after the server had the request. `error`: its
  // status is 500 or more; the time that an error took teaches nothing about answers. One of 400 to 499
  // is to have kRefusedRoute for its route by now: refusing is quicker than answering.
  void FirstByte(AdmissionTicket* ticket, Duration took, TimePoint now, bool error = false);
  // It stays in flight without being counted: an upgraded connection, an event stream, an answer that goes
  // on and on or that its client is slow to take. Its place is free for another.
  void StandApart(AdmissionTicket* ticket, TimePoint now);
  // It is not all here yet, so the servers have nothing to do: it is not counted until RequestDone, which counts
  // it whatever the limit. It is kShed where kMostComing times the limit are so already, of a limit that was found
  // at least kComingAtLeast (some hundred slow uploads fit a young one); of the vital ranks twice as many may be.
  void AwaitRequest(AdmissionTicket* ticket, TimePoint now);
  void RequestDone(AdmissionTicket* ticket, TimePoint now);
  static constexpr std::uint32_t kMostComing = 4, kComingAtLeast = 1000;
  // How pressed a server says it is: 0 not at all, 1 wholly. The last few count. From kNoMore on an adaptive
  // limit (Algorithm::kKnee) does not grow, and from kLess on it shrinks.
  static constexpr double kNoMore = 0.7, kLess = 0.9;
  void Pressure(double pressure, TimePoint now);
  // A ticket that is queued or admitted ends, or one that was shed while it waited and that Next has
  // not told of yet; afterwards it is kOutside. Of another: does nothing.
  void Leave(AdmissionTicket* ticket, AdmissionEnd end, TimePoint now);

  // The next of the waiting whose state has changed to kAdmitted or kShed, null when there is none.
  // To be asked until then after each call that may free a place, and at wakeup().
  AdmissionTicket* Next(TimePoint now);
  // When Next may have something to say though nobody calls anything else.
  std::optional<TimePoint> wakeup() const;

  AdmissionView View(TimePoint now) const;  // walks the queue
  AdmissionLoad Load() const;
  std::vector<CappedRoute> Capped() const;
  // Grows when a route is capped, and when one is no more.
  std::uint32_t cap_changes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway
