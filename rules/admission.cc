// SPDX-License-Identifier: MIT
// How an ask finds its way: its client's share, the line through ranks and cohorts, the success of
// the servers, the cap of its route, then a slot or a place to wait. What each of them knows is in a
// file of its own.
#include "spillway/admission.h"

#include <algorithm>
#include <cmath>

#include "rules/admission_impl.h"
#include "spillway/mix.h"

namespace spillway {

using State = AdmissionTicket::State;

namespace {

constexpr std::uint32_t kFirstOfRoutes = 4;  // one in so many slots more for the first of a route
constexpr std::uint32_t kReserve = 16;       // one in so many slots more for the vital ranks
constexpr double kInUseNow = 0.2;            // the weight of what is in use at a tick
constexpr double kNewest = 0.3;              // the weight of what one server says of its pressure

// So many of `limit` slots may be in use when one is admitted that is above its client's share. The
// others come by chance, and are to find a slot: the rest is as with lines and callers (Erlang). Of a
// limit of 1 that is nothing: where no slot at all is in use, nobody else is there to find one.
double LeftOver(std::uint32_t limit) {
  return limit - std::max(0.1 * limit, std::sqrt(limit));
}

struct ReasonWords {
  std::string_view text, label;
};
constexpr std::array<ReasonWords, kShedReasons> kReasons = {
    {{"shed", "none"},
     {"shed: queue full", "queue_full"},
     {"shed: queue timeout", "queue_timeout"},
     {"shed: deadline", "deadline"},
     {"shed: cohort", "cohort"},
     {"shed: route", "route"},
     {"shed: failing", "failing"},
     {"shed: client", "client"}}};

}  // namespace

std::string_view ShedReasonText(ShedReason reason) {
  return kReasons[static_cast<std::size_t>(reason)].text;
}
std::string_view ShedReasonLabel(ShedReason reason) {
  return kReasons[static_cast<std::size_t>(reason)].label;
}

void Admission::Impl::Configure(const AdmissionConfig& now) {
  const bool same = adaptive != nullptr && now.algorithm == config.algorithm;
  config = now;
  const AdaptiveLimit::Range range{std::max(1.0, static_cast<double>(config.min)),
                                   static_cast<double>(std::max({config.min, config.max, 1U})),
                                   static_cast<double>(config.initial)};
  if (config.limit != Limit::kAdaptive) {
    adaptive.reset();
  } else if (same) {
    adaptive->Reshape(range);
  } else {
    adaptive = MakeAdaptiveLimit(config.algorithm, range);
  }
  SetLimit();
}

void Admission::Impl::Tick(TimePoint now) {
  latest = now;
  if (now - ticked < kTick) return;
  ticked = now;
  trials_due = true;
  used_lately += kInUseNow * (in_flight - used_lately);
  gauge.Used(in_flight, limit(), now);
  LookAtQueue(now);
  gauge.Tick(queue.size() > 0, now);
  if (gauge.TakeFade()) clients.Fade();
  routes.Judge(limit(), gauge.pressed(), now);
  if (!AtEase()) room_by_design /= 2;
  room_by_design = std::max(room_by_design, limit());
  pressure *= 0.98;  // an app that says nothing any more is not pressed for ever
}

double Admission::Impl::Chance() {
  chance += 0x9e3779b97f4a7c15U;
  return static_cast<double>(Mix(chance) >> 11) * 0x1p-53;
}

void Admission::Impl::SetLimit() {
  double limit = config.fixed;
  if (adaptive != nullptr) limit = adaptive->limit();
  limit_now = config.limit == Limit::kOff
                  ? 0
                  : static_cast<std::uint32_t>(std::lround(std::max(limit, 1.0)));
}

// The vital ranks may go beyond a limit that was found, which is a little above the knee anyway;
// never beyond one that somebody has set.
bool Admission::Impl::HasSlot(std::uint8_t rank) const {
  if (config.limit == Limit::kOff) return true;
  const std::uint32_t most = limit();
  const bool more = rank < kVitalRanks && adaptive != nullptr;
  return in_flight < most + (more ? std::max(most / kReserve, 1U) : 0);
}

// Before the overload nobody's visit is noted: those whose pages come as it begins are newcomers.
std::uint8_t Admission::Impl::RankOf(const AdmissionAsk& ask, TimePoint now) const {
  const std::uint8_t line = LineRank(ask);
  if (line < kVitalRanks) return line;
  const auto rank = static_cast<std::uint8_t>(kFirstNewcomer + 2 * (line - kVitalRanks));
  return gauge.pressed() && visitors.Knows(VisitorOf(ask), now) ? rank - 1 : rank;
}

std::uint64_t Admission::Impl::VisitorOf(const AdmissionAsk& ask) {
  const auto of_class = static_cast<std::uint64_t>(ask.traffic_class);
  return ask.client ^ Mix(1 + ask.cohort + 2 * CohortCut::kCohorts * of_class);
}

void Admission::Impl::Admit(AdmissionTicket* ticket, TimePoint now) {
  if (gauge.pressed() && IsNewcomer(ticket->rank)) visitors.LetIn(VisitorOf(ticket->ask), now);
  gauge.Used(in_flight, limit(), now);
  ++in_flight;
  ticket->state = State::kAdmitted;
  ticket->reason = ShedReason::kNone;
  ticket->admitted = now;
  ticket->in_flight = in_flight;
  ticket->erred = ticket->apart = ticket->coming = ticket->by_design = false;
  ticket->no_upload = TooManyComing(*ticket);
  routes.Admit(ticket);
  ticket->counted = adaptive != nullptr && routes.Comparable(*ticket);
  if (ticket->counted) ticket->cohort = adaptive->Admitted(ticket->in_flight, now);
  if (WaitsByDesign(*ticket)) SetApart(ticket, now);
}

// What waits by design (a long poll) holds no worker, or few would be served at all beside some hundreds
// of such. Or it is a page that costs much: only the others tell, by their times. So there is room for as
// many as the limit at first, and for one more with each that was answered while the others felt nothing.
bool Admission::Impl::WaitsByDesign(const AdmissionTicket& ticket) const {
  return apart_by_design < room_by_design && AtEase() && routes.WaitsByDesign(ticket);
}

void Admission::Impl::SetApart(AdmissionTicket* ticket, TimePoint now) {
  if (ticket->counted) {
    Sample({now, ticket->cohort, Duration{0}, 0, true, ticket->in_flight, LimitSample::End::kGone});
    ticket->counted = false;
  }
  routes.SetApart(ticket);
  ticket->by_design = true;
  --in_flight;
  ++apart_by_design;
}

bool Admission::Impl::AtEase() const {
  return adaptive != nullptr && (adaptive->opening() || !gauge.pressed()) && routes.AsEver();
}

// Who waits by design; and the first of a route, as long as there is no sign of overload: how the one
// route answers tells nothing of another.
bool Admission::Impl::NeedsNoSlot(const AdmissionTicket& ticket) const {
  if (WaitsByDesign(ticket)) return true;
  if (adaptive == nullptr || !adaptive->opening() || gauge.pressed()) return false;
  const RouteLedger::Row& row = routes.row(ticket.route_row);
  return ticket.route_row != 0 && row.silent == 0 && row.in_flight == 0 &&
         in_flight < limit() + std::max(limit() / kFirstOfRoutes, 1U);
}

void Admission::Impl::Shed(AdmissionTicket* ticket, ShedReason reason) {
  if (ticket->state != State::kOutside && ticket->ask.is_protected) --protected_requests;
  ticket->state = State::kShed;
  ticket->reason = reason;
  ++shed[static_cast<std::size_t>(ticket->ask.traffic_class)][static_cast<std::size_t>(reason)];
}

// What of those who come is refused at once, in the order in which it is asked.
std::optional<ShedReason> Admission::Impl::Refusal(AdmissionTicket* asking, TimePoint now) {
  const AdmissionTicket& ticket = *asking;
  // What a client asks beyond its share is nobody's measure: the line is drawn for the others.
  const bool vital = ticket.rank < kVitalRanks;
  using Standing = ClientShares::Standing;
  const Standing standing = clients.Ask(SharerOf(ticket), Chance());
  const bool fair = standing != Standing::kAbove;
  // Who asks for so much asks for more than a page.
  if (standing != Standing::kFair && IsFollower(ticket.rank)) ++asking->rank;
  const std::uint32_t level = CohortCut::Level(LineRank(ticket.ask), ticket.ask.cohort);
  if (fair && IsFollower(ticket.rank)) gauge.Follow(level);
  const bool passes = !fair || IsFollower(ticket.rank) || gauge.Ask(level);
  const bool left_over = in_flight == 0 || in_flight < LeftOver(limit());
  if (!fair && gauge.pressed() && (!gauge.cut().open() || !left_over)) {
    gauge.Stay(now);
    return ShedReason::kClient;
  }
  if (!passes && !Spare()) return ShedReason::kCohort;
  // A route that hangs has workers that the limit may not know of: it is held before slots are wanting.
  const bool held_back =
      Wanting() || (routes.Stuck(ticket.route_row) && in_flight * kEarly >= limit());
  if (held_back && !routes.MayEnter(ticket.route_row, vital)) return ShedReason::kRoute;
  if (!Wanting()) return std::nullopt;
  if (success.refusal() > 0 && !vital && Chance() < success.refusal()) {
    success.Refused(now);
    return ShedReason::kFailing;
  }
  return std::nullopt;
}

// Though a slot may be free. What a route takes is believed as long as one of it is at the servers, who will
// tell whether that is so still.
bool Admission::Impl::TooLate(const AdmissionTicket& ticket, TimePoint now) const {
  if (!ticket.ask.deadline) return false;
  const Duration left = *ticket.ask.deadline - now;
  if (left <= Duration{0}) return true;
  return routes.row(ticket.route_row).silent > 0 &&
         left <= ToDuration(kSoonest * routes.UsualSeconds(ticket));
}

void Admission::Impl::Enter(AdmissionTicket* ticket, TimePoint now) {
  ticket->entered = asked = now;
  ticket->lane = AdmissionQueue::LaneOf(ticket->ask.client);
  ticket->untold = ticket->on_trial = false;
  ticket->left.reset();
  Tick(now);
  ticket->rank = RankOf(ticket->ask, now);
  ticket->route_row = routes.Ask(ticket->ask);
  ticket->ask.method = ticket->ask.path = {};
  if (config.limit == Limit::kOff) return Admit(ticket, now);
  if (TooLate(*ticket, now)) return Shed(ticket, ShedReason::kDeadline);
  if (const auto reason = Refusal(ticket, now)) {
    if (*reason == ShedReason::kCohort && Gathers(now) && Join(ticket, now)) return;
    return Shed(ticket, *reason);
  }
  // Without a place to wait it goes on, to be judged as those before it.
  if (trials.size() < std::min(kMostTrials, config.queue.max) && AwaitsProof(*ticket, now))
    return Try(ticket);
  if (queue.Before(ticket->rank) == 0 && HasSlot(ticket->rank)) return Admit(ticket, now);
  if (NeedsNoSlot(*ticket)) return Admit(ticket, now);
  Wait(ticket, now);
}

// --- as others see it ---

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
  if (ticket->ask.is_protected && ticket->state != State::kShed) ++impl_->protected_requests;
}
void Admission::FirstByte(AdmissionTicket* ticket, Duration took, TimePoint now, bool error) {
  impl_->FirstByte(ticket, took, now, error);
}
void Admission::StandApart(AdmissionTicket* ticket, TimePoint now) {
  if (ticket->state != State::kAdmitted || (ticket->apart && !ticket->coming)) return;
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
  impl_->pressure += kNewest * (std::clamp(pressure, 0.0, 1.0) - impl_->pressure);
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
  for (const AdmissionTicket* t = impl.trials.first(); t != nullptr; t = t->next) {
    ++view.queued[static_cast<std::size_t>(t->ask.traffic_class)];
  }
  view.shed = impl.shed;
  view.gradient = impl.adaptive != nullptr ? impl.adaptive->gradient() : 1;
  const double excess = impl.adaptive != nullptr ? impl.adaptive->excess() : 0;
  view.baseline =
      ToDuration(std::chrono::duration<double>(impl.routes.Typical()).count() * std::exp(-excess));
  view.pressed = impl.gauge.pressed();
  view.failing = impl.success.refusal();
  if (const CohortCut& cut = impl.gauge.cut(); !cut.open()) {
    const std::uint32_t rank = (cut.cut() - 1) / CohortCut::kCohorts;
    view.lowest = static_cast<TrafficClass>(rank > 0 ? rank - 1 : 0);
    view.admit_share =
        static_cast<double>(cut.cut() - rank * CohortCut::kCohorts) / CohortCut::kCohorts;
  }
  view.capped = impl.routes.Capped();
  view.apart = impl.apart + impl.coming + impl.apart_by_design;
  view.protected_requests = impl.protected_requests;
  view.pressure = impl.pressure;
  return view;
}

std::vector<CappedRoute> Admission::Capped() const {
  return impl_->routes.Capped();
}
std::uint32_t Admission::cap_changes() const {
  return impl_->routes.cap_changes();
}

}  // namespace spillway
