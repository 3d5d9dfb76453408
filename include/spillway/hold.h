// SPDX-License-Identifier: MIT
// What becomes of a pool's requests while none of its servers answers: those that matter are held, the
// rest are told when to come back; and how those held are let out once a server is there again.
//
//   up -> suspected -> down -> returning -> up
//            '----------^  ^-------'            suspected: somebody was refused; who comes still tries
//
// Pure: time is an argument.
//
// Thread rule: none of its own; the proxy holds one for each pool, of all workers, under a lock.
// Memory: HoldConfig::max tickets, and they belong to their owners; 16 KiB of counts by client.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "spillway/traffic_class.h"
#include "spillway/units.h"

namespace spillway {

// `pools.NAME.hold`.
struct HoldConfig {
  bool on = true;
  Duration time = std::chrono::seconds(15);  // the longest that an outage holds one
  std::uint32_t max = 2000;                  // requests, of all workers
  Bytes bytes{16 * 1024 * 1024};             // of their heads, and of their bodies what may be here
  TrafficClass from = TrafficClass::kCriticalPlus;  // the least important that is held
  friend bool operator==(const HoldConfig&, const HoldConfig&) = default;
};

// One request's. Owned by the caller, who must Leave before it goes. Does not move.
struct HoldTicket {
  // kReleased: let out, and its answer is awaited.
  enum class State : std::uint8_t { kOutside, kHeld, kReleased, kGivenUp } state = State::kOutside;
  TrafficClass traffic_class = TrafficClass::kCritical;
  std::uint64_t bytes = 0;
  std::uint64_t client = 0;           // hash of who asks, for fairness
  std::optional<TimePoint> began;     // when it was first held; the line's to set
  std::optional<TimePoint> deadline;  // of the client: an answer after it is no use
  void* owner = nullptr;              // the caller's own

  // The line's own.
  std::uint64_t place = 0;      // in the order in which they came first
  HoldTicket* older = nullptr;  // of its class, while it is held
  HoldTicket* younger = nullptr;
};

// For status and metrics; counts are since it began.
struct HoldView {
  enum class State : std::uint8_t { kUp, kSuspected, kDown, kReturning } state = State::kUp;
  Duration lasted{0};  // of the outage, if there is one
  std::array<std::uint32_t, kTrafficClasses> held{};
  std::uint64_t bytes = 0;
  std::uint64_t outages = 0, entered = 0, released = 0;
  std::uint64_t given_up = 0;  // their time was over
  std::uint64_t turned_away =
      0;  // told at once to come back: not of a class that is held, or no room
};

class HoldLine {
 public:
  using State = HoldView::State;

  explicit HoldLine(const HoldConfig& config) : config_(config) {}
  // Switched off: whoever is held is given up, which Next says.
  void Configure(const HoldConfig& config);
  State state() const { return state_; }

  // ---- what is known of the servers

  // One request found no server, or lost it, which may be chance: others may answer. Nobody is let out until
  // Back.
  void Suspect(TimePoint now);
  // All servers refuse, or are unhealthy.
  void Down(TimePoint now);
  // A server takes connections again, and is healthy as far as it is asked.
  void Back(TimePoint now);

  // ---- requests

  // False: not of a class that is held, no room, or its deadline is too near. A ticket that was released
  // may come again: it was refused once more. REQUIRES: its class, bytes and deadline are set.
  bool Enter(HoldTicket* ticket, TimePoint now);
  // A released ticket's answer has begun, `took` after its server had the request: more may follow.
  void Answered(HoldTicket* ticket, Duration took);
  // Of a ticket in any state, which is kOutside afterwards.
  void Leave(HoldTicket* ticket);
  // The next whose state has changed to kReleased or kGivenUp, null when there is none. To be asked until
  // then after each call, and every 50 ms while the state is not kUp. No more than `most` are out at once.
  // Whose time is over is looked for every kLook at most, as that is a walk through all.
  HoldTicket* Next(TimePoint now, std::uint32_t most = kAnyNumber);
  static constexpr std::uint32_t kAnyNumber = ~std::uint32_t{0};

  // Somebody is told to come back: when, by how long the outage lasts and how long others did.
  Duration TurnAway(TimePoint now);
  Duration RetryAfter(TimePoint now) const;
  // Somebody is held, or was told to come back in the last seconds: to be looked at often.
  bool wanted(TimePoint now) const;
  HoldView View(TimePoint now) const;

 private:
  struct List {
    HoldTicket* oldest = nullptr;
    HoldTicket* youngest = nullptr;
    std::uint32_t size = 0;
  };
  // Clients by hash: those of one cell count as one.
  static constexpr std::size_t kClients = 1024;
  static constexpr std::uint32_t kLargestShare =
      16;  // a client's part of all places, once half are taken
  static constexpr std::size_t kRemembered = 8;  // outages
  static constexpr double kFirst = 4;            // let out before any has been answered
  static constexpr Duration kLook = std::chrono::milliseconds(20);

  void BeginOutage(TimePoint now);
  bool HasRoom(const HoldTicket& ticket) const;
  void Take(HoldTicket* ticket);
  bool Expired(const HoldTicket& ticket, TimePoint now) const;
  HoldTicket* NextExpired(TimePoint now);
  bool MayLetOut(TimePoint now, std::uint32_t most) const;

  HoldConfig config_;
  State state_ = State::kUp;
  std::array<List, kTrafficClasses> lists_{};
  struct Client {
    std::uint32_t held = 0;
    std::uint64_t bytes = 0;
  };
  Client& ClientOf(const HoldTicket& ticket) { return clients_[ticket.client % kClients]; }
  std::array<Client, kClients> clients_{};
  std::uint32_t held_ = 0;
  std::uint64_t bytes_ = 0;
  std::optional<TimePoint> looked_;  // found nobody whose time is over
  TimePoint began_, back_, asked_;   // the outage; its end; who came last and found it
  bool was_back_ = false;
  std::array<Duration, kRemembered> lasted_{};  // outages, the latest at (outages_ended_ - 1) % 8
  std::uint64_t outages_ended_ = 0;
  // Of the return.
  double window_ = kFirst;  // how many may be out
  std::uint32_t out_ = 0;   // released, and not answered yet
  std::uint32_t to_let_out_ = 0, let_out_ = 0;
  Duration fastest_ = Duration::max();  // answer
  HoldView counts_;
};

}  // namespace spillway
