// SPDX-License-Identifier: MIT
#include "rules/route_ledger.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "rules/adaptive_limit.h"
#include "spillway/mix.h"
#include "spillway/refused_route.h"

namespace spillway {
namespace {

// Shorter times are those of the loops and of the kernel, and say nothing of servers.
constexpr double kShortest = 0.002;
constexpr double kLevelMemory = 128;
constexpr std::uint32_t kLately = 64;   // answers
constexpr std::uint32_t kFewest = 8;    // answers before a route's norm counts
constexpr std::uint32_t kWell = 64;     // and until it is learnt in a crowd too
constexpr double kSlow = 1.5;           // times the mean of all
constexpr std::uint32_t kMemory = 256;  // answers a norm remembers
constexpr double kDecayPerSecond = 0.7;
constexpr double kLongestDecay = 60;  // seconds
constexpr double kGivenUp = 0.5;      // of such requests it is as good as forgotten
constexpr double kMostExcess = 4;     // a logarithm
constexpr std::size_t kMostTold = 16;
constexpr std::size_t kMethodBytes = 16;
constexpr std::string_view kNameless = "(not known)";  // it has its row since it waited

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

// A route waits by design where its answers usually take so many times as long as is typical.
constexpr double kByDesign = 20, kByDesignAtLeast = 0.25;  // seconds
constexpr std::uint32_t kFewAnswers = 4;                   // tell nothing of whether all is as ever
constexpr double kAsEver = 0.4;                            // a logarithm
// The spread of a route's logarithms that says nothing: that of an exponential law is 1.28.
constexpr double kSpread = 1.3;

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

bool IsRefused(const AdmissionTicket& ticket) {
  return ticket.ask.route.route == kRefusedRoute.route;
}

std::uint32_t Slots(double share, std::uint32_t limit, std::uint32_t least) {
  return std::max(static_cast<std::uint32_t>(share * limit), least);
}

}  // namespace

AnswerTime::AnswerTime(Duration took)
    : seconds(Seconds(took)), logarithm(std::log(std::max(seconds, kShortest))) {}

std::size_t RouteLedger::SetOf(std::uint64_t route) {
  return 1 + Mix(route) % kSets * kWays;
}

std::uint16_t RouteLedger::Find(std::uint64_t route) const {
  if (route == 0) return 0;
  const std::size_t first = SetOf(route);
  for (std::size_t i = first; i < first + kWays; ++i) {
    if (keys_[i] == route) return static_cast<std::uint16_t>(i);
  }
  return 0;
}

std::uint16_t RouteLedger::Place(std::uint64_t route) {
  if (route == 0) return 0;
  if (const std::uint16_t row = Find(route); row != 0) return row;
  const std::size_t first = SetOf(route);
  std::size_t spare = 0;
  for (std::size_t i = first; i < first + kWays; ++i) {
    const Row& row = rows_[i];
    if (row.in_flight != 0 || row.apart != 0 || row.cap != 0 || row.given_up > kGivenUp) continue;
    if (spare == 0 || row.asks < rows_[spare].asks) spare = i;
  }
  if (spare == 0) return 0;
  rows_[spare] = Row{};
  keys_[spare] = route;
  names_[spare].size = 0;
  return static_cast<std::uint16_t>(spare);
}

std::uint16_t RouteLedger::Ask(const AdmissionAsk& ask) {
  const std::uint16_t own = Place(ask.route.route);
  const std::uint16_t row = own != 0 ? own : Place(ask.route.family);
  if (row != 0 && names_[row].size == 0) Call(row, ask);
  return row;
}

// "GET /order/:id", and of a family "GET /order/*" or "GET /order/*/*".
void RouteLedger::Call(std::uint16_t row, const AdmissionAsk& ask) {
  if (ask.path.empty()) return;  // it is known again, after it had waited for long
  std::string name(ask.method.substr(0, kMethodBytes));
  name += ' ';
  std::string_view path = ask.path;
  if (keys_[row] != ask.route.route) path = path.substr(0, path.find('/', 1));
  AppendRoute(path, &name);
  if (path.size() < ask.path.size()) {
    const auto more = std::count(ask.path.begin() + static_cast<std::ptrdiff_t>(path.size()),
                                 ask.path.end(), '/');
    for (std::ptrdiff_t i = 0; i < std::min<std::ptrdiff_t>(more, kMostRouteSegments - 1); ++i)
      name += "/*";
  }
  names_[row].size = name.copy(names_[row].text.data(), kNameBytes);
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
  ticket->apart = true;
  Row& row = rows_[ticket->route_row];
  --row.in_flight;
  ++row.apart;
}

bool RouteLedger::AsEver() const {
  return answered_ >= kFewAnswers && level_ <= kAsEver;
}

bool RouteLedger::WaitsByDesign(const AdmissionTicket& ticket) const {
  const std::uint16_t index = NormRow(ticket);
  if (index == 0 || !Knows(index)) return false;  // of the shared row some do, and some do not
  return rows_[index].norm + lift_ > by_design_;
}

bool RouteLedger::SilentTooLong(const AdmissionTicket& ticket, TimePoint now) const {
  const double usual = Usual(rows_[ticket.route_row]);
  return Seconds(now - ticket.admitted) > std::max(kHangs[0].times * usual, kShortestHang);
}

void RouteLedger::Leave(AdmissionTicket* ticket, TimePoint now) {
  Row& row = rows_[ticket->route_row];
  if (!ticket->measured && SilentTooLong(*ticket, now)) row.given_up += 1;
  Speak(ticket);
  if (ticket->apart) {
    --row.apart;
    return;
  }
  --row.in_flight;
  if (row.cap != 0 && row.stuck && stuck_slots_ > 0) --stuck_slots_;
}

void RouteLedger::Answered(std::uint16_t index, const AnswerTime& took, bool in_vain,
                           TimePoint now) {
  Row& row = rows_[index];
  row.last_answer = now;
  row.answers += 1;
  if (index != last_row_) last_of_others_ = last_, last_row_ = index;
  last_ = now;
  if (in_vain) return;
  Prove(index);
  answered_ = std::min(answered_ + 1, kLately);
  typical_ += (took.logarithm - typical_) / answered_;
  mean_ += (took.seconds - mean_) / answered_;
  if (answered_ < kLately) SetBars();
}

void RouteLedger::SetBars() {
  by_design_ = std::log(std::max(kByDesign * std::exp(typical_), kByDesignAtLeast));
  comparable_ = std::log(kSlow * std::max(mean_, kShortest));
}

bool RouteLedger::Knows(std::uint16_t index) const {
  return rows_[index].samples >= kFewest;
}

std::uint16_t RouteLedger::NormRow(const AdmissionTicket& ticket) const {
  if (IsRefused(ticket)) return Find(kRefusedRoute.route);
  if (Knows(ticket.route_row)) return ticket.route_row;
  const std::uint16_t family = Find(ticket.ask.route.family);
  return Knows(family) ? family : 0;
}

bool RouteLedger::Comparable(const AdmissionTicket& ticket) const {
  const std::uint16_t index = NormRow(ticket);
  // Servers that became faster: by what was usual all their routes would be slow ones, and none of them left to
  // say so.
  const double faster = std::min(level_, 0.0);
  return Knows(index) && rows_[index].norm + lift_ + faster < comparable_;
}

bool RouteLedger::Compare(const AdmissionTicket& ticket, const AnswerTime& took, double* excess) {
  const std::uint16_t index = NormRow(ticket);
  if (!Knows(index)) return false;
  *excess = std::clamp(took.logarithm - rows_[index].norm - lift_, -kMostExcess, kMostExcess);
  level_ += (std::min(*excess, kMuch) - level_) / kLevelMemory;
  return true;
}

// Its own row; and as long as that is not known its family's, and as long as that is not the shared one.
// What is refused teaches its own row alone.
template <class Teach>
void RouteLedger::EachToTeach(const AdmissionTicket& ticket, Teach teach) {
  if (IsRefused(ticket)) {
    if (const std::uint16_t refused = Place(kRefusedRoute.route); refused != 0) {
      rows_[refused].asks += 1;  // so it stays
      teach(refused);
    }
    return;
  }
  const std::uint16_t own = ticket.route_row;
  bool known = Knows(own);
  teach(own);
  if (known || own == 0) return;
  const std::uint16_t family = Place(ticket.ask.route.family);
  known = Knows(family);
  if (family != 0 && family != own) {
    rows_[family].asks += 1;  // so it stays
    teach(family);
  }
  if (!known) teach(0);
}

void RouteLedger::Learn(const AdmissionTicket& ticket, const AnswerTime& took) {
  EachToTeach(ticket, [&](std::uint16_t index) { Learn(index, took.logarithm, 0); });
}

void RouteLedger::LearnInCrowd(const AdmissionTicket& ticket, const AnswerTime& took) {
  EachToTeach(ticket, [&](std::uint16_t index) {
    if (rows_[index].samples < kWell || ticket.by_design) Learn(index, took.logarithm, level_);
  });
}

void RouteLedger::Learn(std::uint16_t index, double logarithm, double excess) {
  Row& row = rows_[index];
  Prove(index);  // a family by each of its routes
  row.samples = std::min(row.samples + 1, kMemory);
  const double too_long = logarithm - excess - lift_ - row.norm;
  row.norm += (row.samples > kFewest ? std::min(too_long, kMuch) : too_long) / row.samples;
  // The first says nothing of a spread.
  if (row.samples > 1) row.variance += (too_long * too_long - row.variance) / row.samples;
}

double RouteLedger::UsualSeconds(const AdmissionTicket& ticket) const {
  const std::uint16_t index = NormRow(ticket);
  return Knows(index) ? std::exp(rows_[index].norm + lift_) : mean_;
}

Duration RouteLedger::Typical() const {
  if (answered_ == 0) return Duration{0};
  return ToDuration(std::exp(typical_));
}

void RouteLedger::Judge(std::uint32_t limit, bool pressed, TimePoint now) {
  const double decay = std::pow(kDecayPerSecond, std::min(Seconds(now - judged_), kLongestDecay));
  const double forget = std::exp(-Seconds(now - judged_) / kHangsFor);
  judged_ = now;
  SetBars();
  asks_ *= decay;
  stuck_slots_ = 0;
  for (std::size_t i = 0; i < kRows; ++i) {
    Row& row = rows_[i];
    row.asks *= decay;
    row.answers *= decay;
    row.given_up *= forget;
    if (i == 0) continue;  // the shared row is of many, none of them known to be it
    const bool was_capped = row.cap != 0, was_stuck = row.stuck;
    if (limit == 0) row.cap = 0, row.stuck = false;
    if (limit != 0 && (row.in_flight != 0 || row.cap != 0 || row.given_up > kGivenUp)) {
      JudgeStuck(static_cast<std::uint16_t>(i), limit, now);
      JudgeShare(&row, limit, pressed, now);
    }
    if (was_capped != (row.cap != 0) || was_stuck != row.stuck) ++cap_changes_;
    if (row.cap != 0 && row.stuck) stuck_slots_ += row.in_flight;
  }
}

// Of a route that answers at once or after a minute the minute is usual, too.
double RouteLedger::Usual(const Row& row) const {
  if (row.samples < kFewest) {
    // A few answers of its own can only make it slower.
    const double own = row.samples < kFewAnswers ? 0 : std::exp(row.norm);
    return std::max({mean_, std::exp(typical_), own});
  }
  const double spread = std::max(std::sqrt(row.variance) - kSpread, 0.0);
  return std::max(mean_, std::exp(row.norm + lift_ + spread));
}

bool RouteLedger::OthersAnswer(std::uint16_t index, double usual, TimePoint now) const {
  const TimePoint last = index == last_row_ ? last_of_others_ : last_;
  return answered_ > 3 && Seconds(now - last) < std::max(3 * usual, kShortestHang);
}

bool RouteLedger::Unproven(const AdmissionTicket& ticket, std::uint32_t first,
                           TimePoint now) const {
  const Row& row = rows_[ticket.route_row];
  if (row.proven || ticket.route_row == 0 || answered_ < kLately) return false;
  if (row.silent + std::lround(row.given_up) < first) return false;
  return OthersAnswer(ticket.route_row, Usual(row), now);
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
  const bool calm = !hangs && late * 2 <= row->in_flight && row->given_up < kGivenUp &&
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

// Those of one name are one: of two long ones the names may be cut alike.
std::vector<CappedRoute> RouteLedger::Capped() const {
  std::vector<CappedRoute> capped;
  for (std::size_t i = 1; i < kRows; ++i) {
    const Row& row = rows_[i];
    if (row.cap == 0 || capped.size() == kMostTold) continue;
    std::string_view name(names_[i].text.data(), names_[i].size);
    if (name.empty()) name = kNameless;
    const auto same = std::find_if(capped.begin(), capped.end(),
                                   [&](const CappedRoute& one) { return one.name == name; });
    if (same == capped.end()) {
      capped.push_back({std::string(name), row.in_flight, row.cap, row.stuck});
    } else {
      same->in_flight += row.in_flight, same->allowed += row.cap;
    }
  }
  return capped;
}

}  // namespace spillway
