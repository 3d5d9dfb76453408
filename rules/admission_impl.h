// SPDX-License-Identifier: MIT
// Admission's own state and steps, in the order in which a request meets them. Of the files
// admission*.cc only.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "rules/adaptive_limit.h"
#include "rules/admission_queue.h"
#include "rules/client_shares.h"
#include "rules/overload_gauge.h"
#include "rules/route_ledger.h"
#include "rules/served_visitors.h"
#include "rules/success_rate.h"
#include "rules/ticket_line.h"
#include "spillway/admission.h"

namespace spillway {

struct Admission::Impl {
  using Limit = AdmissionConfig::Limit;
  using State = AdmissionTicket::State;
  static constexpr TimePoint kNever = TimePoint::max(), kLongAgo = TimePoint::min();
  // The ranks of those who wait: critical_plus, the protected, then of each other class first who was let
  // in lately and then the newcomers.
  static constexpr std::uint8_t kVitalRanks = 2;  // critical_plus, and who is protected
  static constexpr std::uint8_t kFirstOfClass = kVitalRanks, kFirstNewcomer = kFirstOfClass + 1;
  // Who waited when the overload began, or came with a crowd: served, the oldest first, when nobody
  // else wants the slot, until his time is over.
  static constexpr std::uint8_t kBacklog = AdmissionQueue::kRanks - 1;
  static_assert(kBacklog == kFirstOfClass + 2 * (kTrafficClasses - 1));
  static constexpr std::uint32_t kMostByDesign = 100000;
  static constexpr double kSpare = 0.75;   // of the slots in use
  static constexpr double kSoonest = 0.5;  // of an answer's time: hardly one comes sooner
  static constexpr std::uint32_t kSlotSamples = 64;
  static constexpr std::uint32_t kEarly = 8;  // of so many slots one in use is some already
  static constexpr std::uint32_t kMostTrials = 64;
  static constexpr Duration kTick = std::chrono::milliseconds(100);

  AdmissionConfig config;
  std::uint64_t chance;
  std::unique_ptr<AdaptiveLimit> adaptive;
  AdmissionQueue queue;
  RouteLedger routes;
  OverloadGauge gauge;
  ClientShares clients;
  ServedVisitors visitors;
  SuccessRate success;
  std::uint32_t limit_now = 0;  // 0: none
  std::uint32_t in_flight = 0;
  double used_lately = 0;    // of them, over about half a second
  std::uint32_t coming = 0;  // admitted, and not counted yet
  std::array<std::uint32_t, AdmissionQueue::kLanes> coming_of_lane{};
  std::uint32_t apart = 0;               // admitted, and not counted: StandApart
  std::uint32_t protected_requests = 0;  // in flight or waiting
  std::uint32_t apart_by_design = 0;     // admitted, and not counted: AdmissionTicket::by_design
  std::uint32_t room_by_design = 0;      // at most so many
  bool bound = false;                    // a slot was wanting since the last sample
  double slot_seconds = 0;               // a slot is taken, smoothed
  std::uint32_t slot_samples = 0;
  double pressure = 0;
  std::uint32_t at_rest = 0;  // answers that came while there was room to spare
  TimePoint ticked{};
  TimePoint next_deadline = kNever;  // of those who wait, or earlier
  TimePoint latest{};
  TimePoint asked{};              // last
  TimePoint long_since = kNever;  // the queue is long since then, and had this length
  std::uint32_t long_size = 0;
  bool turned_away = false;  // since the queue was looked at, somebody was
  // The last who was, for want of a place or of time, and the first with no long gap until then.
  TimePoint turned_away_at = kLongAgo, turning_since = kLongAgo;
  // The queue is long since then, whether that is overload yet or not.
  TimePoint crowd_since = kNever;
  bool instant = false;          // far more than are answered came at once, since then
  bool kept_waiting = false;     // it was over while some waited who had not been told
  std::uint32_t most_limit = 0;  // since then
  bool reopened = false;         // the limit was, since then
  double backlog_rate = 0;       // of it are served in a second, smoothed
  double backlog_served = 0;     // since it was looked at
  TimePoint backlog_looked{};
  TicketLine untold;        // shed while they waited
  TicketLine trials;        // who waits for a route to answer; at most kMostTrials
  bool trials_due = false;  // something may have changed for them
  std::array<std::array<std::uint64_t, kShedReasons>, kTrafficClasses> shed{};

  void Configure(const AdmissionConfig& now);
  void Tick(TimePoint now);  // the first thing of each call: what is done every 100 ms
  double Chance();

