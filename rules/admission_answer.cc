// SPDX-License-Identifier: MIT
// What the servers say, and how what was admitted ends.
#include <algorithm>
#include <utility>

#include "rules/admission_impl.h"
#include "spillway/refused_route.h"

namespace spillway {
namespace {

constexpr double kInVain = 4, kInVainAtLeast = 0.5;  // times the mean; seconds
constexpr std::uint32_t kAtRest = 50;                // so many tell what is usual
// What is refused may take any time, a wrong password long and a wrong path none, so it says little.
constexpr double kRefusedTells = 0.3;  // a logarithm
// Of the uploads that may be coming: where half are, one client has an eighth at most.
constexpr std::uint32_t kHalf = 2, kOfOneClient = 8, kOfOneAtLeast = 4;

}  // namespace

void Admission::Impl::Sample(LimitSample sample) {
  if (adaptive == nullptr) return;
  const LimitScene scene{
      in_flight,       queue.size(), std::exchange(bound, queue.size() > 0 || in_flight >= limit()),
      gauge.pressed(), pressure,     at_rest < kAtRest};
  adaptive->Sample(sample, scene);
  SetLimit();
  if (const double correction = adaptive->TakeCorrection(); correction != 0) {
    routes.Shift(correction);
  }
}

void Admission::Impl::FirstByte(AdmissionTicket* ticket, Duration took, TimePoint now, bool error) {
  const AnswerTime time(took);
  const bool in_vain = ticket->left && routes.SilentTooLong(*ticket, *ticket->left);
  if (ticket->state == State::kAdmitted && ticket->by_design && !error && !in_vain) {
    // What waits by design takes as long as ever; a page that costs much does not.
    double excess = 0;
    routes.Compare(*ticket, time, &excess);
    routes.LearnInCrowd(*ticket, time);
    if (AtEase()) room_by_design = std::min(room_by_design + 1, kMostByDesign);
  }
  if (ticket->state != State::kAdmitted || ticket->measured || ticket->coming) return;
  if (!error && gauge.pressed() && IsNewcomer(ticket->rank))
    visitors.Answered(VisitorOf(ticket->ask), ticket->admitted, now);
  trials_due |= !routes.row(ticket->route_row).proven;
  routes.Speak(ticket);
  if (ticket->apart) return;
  LimitSample sample{
      now, ticket->cohort, took, 0, ticket->counted, ticket->in_flight, LimitSample::End::kAnswer};
  if (error) {
    ticket->erred = true;
    if (!in_vain) routes.Prove(ticket->route_row);
    sample.end = LimitSample::End::kError;
    return Sample(sample);
  }
  routes.Answered(ticket->route_row, time, in_vain, now);
  if (!routes.Compare(*ticket, time, &sample.excess)) sample.end = LimitSample::End::kGone;
  if (ticket->ask.route.route == kRefusedRoute.route)
    sample.excess = std::clamp(sample.excess, -kRefusedTells, kRefusedTells);
  // Where there was room to spare the time is what is usual; a route that nobody knows yet is
  // measured by how the others do now.
  const bool spare = !gauge.pressed() && ticket->in_flight * 2 <= limit();
  const double teaches = spare && !in_vain ? clients.TeachingShare(SharerOf(*ticket)) : 0;
  if (spare && !in_vain) at_rest = std::min(at_rest + 1, kAtRest);
  if (in_vain) {
    // It is no measure of what is usual.
  } else if (teaches > 0 && (teaches == 1 || Chance() < teaches)) {
    routes.Learn(*ticket, time);
  } else {
    routes.LearnInCrowd(*ticket, time);
  }
  Sample(sample);
}

bool Admission::Impl::TooManyComing(const AdmissionTicket& ticket) const {
  if (config.limit == Limit::kOff) return false;
  const std::uint32_t least = adaptive != nullptr ? kComingAtLeast : 0;
  const std::uint32_t all = std::max(kMostComing * limit(), least);
  const std::uint32_t most = ticket.rank < kVitalRanks ? 2 * all : all;
  if (coming >= most) return true;
  return coming >= most / kHalf &&
         coming_of_lane[ticket.lane] >= std::max(most / kOfOneClient, kOfOneAtLeast);
}

void Admission::Impl::AwaitRequest(AdmissionTicket* ticket, TimePoint now) {
  Tick(now);
  if (config.limit == Limit::kOff) return;
  const bool too_many = TooManyComing(*ticket);
  gauge.Used(in_flight, limit(), now);
  if (ticket->counted) {
    Sample({now, ticket->cohort, Duration{0}, 0, true, ticket->in_flight, LimitSample::End::kGone});
  }
  routes.Speak(ticket);
  routes.Leave(ticket, now);
  ticket->counted = false;
  --in_flight;
  // With a slot it would keep it for as long as it likes. That is no answer, and does not count as one.
  if (too_many) return Shed(ticket, ShedReason::kQueueFull);
  ticket->apart = ticket->coming = true;
  ++coming;
  ++coming_of_lane[ticket->lane];
}

void Admission::Impl::RequestDone(AdmissionTicket* ticket, TimePoint now) {
  Tick(now);
  gauge.Used(in_flight, limit(), now);
  ticket->apart = ticket->coming = false;
  --coming;
  --coming_of_lane[ticket->lane];
  ++in_flight;
  ticket->admitted = now;
  ticket->in_flight = in_flight;
  ticket->route_row = routes.Ask(ticket->ask);  // another may have got its row meanwhile
  routes.Return(ticket);
}

void Admission::Impl::StandApart(AdmissionTicket* ticket, TimePoint now) {
  if (ticket->coming) RequestDone(ticket, now);
  Tick(now);
  gauge.Used(in_flight, limit(), now);
  if (!ticket->measured) {
    Sample({now, ticket->cohort, Duration{0}, 0, ticket->counted, ticket->in_flight,
            LimitSample::End::kGone});
  }
  const bool answered = ticket->measured;
  routes.SetApart(ticket);
  --in_flight;
  ++apart;
  LeftSlot(*ticket, answered, now);
}

void Admission::Impl::LeftSlot(const AdmissionTicket& ticket, bool answered, TimePoint now) {
  gauge.Done();
  clients.Done();
  if (!answered || routes.Stuck(ticket.route_row)) return;
  const double seconds = std::chrono::duration<double>(now - ticket.admitted).count();
  slot_samples = std::min(slot_samples + 1, kSlotSamples);
  slot_seconds += (seconds - slot_seconds) / slot_samples;
}

void Admission::Impl::Leave(AdmissionTicket* ticket, AdmissionEnd end, TimePoint now) {
  Tick(now);
  if (ticket->state == State::kShed && ticket->untold) Told(ticket);
  const bool inside = ticket->state == State::kQueued || ticket->state == State::kAdmitted;
  if (inside && ticket->ask.is_protected) --protected_requests;
  if (ticket->state == State::kQueued) {
    ticket->on_trial ? EndTrial(ticket) : queue.Remove(ticket);
  }
  if (ticket->state == State::kAdmitted) LeaveSlot(ticket, end, now);
  ticket->state = State::kOutside;
}

void Admission::Impl::LeaveSlot(AdmissionTicket* ticket, AdmissionEnd end, TimePoint now) {
  if (ticket->coming) {
    ticket->coming = false;
    --coming;
    --coming_of_lane[ticket->lane];
    return;
  }
  trials_due |= !routes.row(ticket->route_row).proven;
  const bool hung = routes.Stuck(ticket->route_row);
  const bool answered = ticket->measured;
  routes.Leave(ticket, now);
  if (ticket->by_design) {
    --apart_by_design;
    gauge.Done();
    clients.Done();
    success.Ended(end != AdmissionEnd::kError, now);
  }
  if (ticket->apart) {
    apart -= ticket->by_design ? 0 : 1;
    return;
  }
  gauge.Used(in_flight, limit(), now);
  --in_flight;
  LeftSlot(*ticket, answered, now);
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
      if (hung && answered) return;  // it was told of already
      if (hung) sample.end = LimitSample::End::kGone;
      return Sample(sample);
    case AdmissionEnd::kUnmeasured: {
      if (answered || adaptive == nullptr) return;
      // Who waits for so long in vain has met overload, whoever it was that gave up.
      const double usual = routes.mean_seconds();
      const double seconds = std::chrono::duration<double>(now - ticket->admitted).count();
      const bool in_vain = seconds > std::max(kInVain * usual, kInVainAtLeast);
      if (hung || !in_vain) sample.end = LimitSample::End::kGone;
      Sample(sample);
      return;
    }
  }
}

}  // namespace spillway
