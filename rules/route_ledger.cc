// SPDX-License-Identifier: MIT
#include "rules/route_ledger.h"

#include <algorithm>
#include <cmath>

#include "rules/adaptive_limit.h"
#include "spillway/mix.h"

namespace spillway {
namespace {

// Shorter times are those of the loops and of the kernel, and say nothing of servers.
constexpr double kShortest = 0.002;
constexpr double kLevelMemory = 128;
constexpr std::uint32_t kFewest = 8;    // answers before a route's norm counts
constexpr std::uint32_t kWell = 64;     // and until it is learnt in a crowd too
constexpr double kSlow = 1.5;           // times the mean of all
constexpr std::uint32_t kMemory = 256;  // answers a norm remembers
constexpr double kDecayPerSecond = 0.7;

// A route hangs when so many of its requests have been silent for so many times of what is usual,
// while others are answered. The first row comes soon and leaves the route an eighth; the second is
// sure of it.
struct Hang {
  double share;
  double times;
  double allowed;
};
constexpr Hang kHangs[] = {{0.12, 5, 0.12}, {0.05, 12, 0.05}};
constexpr std::uint32_t kFewestSilent = 3;
constexpr double kUnknownShare = 0.05;  // of a route that has hardly ever answered
constexpr double kHangsFor = 20;        // seconds: what was given up hangs on at the servers
constexpr double kShortestHang = 0.1;   // seconds

// Of a route that is answered and holds more than its share.
constexpr double kBulkhead = 0.25;
constexpr double kTimesItsAsks = 3;
constexpr Duration kOverFor = std::chrono::seconds(2);
constexpr Duration kCalmFor = std::chrono::seconds(4);

// A route whose answers usually take so much longer waits for something that is no work.
constexpr double kLongTimes = 20;  // what an answer takes
constexpr double kLongAtLeast = 0.25;
// The spread of a route's logarithms that says nothing: that of an exponential law is 1.28.
constexpr double kSpread = 1.3;

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}
double Logarithm(Duration took) {
  return std::log(std::max(Seconds(took), kShortest));
}

std::uint32_t Slots(double share, std::uint32_t limit, std::uint32_t least) {
  return std::max(static_cast<std::uint32_t>(share * limit), least);
}

}  // namespace

std::uint16_t RouteLedger::Ask(std::uint64_t route) {
  std::size_t at = 0;
  if (route != 0) {
    const std::size_t first = 1 + Mix(route) % kSets * kWays;
    std::size_t spare = 0;
    for (std::size_t i = first; i < first + kWays; ++i) {
      const Row& row = rows_[i];
      if (row.route == route) {
        at = i;
        break;
      }
      if (row.in_flight != 0 || row.silent != 0 || row.cap != 0 || row.given_up > 0.5) continue;
      if (spare == 0 || row.asks < rows_[spare].asks) spare = i;
    }
    if (at == 0 && spare != 0) {
      rows_[spare] = Row{};
      rows_[spare].route = route;
      at = spare;
    }
  }
  return static_cast<std::uint16_t>(at);
}

void RouteLedger::Admit(AdmissionTicket* ticket) {
  Row& row = rows_[ticket->route_row];
  // Of those only that were let in: a route of what matters has more slots than its share of all asks.
  row.asks += 1;
  asks_ += 1;
  Return(ticket);
}

void RouteLedger::Return(AdmissionTicket* ticket) {
  Row& row = rows_[ticket->route_row];
  ++row.in_flight;
  ++row.silent;
  ticket->next = nullptr;
  ticket->previous = row.youngest;
  (row.youngest != nullptr ? row.youngest->next : row.oldest) = ticket;
  row.youngest = ticket;
  ticket->measured = false;
}

void RouteLedger::Speak(AdmissionTicket* ticket) {
  if (ticket->measured) return;
  Row& row = rows_[ticket->route_row];
  (ticket->previous != nullptr ? ticket->previous->next : row.oldest) = ticket->next;
  (ticket->next != nullptr ? ticket->next->previous : row.youngest) = ticket->previous;
  ticket->previous = ticket->next = nullptr;
  ticket->measured = true;
  --row.silent;
}

