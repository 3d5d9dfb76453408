// SPDX-License-Identifier: MIT
// Those who wait for a route to show that it answers at all. One that hangs would take a worker with
// each request until it is known to; so of one that has never answered a few go first.
#include <algorithm>

#include "rules/admission_impl.h"

namespace spillway {
namespace {

constexpr std::uint32_t kFirst = 16;  // one in so many slots goes first

}  // namespace

// Where most slots are free, now and lately, nobody is kept waiting; nor at the beginning, when little has answered yet.
bool Admission::Impl::AwaitsProof(const AdmissionTicket& ticket, TimePoint now) const {
  if (config.limit == Limit::kOff) return false;
  if (ticket.rank < kVitalRanks) return false;
  if (std::max<double>(in_flight, used_lately) * kEarly < limit()) return false;
  return routes.Unproven(ticket, std::max(limit() / kFirst, 1U), now);
}

void Admission::Impl::Try(AdmissionTicket* ticket) {
  ticket->state = State::kQueued;
  ticket->on_trial = true;
  trials.Add(ticket);
}

void Admission::Impl::EndTrial(AdmissionTicket* ticket) {
  trials.Remove(ticket);
  ticket->on_trial = false;
}

TimePoint Admission::Impl::EndOfPatience(const AdmissionTicket& ticket) const {
  const TimePoint end = ticket.entered + config.queue.timeout;
  return ticket.ask.deadline ? std::min(end, *ticket.ask.deadline) : end;
}

// One at a time, as the first of a route may be followed by so many only.
AdmissionTicket* Admission::Impl::LookAtTrials(TimePoint now) {
  for (AdmissionTicket* ticket = trials.first(); ticket != nullptr;) {
    AdmissionTicket* const next = ticket->next;
    ticket->route_row = routes.Ask(ticket->ask);  // another may have got its row meanwhile
    if (EndOfPatience(*ticket) <= now) {
      EndTrial(ticket);
      const bool late = ticket->ask.deadline && *ticket->ask.deadline <= now;
      Shed(ticket, late ? ShedReason::kDeadline : ShedReason::kRoute);
      return ticket;
    }
    if (!AwaitsProof(*ticket, now)) {
      EndTrial(ticket);
      ticket->entered = now;  // it comes to the queue as any other does
      if (queue.Before(ticket->rank) == 0 && HasSlot(ticket->rank)) {
        Admit(ticket, now);
      } else {
        Wait(ticket, now);
      }
      if (ticket->state != State::kQueued) return ticket;
    }
    ticket = next;
  }
  trials_due = false;
  return nullptr;
}

}  // namespace spillway
