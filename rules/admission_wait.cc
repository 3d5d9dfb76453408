// SPDX-License-Identifier: MIT
// Those who wait for a slot: how long each may, who gives way, and whose turn it is.
#include <algorithm>
#include <utility>

#include "rules/admission_impl.h"

namespace spillway {
namespace {

// A queue that is long and has not become shorter for so long: more is asked for than is answered. A
// crowd that came at once is none, it is served in its turn.
constexpr Duration kLasting = std::chrono::milliseconds(400);
constexpr Duration kLastingWhileOpening = std::chrono::seconds(2);
constexpr Duration kTurnsAway = std::chrono::seconds(1);  // from one who is turned away to the next
constexpr double kShorter = 0.9;
constexpr Duration kQuiet = std::chrono::milliseconds(50);  // nobody else asks: not for so long
constexpr double kWait = 0.1;                               // of an answer's time, under pressure
constexpr double kLongestWait = 4;  // times that, before one who waits is refused after all
constexpr double kVitalWait = 5;    // of an answer's time, for vital ranks
constexpr double kFollowWait = 2;   // for what a page loads that was served
constexpr Duration kPromisedAtLeast = std::chrono::milliseconds(250);
constexpr Duration kWaitAtLeast = std::chrono::milliseconds(2);
constexpr int kLate = 5;  // one in so many of queue.timeout longer
constexpr Duration kSweep = std::chrono::milliseconds(10);

}  // namespace

double Admission::Impl::Drain() const {
  const std::uint32_t most = std::max(limit(), 1U);
  return slot_seconds /
         static_cast<double>(std::max(most - std::min(routes.stuck_slots(), most), 1U));
}

Duration Admission::Impl::Allowed(std::uint8_t rank) const {
  if (!gauge.pressed()) return config.queue.timeout;
  const bool vital = rank < kVitalRanks, promised = vital || IsFollower(rank);
  const double times = vital ? kVitalWait : promised ? kFollowWait : kWait;
  return std::min(config.queue.timeout, std::max(ToDuration(times * routes.mean_seconds()),
                                                 promised ? kPromisedAtLeast : kWaitAtLeast));
}

Duration Admission::Impl::Patience(std::uint8_t rank) const {
  // When a crowd of one instant is over, who was not told is served, be it late.
  if (rank == kBacklog && kept_waiting) return config.queue.timeout + config.queue.timeout / kLate;
  if (!gauge.pressed() || rank < kVitalRanks || rank == kBacklog) return config.queue.timeout;
  const Duration drain = ToDuration(2 * Drain());
  return std::min(config.queue.timeout,
                  std::chrono::duration_cast<Duration>(Allowed(rank) * kLongestWait) + drain);
}

bool Admission::Impl::Hopeless(const AdmissionTicket& ticket, double wait, TimePoint now) const {
  return ticket.ask.deadline &&
         *ticket.ask.deadline <= now + ToDuration(wait + kSoonest * routes.mean_seconds());
}

void Admission::Impl::Untold(AdmissionTicket* ticket) {
  ticket->untold = true;
  untold.Add(ticket);
}

void Admission::Impl::Told(AdmissionTicket* ticket) {
  untold.Remove(ticket);
  ticket->untold = false;
}

void Admission::Impl::ShedWaiting(AdmissionTicket* ticket, ShedReason reason, TimePoint now) {
  queue.Remove(ticket);
  Shed(ticket, reason);
  if (reason == ShedReason::kQueueFull || reason == ShedReason::kQueueTimeout) {
    Refused(ticket->rank, now);
    TurnAway(now);
  }
  Untold(ticket);
}

void Admission::Impl::TurnAway(TimePoint now) {
  turned_away = true;
  if (turned_away_at == kLongAgo || now - turned_away_at >= kTurnsAway) turning_since = now;
  turned_away_at = now;
}

void Admission::Impl::LookAtQueue(TimePoint now) {
  // As long as the limit itself grows fast a queue is no sign of much.
  const bool opening = adaptive != nullptr && adaptive->opening() && routes.AsEver();
  const Duration lasting = opening ? kLastingWhileOpening : kLasting;
  const bool many_wait = queue.size() >= OverloadGauge::kLongQueue;
  // A queue that goes on turning people away is long, however few places it has; and where few come, not every one
  // of them is turned away.
  const bool turns_away = turned_away_at != kLongAgo && now - turned_away_at < kTurnsAway &&
                          turned_away_at - turning_since >= lasting;
  const bool is_long = many_wait || turns_away;
  LookAtCrowd(std::exchange(turned_away, false) || many_wait, now);
  if (!is_long || gauge.pressed()) {
    long_since = kNever;
  } else if (long_since == kNever) {
    long_since = now;
    long_size = queue.size();
  } else if (now - long_since >= lasting) {
    // It becomes shorter, but not in time.
    const bool too_late =
        instant && ToDuration(queue.size() * Drain()) > config.queue.timeout - (now - crowd_since);
    if (too_late || queue.size() >= kShorter * long_size) return Press(now);
    long_since = now;
    long_size = queue.size();
  }
}

// Into one rank in the order in which they came: Oldest is asked of it.
void Admission::Impl::Press(TimePoint now) {
  gauge.Press(now);
  long_since = kNever;
  for (;;) {
    AdmissionTicket* oldest = nullptr;
    for (std::uint8_t rank = kVitalRanks; rank < kBacklog; ++rank) {
      AdmissionTicket* ticket = queue.Oldest(rank);
      if (ticket != nullptr && (oldest == nullptr || ticket->entered < oldest->entered))
        oldest = ticket;
    }
    if (oldest == nullptr) return;
    queue.Remove(oldest);
    oldest->rank = kBacklog;
    queue.Add(oldest);
  }
}

void Admission::Impl::Wait(AdmissionTicket* ticket, TimePoint now) {
  bound = true;
  const std::uint32_t before = queue.Before(ticket->rank);
  const double wait = (before + 1) * Drain();
  if (Hopeless(*ticket, wait, now)) return Shed(ticket, ShedReason::kDeadline);
  const double allowed = std::chrono::duration<double>(Allowed(ticket->rank)).count();
  if (crowd_since == kNever && queue.size() >= OverloadGauge::kLongQueue) crowd_since = now;
  const bool gathers = Gathers(now);
  const bool too_long =
      slot_seconds > 0 && wait > allowed && before > 0 && (gauge.pressed() || !gathers);
  const bool full = queue.size() >= config.queue.max;
  if (too_long || full) {
    TurnAway(now);
    AdmissionTicket* victim = queue.Victim(ticket->rank, ticket->lane);
    // Who is of a lower rank does not stand before the new one: he gives way to make room only.
    if (too_long && victim != nullptr && victim->rank != ticket->rank) victim = nullptr;
    if (victim == nullptr) {
      Refused(ticket->rank, now);
      if (gauge.pressed() && gathers && Join(ticket, now)) return;
      return Shed(ticket, full ? ShedReason::kQueueFull : ShedReason::kQueueTimeout);
    }
    ShedWaiting(victim, ShedReason::kQueueFull, now);
  }
  Queue(ticket);
}

void Admission::Impl::Queue(AdmissionTicket* ticket) {
  ticket->state = State::kQueued;
  queue.Add(ticket);
  if (ticket->ask.deadline) next_deadline = std::min(next_deadline, *ticket->ask.deadline);
}

AdmissionTicket* Admission::Impl::Next(TimePoint now) {
  Tick(now);
  if (trials_due && trials.size() > 0) {
    if (AdmissionTicket* ticket = LookAtTrials(now)) return ticket;
  }
  if (queue.size() == 0 && untold.size() == 0) return nullptr;  // as nearly always
  Expire(now);
  if (AdmissionTicket* ticket = untold.first(); ticket != nullptr) {
    Told(ticket);
    return ticket;
  }
  const bool newest_first = gauge.pressed();
  AdmissionTicket* ticket = queue.Peek(newest_first);
  if (ticket == nullptr || !HasSlot(ticket->rank)) return nullptr;
  if (ticket->rank == kBacklog && gauge.pressed()) {
    if (!Spare() && gauge.calm_ticks() == 0 && now - asked < kQuiet) return nullptr;
  }
  if (ticket->rank == kBacklog) ++backlog_served;
  queue.Take(newest_first);
  ticket->route_row = routes.Ask(ticket->ask);  // another may have got its row meanwhile
  if (Hopeless(*ticket, 0, now)) {
    Shed(ticket, ShedReason::kDeadline);
  } else if (!routes.MayEnter(ticket->route_row, ticket->rank < kVitalRanks)) {
    Shed(ticket, ShedReason::kRoute);
  } else {
    Admit(ticket, now);
  }
  return ticket;
}

void Admission::Impl::Expire(TimePoint now) {
  for (std::uint8_t rank = 0; rank < AdmissionQueue::kRanks; ++rank) {
    const Duration patience = Patience(rank);
    while (AdmissionTicket* ticket = queue.Oldest(rank)) {
      if (now - ticket->entered < patience) break;
      ShedWaiting(ticket, ShedReason::kQueueTimeout, now);
    }
  }
  if (now >= next_deadline) ExpireDeadlines(now);
}

void Admission::Impl::ExpireDeadlines(TimePoint now) {
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

std::optional<TimePoint> Admission::Impl::wakeup() const {
  if (untold.size() > 0) return latest;
  if (queue.size() == 0 && trials.size() == 0) return std::nullopt;
  TimePoint at = next_deadline;
  if (trials.size() > 0) at = std::min(at, ticked + kTick);
  for (std::uint8_t rank = 0; rank < AdmissionQueue::kRanks; ++rank) {
    const AdmissionTicket* ticket = queue.Oldest(rank);
    if (ticket != nullptr) at = std::min(at, ticket->entered + Patience(rank));
  }
  if (queue.size(kBacklog) > 0) {
    at = std::min(at, ticked + kTick);
    if (HasSlot(kBacklog)) at = std::min(at, asked + kQuiet);
  }
  return at;
}

}  // namespace spillway
