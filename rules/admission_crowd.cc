// SPDX-License-Identifier: MIT
// A crowd that comes in one instant. How many of it can be served is not known as it comes: the limit is that
// of a quiet day, and what is answered while thousands are accepted tells little. So for a moment nobody is
// turned away for an estimate; who finds no slot waits, and is told in time:
//
//   age   0 ---------------- 38 % ----- 48 % ---------------- 120 % of queue.timeout
//         |  waits, and may   |  told, who would  |  served
//         |  be served        |  not be reached   |
//
// as reckoned by how many of those who wait were served lately, which by then is nearly what the servers can do.
// At first only those are told for whom there is no hope. A backlog that is of no instant is told from 54 to 60 %,
// and waits for the timeout at most.
// Whether a crowd is over or many times too many go on coming shows only later. Where it is just some times too
// many the first moment is a short one, and those who waited are told as soon as it is seen to last.
#include <algorithm>
#include <cmath>

#include "rules/admission_impl.h"

namespace spillway {
namespace {

constexpr Duration kGathers = std::chrono::milliseconds(800);
constexpr Duration kGathersSwamped = std::chrono::seconds(2);
// Of queue.timeout; where it was not one instant later, as who is refused asks again.
struct Telling {
  double from, by;
  // Standard deviations of how many may be served: who is not reached by so many more is told.
  double doubt, last_doubt;
};
constexpr Telling kInstant = {0.38, 0.48, 3, 0}, kGradual = {0.54, 0.6, -1.5, -1.5};
// Of queue.timeout: after so long it lasts, and from this age on one is told then.
constexpr double kLasts = 0.3, kTellWhileItLasts = 0.25;
constexpr std::uint32_t kCalm = 2;   // ticks, and nobody comes any more
constexpr double kCutByCrowd = 0.5;  // of the highest limit meanwhile: below, the crowd cut it
constexpr double kSmoothing = 0.25;  // of each tick

}  // namespace

bool Admission::Impl::Gathers(TimePoint now) {
  if (crowd_since == kNever) return false;
  if (gauge.swamped()) {
    instant = true;
    return now - crowd_since <= kGathersSwamped;
  }
  return gauge.pressed() && now - crowd_since <= kGathers;
}

bool Admission::Impl::Join(AdmissionTicket* ticket, TimePoint now) {
  if (ticket->rank < kVitalRanks) return false;
  // In the backlog all are equal: what is refused as a whole is not to come before what matters more.
  const std::uint8_t line = LineRank(ticket->ask);
  if (line > kVitalRanks && CohortCut::Level(line, 0) >= gauge.cut().cut()) return false;
  if (queue.size() >= config.queue.max) {
    AdmissionTicket* victim = queue.Victim(kBacklog, ticket->lane);
    if (victim == nullptr) return false;
    ShedWaiting(victim, ShedReason::kQueueFull, now);
  }
  ticket->rank = kBacklog;
  Queue(ticket);
  return true;
}

void Admission::Impl::LookAtCrowd(bool is_long, TimePoint now) {
  if (!is_long && !gauge.pressed()) {
    crowd_since = kNever;
    instant = kept_waiting = false;
    most_limit = 0;
    reopened = false;
  } else if (crowd_since == kNever) {
    crowd_since = now;
  }
  const double seconds = std::chrono::duration<double>(now - backlog_looked).count();
  backlog_looked = now;
  const double part =
      std::min(kSmoothing * seconds / std::chrono::duration<double>(kTick).count(), 1.0);
  if (seconds > 0) backlog_rate += (backlog_served / seconds - backlog_rate) * part;
  backlog_served = 0;
  if (crowd_since == kNever) return;

  kept_waiting = kept_waiting || (instant && gauge.calm_ticks() >= kCalm);
  most_limit = std::max(most_limit, limit());
  if (queue.size(kBacklog) == 0 || !gauge.pressed()) return;
  // Answers were late as long as the crowd came, as all was busy with it.
  if (adaptive != nullptr && !reopened && gauge.calm_ticks() >= kCalm &&
      limit() < kCutByCrowd * most_limit) {
    reopened = true;
    adaptive->Reopen();
  }
  TellBacklog(now);
}

// Lanes take turns, so who is last in the longest is reached last.
void Admission::Impl::TellBacklog(TimePoint now) {
  const double timeout = std::chrono::duration<double>(config.queue.timeout).count();
  const auto part_of_timeout = [&](const AdmissionTicket& ticket) {
    return std::chrono::duration<double>(now - ticket.entered).count() / timeout;
  };
  const bool lasts = gauge.calm_ticks() == 0 && !gauge.swamped() &&
                     now - crowd_since > ToDuration(kLasts * timeout);
  const Telling& telling = instant ? kInstant : kGradual;
  const double from = lasts ? kTellWhileItLasts : telling.from;
  // Ticks are not to pass it by.
  const double by = std::max(
      telling.by, telling.from + 2 * std::chrono::duration<double>(kTick).count() / timeout);
  for (std::size_t lane = 0; lane < AdmissionQueue::kLanes; ++lane) {
    AdmissionTicket* last = queue.Last(kBacklog, lane);
    std::uint32_t place = queue.size(kBacklog, lane);
    while (last != nullptr && part_of_timeout(*last) < from) last = last->previous, --place;
    while (last != nullptr && part_of_timeout(*last) < by) {
      const double age = part_of_timeout(*last);
      const double served = backlog_rate * timeout * std::max(1 - age, 0.0);
      const double early = std::clamp((by - age) / (by - telling.from), 0.0, 1.0);
      const double doubt = lasts
                               ? kGradual.doubt
                               : telling.last_doubt + (telling.doubt - telling.last_doubt) * early;
      if (queue.Until(kBacklog, place) <= served + doubt * std::sqrt(served)) break;
      AdmissionTicket* before = last->previous;
      ShedWaiting(last, ShedReason::kQueueTimeout, now);
      last = before, --place;
    }
  }
}

}  // namespace spillway
