// SPDX-License-Identifier: MIT
// How an ask finds its way: the line through ranks and cohorts, the success of the servers, the cap
// of its route, then a slot or a place to wait. What each of them knows is in a file of its own.
#include "spillway/admission.h"

#include <algorithm>
#include <cmath>

#include "rules/adaptive_limit.h"
#include "rules/admission_queue.h"
#include "rules/overload_gauge.h"
#include "rules/route_ledger.h"
#include "rules/success_rate.h"
#include "spillway/mix.h"

namespace spillway {
namespace {

using State = AdmissionTicket::State;

// A queue that is long and has not become shorter for so long: more is asked for than is answered. A
// crowd that came at once is none, it is served in its turn.
constexpr Duration kLasting = std::chrono::milliseconds(400);
constexpr double kShorter = 0.9;
// Who waited when the overload began: served when nobody else wants the slot, until his time is over.
constexpr std::uint8_t kBacklog = AdmissionQueue::kRanks - 1;
// Nobody else: for so long nobody has asked.
constexpr Duration kQuiet = std::chrono::milliseconds(50);
constexpr double kSpare = 0.75;  // of the slots in use: below, nobody is refused for his cohort
constexpr std::uint8_t kVitalRanks = 2;  // critical_plus, and who is in the middle of something
constexpr double kWait = 0.1;            // of an answer's time, under pressure
constexpr double kLongestWait = 4;       // times that, before one who waits is refused after all
constexpr double kVitalWait = 5;         // of an answer's time, for vital ranks
constexpr Duration kVitalAtLeast = std::chrono::milliseconds(250);
constexpr Duration kWaitAtLeast = std::chrono::milliseconds(2);
constexpr std::uint32_t kReserve = 16;  // one in so many slots more for the vital ranks
constexpr double kInVain = 4, kInVainAtLeast = 0.5;  // times the mean; seconds
constexpr std::uint32_t kAtRest = 50;                // so many tell what is usual
constexpr Duration kTick = std::chrono::milliseconds(100);
constexpr Duration kSweep = std::chrono::milliseconds(10);
constexpr TimePoint kNever = TimePoint::max();

std::uint8_t RankOf(const AdmissionAsk& ask) {
  if (ask.traffic_class == TrafficClass::kCriticalPlus) return 0;
  return ask.is_protected ? 1 : static_cast<std::uint8_t>(1 + static_cast<int>(ask.traffic_class));
}

Duration Span(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

struct Admission::Impl {
  using Limit = AdmissionConfig::Limit;

  AdmissionConfig config;
  std::uint64_t chance;
  std::unique_ptr<AdaptiveLimit> adaptive;
  AdmissionQueue queue;
  RouteLedger routes;
  OverloadGauge gauge;
  SuccessRate success;
  std::uint32_t in_flight = 0;
  std::uint32_t coming = 0;  // admitted, and not counted yet
  bool bound = false;        // a slot was wanting since the last sample
  double held = 0;           // seconds a slot is held, smoothed
  std::uint32_t holds = 0;
  double pressure = 0;
  std::uint32_t at_rest = 0;  // answers that came while there was room to spare
  TimePoint ticked{};
  TimePoint next_deadline = kNever;  // of those who wait, or earlier
  TimePoint latest{};
  TimePoint asked{};              // last
  TimePoint long_since = kNever;  // the queue is long since then, and had this length
  std::uint32_t long_size = 0;
  AdmissionTicket* untold_first = nullptr;  // shed while they waited
  AdmissionTicket* untold_last = nullptr;
  std::array<std::array<std::uint64_t, kShedReasons>, kTrafficClasses> shed{};

  void Configure(const AdmissionConfig& now) {
    const bool same = adaptive != nullptr && now.algorithm == config.algorithm;
    config = now;
    if (config.limit != Limit::kAdaptive) return adaptive.reset();
    const AdaptiveLimit::Range range{std::max(1.0, static_cast<double>(config.min)),
                                     static_cast<double>(std::max({config.min, config.max, 1U})),
                                     static_cast<double>(config.initial)};
    if (same) return adaptive->Reshape(range);
    adaptive = MakeAdaptiveLimit(config.algorithm, range);
  }

  // --- slots ---

  std::uint32_t limit() const {
    if (config.limit == Limit::kOff) return 0;
    if (adaptive == nullptr) return std::max(config.fixed, 1U);
    return std::max(static_cast<std::uint32_t>(std::lround(adaptive->limit())), 1U);
  }
  std::uint32_t used() const { return in_flight; }
  // Somebody wants what another has, or soon will.
  bool Wanting() const { return queue.size() > 0 || used() * 3 >= limit(); }
  // The vital ranks may go beyond a limit that was found, which is a little above the knee anyway;
  // never beyond one that somebody has set.
  bool HasSlot(std::uint8_t rank) const {
    if (config.limit == Limit::kOff) return true;
    const std::uint32_t most = limit();
    const bool more = rank < kVitalRanks && adaptive != nullptr;
    return used() < most + (more ? std::max(most / kReserve, 1U) : 0);
  }

  void Admit(AdmissionTicket* ticket, TimePoint now) {
    gauge.Used(used(), limit(), now);
    ++in_flight;
    ticket->state = State::kAdmitted;
    ticket->reason = ShedReason::kNone;
    ticket->admitted = now;
    ticket->in_flight = used();
    ticket->erred = ticket->apart = ticket->coming = false;
    routes.Admit(ticket);
    ticket->counted = adaptive != nullptr && routes.Comparable(ticket->route_row);
    if (ticket->counted) ticket->cohort = adaptive->Admitted(ticket->in_flight, now);
  }

  void Shed(AdmissionTicket* ticket, ShedReason reason) {
    ticket->state = State::kShed;
    ticket->reason = reason;
    ++shed[static_cast<std::size_t>(ticket->ask.traffic_class)][static_cast<std::size_t>(reason)];
  }

  // --- waiting ---

  // Between two slots that become free, in seconds; 0 when nothing is known.
  double Drain() const {
    const std::uint32_t most = std::max(limit(), 1U);
    return held / static_cast<double>(std::max(most - std::min(routes.stuck_slots(), most), 1U));
  }
  Duration Usual() const { return Span(routes.mean_seconds()); }
  // How long one of `rank` may be made to wait.
  Duration Allowed(std::uint8_t rank) const {
    if (!gauge.pressed()) return config.queue.timeout;
    if (rank < kVitalRanks) {
      return std::min(config.queue.timeout,
                      std::max(Span(kVitalWait * routes.mean_seconds()), kVitalAtLeast));
    }
    return std::min(config.queue.timeout,
                    std::max(Span(kWait * routes.mean_seconds()), kWaitAtLeast));
  }
  Duration Patience(std::uint8_t rank) const {
    if (!gauge.pressed() || rank < kVitalRanks || rank == kBacklog) return config.queue.timeout;
    const Duration drain = Span(2 * Drain());
    return std::min(config.queue.timeout,
                    std::chrono::duration_cast<Duration>(Allowed(rank) * kLongestWait) + drain);
  }

  void Untold(AdmissionTicket* ticket) {
    ticket->untold = true;
    ticket->next = nullptr;
    ticket->previous = untold_last;
    (untold_last != nullptr ? untold_last->next : untold_first) = ticket;
    untold_last = ticket;
  }
  void Told(AdmissionTicket* ticket) {
    (ticket->previous != nullptr ? ticket->previous->next : untold_first) = ticket->next;
    (ticket->next != nullptr ? ticket->next->previous : untold_last) = ticket->previous;
    ticket->previous = ticket->next = nullptr;
    ticket->untold = false;
  }
  void ShedWaiting(AdmissionTicket* ticket, ShedReason reason, TimePoint now) {
    queue.Remove(ticket);
    Shed(ticket, reason);
    if (reason == ShedReason::kQueueFull || reason == ShedReason::kQueueTimeout) gauge.Refused(now);
    Untold(ticket);
  }

  bool Hopeless(const AdmissionTicket& ticket, double wait, TimePoint now) const {
    return ticket.ask.deadline &&
           *ticket.ask.deadline <= now + Span(wait + 0.5 * routes.mean_seconds());
  }

  void LookAtQueue(TimePoint now) {
    if (queue.size() < OverloadGauge::kLongQueue || gauge.pressed()) {
      long_since = kNever;
    } else if (long_since == kNever) {
      long_since = now;
      long_size = queue.size();
    } else if (now - long_since >= kLasting) {
      if (queue.size() >= kShorter * long_size) return Press(now);
      long_since = now;
      long_size = queue.size();
    }
  }

  // From now on the queue is kept short. Who waits already goes on waiting, behind those who come.
  void Press(TimePoint now) {
    gauge.Press(now);
    long_since = kNever;
    for (std::uint8_t rank = kVitalRanks; rank < kBacklog; ++rank) {
      while (AdmissionTicket* ticket = queue.Oldest(rank)) {
        queue.Remove(ticket);
        ticket->rank = kBacklog;
        queue.Add(ticket);
      }
    }
  }

  void Wait(AdmissionTicket* ticket, TimePoint now) {
    bound = true;
    const std::uint32_t before = queue.Before(ticket->rank);
    const double wait = (before + 1) * Drain();
    if (Hopeless(*ticket, wait, now)) return Shed(ticket, ShedReason::kDeadline);
    const double allowed = std::chrono::duration<double>(Allowed(ticket->rank)).count();
    const bool too_long = held > 0 && wait > allowed && before > 0;
    const bool full = queue.size() >= config.queue.max;
    if (too_long || full) {
      AdmissionTicket* victim = queue.Victim(ticket->rank, ticket->lane);
      // Who is of a lower rank does not stand before the new one.
      if (victim != nullptr && too_long && victim->rank != ticket->rank) victim = nullptr;
      if (full && victim == nullptr) victim = queue.Victim(ticket->rank, ticket->lane);
      if (victim == nullptr) {
        Shed(ticket, full ? ShedReason::kQueueFull : ShedReason::kQueueTimeout);
        gauge.Refused(now);
        return;
      }
      ShedWaiting(victim, ShedReason::kQueueFull, now);
    }
    ticket->state = State::kQueued;
    queue.Add(ticket);
    if (ticket->ask.deadline) next_deadline = std::min(next_deadline, *ticket->ask.deadline);
    if (ticket->untold) Told(ticket);  // it was the one too many: the caller sees it by its state
  }

  void Enter(AdmissionTicket* ticket, TimePoint now) {
    ticket->entered = asked = now;
    ticket->rank = RankOf(ticket->ask);
    ticket->lane = AdmissionQueue::LaneOf(ticket->ask.client);
    ticket->untold = false;
    Tick(now);
    ticket->route_row = routes.Ask(ticket->ask.route);
    if (config.limit == Limit::kOff) return Admit(ticket, now);
    if (!gauge.Ask(CohortCut::Level(ticket->rank, ticket->ask.cohort)) &&
        used() >= kSpare * limit()) {
      return Shed(ticket, ShedReason::kCohort);
    }
    if (success.refusal() > 0 && ticket->rank >= kVitalRanks && Wanting() &&
        Chance() < success.refusal()) {
      success.Refused(now);
      return Shed(ticket, ShedReason::kFailing);
    }
    if (Wanting() && !routes.MayEnter(ticket->route_row, ticket->rank < kVitalRanks))
      return Shed(ticket, ShedReason::kRoute);
    if (queue.Before(ticket->rank) == 0 && HasSlot(ticket->rank)) return Admit(ticket, now);
    Wait(ticket, now);
  }

  AdmissionTicket* Next(TimePoint now) {
    Tick(now);
    Expire(now);
    if (AdmissionTicket* ticket = untold_first; ticket != nullptr) {
      Told(ticket);
      return ticket;
    }
    const bool newest_first = gauge.pressed();
    AdmissionTicket* ticket = queue.Peek(newest_first);
    if (ticket == nullptr || !HasSlot(ticket->rank)) return nullptr;
    if (ticket->rank == kBacklog && gauge.pressed() && now - asked < kQuiet) return nullptr;
    queue.Take(newest_first);
    if (Hopeless(*ticket, 0, now)) {
      Shed(ticket, ShedReason::kDeadline);
    } else if (!routes.MayEnter(ticket->route_row, ticket->rank < kVitalRanks)) {
      Shed(ticket, ShedReason::kRoute);
    } else {
      Admit(ticket, now);
    }
    return ticket;
  }

  void Expire(TimePoint now) {
    for (std::uint8_t rank = 0; rank < AdmissionQueue::kRanks; ++rank) {
      const Duration patience = Patience(rank);
      while (AdmissionTicket* ticket = queue.Oldest(rank)) {
        if (now - ticket->entered < patience) break;
        ShedWaiting(ticket, ShedReason::kQueueTimeout, now);
      }
    }
    if (now < next_deadline) return;
    TimePoint next = kNever;
    for (std::uint8_t rank = 0; rank < AdmissionQueue::kRanks; ++rank) {
      for (AdmissionTicket* ticket = queue.Oldest(rank); ticket != nullptr;) {
        AdmissionTicket* younger = ticket->younger;
        if (ticket->ask.deadline && *ticket->ask.deadline <= now) {
          ShedWaiting(ticket, ShedReason::kDeadline, now);
        } else if (ticket->ask.deadline) {
          next = std::min(next, *ticket->ask.deadline);
        }
        ticket = younger;
      }
    }
    // A thousand deadlines are not a thousand walks.
    next_deadline = next == kNever ? kNever : std::max(next, now + kSweep);
  }

  std::optional<TimePoint> wakeup() const {
    if (untold_first != nullptr) return latest;
    if (queue.size() == 0) return std::nullopt;
    TimePoint at = next_deadline;
    for (std::uint8_t rank = 0; rank < AdmissionQueue::kRanks; ++rank) {
      const AdmissionTicket* ticket = queue.Oldest(rank);
      if (ticket != nullptr) at = std::min(at, ticket->entered + Patience(rank));
    }
    if (queue.size(kBacklog) > 0 && HasSlot(kBacklog)) at = std::min(at, asked + kQuiet);
    return at;
  }

  // --- what the servers say ---

  void Sample(LimitSample sample) {
    if (adaptive == nullptr) return;
    const LimitScene scene{
        used(),          queue.size(), std::exchange(bound, queue.size() > 0 || used() >= limit()),
        gauge.pressed(), pressure,     at_rest < kAtRest};
    adaptive->Sample(sample, scene);
    if (const double correction = adaptive->TakeCorrection(); correction != 0) {
      routes.Shift(correction);
    }
  }

  void FirstByte(AdmissionTicket* ticket, Duration took, TimePoint now, bool error) {
    if (ticket->state != State::kAdmitted || ticket->measured || ticket->coming) return;
    routes.Speak(ticket);
    if (ticket->apart) return;
    LimitSample sample{now,
                       ticket->cohort,
                       took,
                       0,
                       ticket->counted,
                       ticket->in_flight,
                       LimitSample::End::kAnswer};
    if (error) {
      ticket->erred = true;
      sample.end = LimitSample::End::kError;
      return Sample(sample);
    }
    const std::uint16_t row = ticket->route_row;
    routes.Answered(row, took, now);
    if (!routes.Compare(row, took, &sample.excess)) sample.end = LimitSample::End::kGone;
    // Where there was room to spare the time is what is usual; a route that nobody knows yet is
    // measured by how the others do now.
    const bool spare = !gauge.pressed() && ticket->in_flight * 2 <= limit();
    if (spare) at_rest = std::min(at_rest + 1, kAtRest);
    if (spare) {
      routes.Learn(row, took);
    } else if (!routes.KnowsWell(row)) {
      routes.LearnInCrowd(row, took);
    }
    Sample(sample);
  }

  void AwaitRequest(AdmissionTicket* ticket, TimePoint now) {
    Tick(now);
    if (config.limit == Limit::kOff || coming >= kMostComing * limit()) return;
    gauge.Used(used(), limit(), now);
    if (ticket->counted) {
      Sample(
          {now, ticket->cohort, Duration{0}, 0, true, ticket->in_flight, LimitSample::End::kGone});
    }
    routes.Speak(ticket);
    routes.Leave(ticket, now);
    ticket->counted = false;
    ticket->apart = ticket->coming = true;
    --in_flight;
    ++coming;
  }

  void RequestDone(AdmissionTicket* ticket, TimePoint now) {
    Tick(now);
    gauge.Used(used(), limit(), now);
    ticket->apart = ticket->coming = false;
    --coming;
    ++in_flight;
    ticket->admitted = now;
    ticket->in_flight = used();
    routes.Admit(ticket);
  }

  void StandApart(AdmissionTicket* ticket, TimePoint now) {
    Tick(now);
    gauge.Used(used(), limit(), now);
    if (!ticket->measured) {
      Sample({now, ticket->cohort, Duration{0}, 0, ticket->counted, ticket->in_flight,
              LimitSample::End::kGone});
    }
    routes.Speak(ticket);
    ticket->apart = true;
    --in_flight;
  }

  void Leave(AdmissionTicket* ticket, AdmissionEnd end, TimePoint now) {
    Tick(now);
    if (ticket->state == State::kShed && ticket->untold) Told(ticket);
    if (ticket->state == State::kQueued) queue.Remove(ticket);
    if (ticket->state == State::kAdmitted) LeaveSlot(ticket, end, now);
    ticket->state = State::kOutside;
  }

  void LeaveSlot(AdmissionTicket* ticket, AdmissionEnd end, TimePoint now) {
    if (ticket->coming) {
      ticket->coming = false;
      --coming;
      return;
    }
    const bool hung = routes.Stuck(ticket->route_row);
    const bool answered = ticket->measured;
    routes.Leave(ticket, now);
    if (ticket->apart) return;
    gauge.Used(used(), limit(), now);
    --in_flight;
    gauge.Done();
    const double seconds = std::chrono::duration<double>(now - ticket->admitted).count();
    if (answered && !hung) {
      holds = std::min(holds + 1, 64U);
      held += (seconds - held) / holds;
    }
    if (config.limit == Limit::kOff) return;
    LimitSample sample{now,
                       ticket->cohort,
                       Duration{0},
                       0,
                       ticket->counted,
                       ticket->in_flight,
                       LimitSample::End::kDrop};
    switch (end) {
      case AdmissionEnd::kAnswered:
        return success.Ended(true, now);
      case AdmissionEnd::kError:
        success.Ended(false, now);
        sample.end = LimitSample::End::kError;
        if (!ticket->erred) Sample(sample);
        return;
      case AdmissionEnd::kDropped:
        if (hung) sample.end = LimitSample::End::kGone;
        return Sample(sample);
      case AdmissionEnd::kUnmeasured: {
        if (answered || adaptive == nullptr) return;
        // Who waits for so long in vain has met overload, whoever it was that gave up.
        const double usual = routes.mean_seconds();
        const bool in_vain = seconds > std::max(kInVain * usual, kInVainAtLeast);
        if (hung || !in_vain) sample.end = LimitSample::End::kGone;
        Sample(sample);
        return;
      }
    }
  }

  void Tick(TimePoint now) {
    latest = now;
    if (now - ticked < kTick) return;
    ticked = now;
    gauge.Used(used(), limit(), now);
    LookAtQueue(now);
    gauge.Tick(queue.size() > 0, now);
    routes.Judge(limit(), gauge.pressed(), now);
    pressure *= 0.98;  // an app that says nothing any more is not pressed for ever
  }

  double Chance() {
    chance += 0x9e3779b97f4a7c15U;
    return static_cast<double>(Mix(chance) >> 11) * 0x1p-53;
  }
};

Admission::Admission(const AdmissionConfig& config, std::uint64_t seed, TimePoint now)
    : impl_(std::make_unique<Impl>()) {
  impl_->chance = seed;
  impl_->ticked = now;
  impl_->Configure(config);
}
Admission::~Admission() = default;

void Admission::Configure(const AdmissionConfig& config, TimePoint now) {
  impl_->latest = now;
  impl_->Configure(config);
}
void Admission::Enter(AdmissionTicket* ticket, TimePoint now) {
  impl_->Enter(ticket, now);
}
void Admission::FirstByte(AdmissionTicket* ticket, Duration took, TimePoint now, bool error) {
  impl_->FirstByte(ticket, took, now, error);
}
void Admission::StandApart(AdmissionTicket* ticket, TimePoint now) {
  if (ticket->state != State::kAdmitted || ticket->apart) return;
  impl_->StandApart(ticket, now);
}
void Admission::AwaitRequest(AdmissionTicket* ticket, TimePoint now) {
  if (ticket->state == State::kAdmitted && !ticket->apart && !ticket->measured)
    impl_->AwaitRequest(ticket, now);
}
void Admission::RequestDone(AdmissionTicket* ticket, TimePoint now) {
  if (ticket->state == State::kAdmitted && ticket->coming) impl_->RequestDone(ticket, now);
}
void Admission::Pressure(double pressure, TimePoint now) {
  impl_->Tick(now);
  impl_->pressure = std::clamp(pressure, 0.0, 1.0);
}
void Admission::Leave(AdmissionTicket* ticket, AdmissionEnd end, TimePoint now) {
  impl_->Leave(ticket, end, now);
}
AdmissionTicket* Admission::Next(TimePoint now) {
  return impl_->Next(now);
}
std::optional<TimePoint> Admission::wakeup() const {
  return impl_->wakeup();
}

AdmissionLoad Admission::Load() const {
  return {impl_->limit(), impl_->in_flight, impl_->queue.size()};
}

AdmissionView Admission::View(TimePoint) const {
  const Impl& impl = *impl_;
  AdmissionView view;
  view.limit = impl.limit();
  view.in_flight = impl.in_flight;
  for (std::uint8_t rank = 0; rank < AdmissionQueue::kRanks; ++rank) {
    for (const AdmissionTicket* t = impl.queue.Oldest(rank); t != nullptr; t = t->younger) {
      ++view.queued[static_cast<std::size_t>(t->ask.traffic_class)];
    }
  }
  view.shed = impl.shed;
  view.gradient = impl.adaptive != nullptr ? impl.adaptive->gradient() : 1;
  const double excess = impl.adaptive != nullptr ? impl.adaptive->excess() : 0;
  view.baseline =
      Span(std::chrono::duration<double>(impl.routes.Typical()).count() * std::exp(-excess));
  view.pressed = impl.gauge.pressed();
  view.failing = impl.success.refusal();
  if (const CohortCut& cut = impl.gauge.cut(); !cut.open()) {
    const std::uint32_t rank = (cut.cut() - 1) / CohortCut::kCohorts;
    view.lowest = static_cast<TrafficClass>(rank > 0 ? rank - 1 : 0);
    view.admit_share =
        static_cast<double>(cut.cut() - rank * CohortCut::kCohorts) / CohortCut::kCohorts;
  }
  impl.routes.View(&view);
  return view;
}

}  // namespace spillway