  // --- the way in: admission.cc ---
  void Enter(AdmissionTicket* ticket, TimePoint now);
  std::optional<ShedReason> Refusal(AdmissionTicket* asking, TimePoint now);
  std::uint8_t RankOf(const AdmissionAsk& ask, TimePoint now) const;
  void Admit(AdmissionTicket* ticket, TimePoint now);
  // Where the line counts it: CohortCut's ranks.
  static std::uint8_t LineRank(const AdmissionAsk& ask) {
    if (ask.traffic_class == TrafficClass::kCriticalPlus) return 0;
    return ask.is_protected ? 1
                            : static_cast<std::uint8_t>(1 + static_cast<int>(ask.traffic_class));
  }
  static std::uint64_t VisitorOf(const AdmissionAsk& ask);  // in his class
  // Among the clients. What matters has a share of its own: behind one address there may be a crowd and a
  // buyer.
  static std::uint64_t SharerOf(const AdmissionTicket& ticket) {
    return ticket.rank < kVitalRanks ? ~ticket.ask.client : ticket.ask.client;
  }
  static bool IsFollower(std::uint8_t rank) {
    return rank >= kFirstOfClass && rank < kBacklog && (rank - kFirstOfClass) % 2 == 0;
  }
  // The backlog too.
  static bool IsNewcomer(std::uint8_t rank) { return rank >= kFirstNewcomer && !IsFollower(rank); }
  // At the queue, for want of a slot. What follows a page is no measure of how many newcomers are too many, nor
  // is who came before the overload.
  void Refused(std::uint8_t rank, TimePoint now) {
    IsFollower(rank) || rank == kBacklog ? gauge.Stay(now) : gauge.Refused(now);
  }
  bool WaitsByDesign(const AdmissionTicket& ticket) const;
  void SetApart(AdmissionTicket* ticket, TimePoint now);
  bool AtEase() const;
  bool TooManyComing(const AdmissionTicket& ticket) const;  // of its rank, or of its client
  bool NeedsNoSlot(const AdmissionTicket& ticket) const;
  void Shed(AdmissionTicket* ticket, ShedReason reason);
  std::uint32_t limit() const { return limit_now; }
  void SetLimit();  // after whatever may have changed it
  bool HasSlot(std::uint8_t rank) const;
  // Nobody is refused for who he is, and who waited when the overload began has his turn.
  bool Spare() const { return in_flight < kSpare * limit(); }
  // Somebody wants what another has, or soon will.
  bool Wanting() const { return queue.size() > 0 || in_flight * 3 >= limit(); }

  // --- those who wait: admission_wait.cc ---
  void Wait(AdmissionTicket* ticket, TimePoint now);
  void Queue(AdmissionTicket* ticket);
  AdmissionTicket* Next(TimePoint now);
  std::optional<TimePoint> wakeup() const;
  void LookAtQueue(TimePoint now);
  // From now on the queue is kept short. Who waits already goes on waiting, behind those who come.
  void Press(TimePoint now);
  void Expire(TimePoint now);
  void ExpireDeadlines(TimePoint now);
  void ShedWaiting(AdmissionTicket* ticket, ShedReason reason, TimePoint now);
  void TurnAway(TimePoint now);  // for want of a place or of time
  double Drain() const;          // seconds between two slots that become free; 0: unknown
  Duration Allowed(std::uint8_t rank) const;   // to wait, by what is known when one comes
  Duration Patience(std::uint8_t rank) const;  // after which one who waits is refused after all
  bool TooLate(const AdmissionTicket& ticket, TimePoint now) const;
  bool Hopeless(const AdmissionTicket& ticket, double wait, TimePoint now) const;
  void Untold(AdmissionTicket* ticket);
  void Told(AdmissionTicket* ticket);

  // --- a route that never answered: admission_trial.cc ---
  bool AwaitsProof(const AdmissionTicket& ticket, TimePoint now) const;
  void Try(AdmissionTicket* ticket);  // it waits
  void EndTrial(AdmissionTicket* ticket);
  // One whose waiting for it has ended, admitted or shed; null: none, or it waits for a slot now.
  AdmissionTicket* LookAtTrials(TimePoint now);
  TimePoint EndOfPatience(const AdmissionTicket& ticket) const;

  // --- a crowd that comes in one instant: admission_crowd.cc ---
  void LookAtCrowd(bool is_long, TimePoint now);
  // Nobody is turned away at once who could be served later; notes whether it is of one instant.
  bool Gathers(TimePoint now);
  bool Join(AdmissionTicket* ticket, TimePoint now);  // the backlog; false where there is no place
  void TellBacklog(TimePoint now);

  // --- what the servers say, and the end: admission_answer.cc ---
  void Sample(LimitSample sample);
  void FirstByte(AdmissionTicket* ticket, Duration took, TimePoint now, bool error);
  void AwaitRequest(AdmissionTicket* ticket, TimePoint now);
  void RequestDone(AdmissionTicket* ticket, TimePoint now);
  void StandApart(AdmissionTicket* ticket, TimePoint now);
  void Leave(AdmissionTicket* ticket, AdmissionEnd end, TimePoint now);
  void LeftSlot(const AdmissionTicket& ticket, bool answered,
                TimePoint now);  // another may have it
  void LeaveSlot(AdmissionTicket* ticket, AdmissionEnd end, TimePoint now);
};

}  // namespace spillway