void RouteLedger::SetApart(AdmissionTicket* ticket) {
  Speak(ticket);  // its silence is no sign
  ticket->waits = true;
  --rows_[ticket->route_row].in_flight;
}

double RouteLedger::LongSilence() const {
  return std::max(kLongTimes * std::exp(typical_), kLongAtLeast);
}

bool RouteLedger::WaitsByDesign(std::uint16_t index) const {
  return index != 0 && Knows(index) && rows_[index].norm + lift_ > std::log(LongSilence());
}

void RouteLedger::Leave(AdmissionTicket* ticket, TimePoint now) {
  Row& row = rows_[ticket->route_row];
  if (!ticket->measured && !ticket->waits &&
      Seconds(now - ticket->admitted) > std::max(kHangs[0].times * Usual(row), kShortestHang)) {
    row.given_up += 1;
  }
  Speak(ticket);
  if (ticket->waits) return;
  --row.in_flight;
  if (row.cap != 0 && row.stuck && stuck_slots_ > 0) --stuck_slots_;
}

void RouteLedger::Answered(std::uint16_t index, Duration took, TimePoint now) {
  Row& row = rows_[index];
  row.last_answer = now;
  row.answers += 1;
  if (index != last_row_) last_of_others_ = last_, last_row_ = index;
  last_ = now;
  answered_ = std::min(answered_ + 1, 64U);
  typical_ += (Logarithm(took) - typical_) / answered_;
  mean_ += (Seconds(took) - mean_) / answered_;
}

bool RouteLedger::Knows(std::uint16_t index) const {
  return rows_[index].samples >= kFewest;
}

bool RouteLedger::KnowsWell(std::uint16_t index) const {
  return rows_[index].samples >= kWell;
}

bool RouteLedger::Comparable(std::uint16_t index) const {
  return Knows(index) && rows_[index].norm + lift_ < std::log(kSlow * std::max(mean_, 1e-6));
}

bool RouteLedger::Compare(std::uint16_t index, Duration took, double* excess) {
  if (!Knows(index)) return false;
  *excess = std::clamp(Logarithm(took) - rows_[index].norm - lift_, -4.0, 4.0);
  level_ += (std::min(*excess, kMuch) - level_) / kLevelMemory;
  return true;
}

void RouteLedger::Learn(std::uint16_t index, Duration took, double excess) {
  Row& row = rows_[index];
  row.samples = std::min(row.samples + 1, kMemory);
  const double too_long = Logarithm(took) - excess - lift_ - row.norm;
  row.norm += (row.samples > kFewest ? std::min(too_long, kMuch) : too_long) / row.samples;
  // The first says nothing of a spread.
  if (row.samples > 1) row.variance += (too_long * too_long - row.variance) / row.samples;
}

Duration RouteLedger::Typical() const {
  if (answered_ == 0) return Duration{0};
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::exp(typical_)));
}

void RouteLedger::Judge(std::uint32_t limit, bool pressed, TimePoint now) {
  const double decay = std::pow(kDecayPerSecond, std::min(Seconds(now - judged_), 60.0));
  const double forget = std::exp(-Seconds(now - judged_) / kHangsFor);
  judged_ = now;
  asks_ *= decay;
  stuck_slots_ = 0;
  for (std::size_t i = 0; i < kRows; ++i) {
    Row& row = rows_[i];
    row.asks *= decay;
    row.answers *= decay;
    row.given_up *= forget;
    if (i == 0 || limit == 0) continue;  // the shared row is of many, none of them known to be it
    if (row.in_flight != 0 || row.cap != 0 || row.given_up > 0.5) {
      JudgeStuck(static_cast<std::uint16_t>(i), limit, now);
      JudgeShare(&row, limit, pressed, now);
    }
    if (row.cap != 0 && row.stuck) stuck_slots_ += row.in_flight;
  }
}

// Of a route that answers at once or after a minute the minute is usual, too.
double RouteLedger::Usual(const Row& row) const {
  if (row.samples < kFewest) return std::max(mean_, std::exp(typical_));
  const double spread = std::max(std::sqrt(row.variance) - kSpread, 0.0);
  return std::max(mean_, std::exp(row.norm + lift_ + spread));
}

bool RouteLedger::OthersAnswer(std::uint16_t index, double usual, TimePoint now) const {
  const TimePoint last = index == last_row_ ? last_of_others_ : last_;
  return answered_ > 3 && Seconds(now - last) < std::max(3 * usual, kShortestHang);
}

// Silent for long, while others speak: in an outage, when nobody does, no route is to blame.
void RouteLedger::JudgeStuck(std::uint16_t index, std::uint32_t limit, TimePoint now) {
  Row* row = &rows_[index];
  const double usual = Usual(*row);
  const bool others = OthersAnswer(index, usual, now);
  bool hangs = false;
  for (const Hang& hang : kHangs) {
    const bool known = row->samples >= kFewest;
    const std::uint32_t many =
        Slots(known ? hang.share : kUnknownShare, limit, known ? kFewestSilent : 2);
    const auto gone = static_cast<std::uint32_t>(std::lround(row->given_up));
    if (!others || row->silent + gone < many) continue;
    const AdmissionTicket* ticket = row->oldest;
    for (std::uint32_t i = 1 + gone; i < many && ticket != nullptr; ++i) ticket = ticket->next;
    if (ticket != nullptr &&
        Seconds(now - ticket->admitted) < std::max(hang.times * usual, kShortestHang))
      continue;
    // It still answers, if not this many: more than a few silent ones are not yet a hang.
    if (Seconds(now - row->last_answer) < hang.times * usual && row->answers > row->silent)
      continue;
    hangs = true;
    row->cap = Slots(hang.allowed, limit, 2);
    row->stuck = true;
  }
  if (row->cap == 0 || !row->stuck) return;
  std::uint32_t late = 0;
  for (const AdmissionTicket* t = row->oldest; t != nullptr && late <= row->cap; t = t->next) {
    if (Seconds(now - t->admitted) < std::max(kHangs[0].times * usual, kShortestHang)) break;
    ++late;
  }
  const bool calm = !hangs && late * 2 <= row->in_flight && row->given_up < 0.5 &&
                    (row->answers > 1 || row->asks < 0.01);
  if (calm && !row->calm) row->calm_since = now;
  row->calm = calm;
  if (calm && now - row->calm_since >= kCalmFor) row->cap = 0, row->stuck = row->calm = false;
}

// Many slots for few asks, while others wait.
void RouteLedger::JudgeShare(Row* row, std::uint32_t limit, bool pressed, TimePoint now) {
  if (row->stuck) return;
  const double asked = asks_ > 0 ? row->asks / asks_ : 0;
  const double share = std::max(kBulkhead, kTimesItsAsks * asked);
  if (row->cap == 0) {
    const bool over = pressed && row->in_flight > share * limit && row->in_flight > 2;
    if (over && !row->over) row->over_since = now;
    row->over = over;
    if (!over || now - row->over_since < kOverFor) return;
  }
  row->cap = Slots(share, limit, 2);
  const bool calm = !pressed || row->in_flight * 5 < row->cap * 3;
  if (calm && !row->calm) row->calm_since = now;
  row->calm = calm;
  if (calm && now - row->calm_since >= kCalmFor) row->cap = 0, row->calm = row->over = false;
}

void RouteLedger::View(AdmissionView* view) const {
  view->capped_routes = 0;
  for (const Row& row : rows_) {
    if (row.cap == 0 || view->capped_routes == view->capped.size()) continue;
    view->capped[view->capped_routes++] = {row.route, row.in_flight, row.cap};
  }
}

}  // namespace spillway
