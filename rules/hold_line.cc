// SPDX-License-Identifier: MIT
// Letting out has two measures, and a request goes by either:
//
//   window   begins with four, and grows by one with each answer that comes about as fast as the fastest
//            has: doubled in each round trip, until the servers are busy; slow answers shrink it
//   pace     all that were held when the server came back within half of `for`, evenly: so that who was
//            held does not wait for ever behind a crowd that was not
//
// Neither lets out more than the caller says (twice the pool's limit, where it has one).
#include <algorithm>

#include "spillway/hold.h"

namespace spillway {
namespace {

constexpr Duration kSameOutage = std::chrono::seconds(5);  // down so soon again: it was not over
constexpr Duration kLookedFor = std::chrono::seconds(5);
constexpr Duration kSoonest = std::chrono::milliseconds(900), kLatest = std::chrono::minutes(5);
// A client may have as many whatever its share is.
constexpr std::uint32_t kFewPlaces = 4;
constexpr std::uint64_t kFewBytes = 256 * 1024;
constexpr Duration kNoticed = std::chrono::milliseconds(5);  // slower by less is noise

}  // namespace

void HoldLine::Configure(const HoldConfig& config) {
  config_ = config;
  looked_.reset();
}

// ---- what is known of the servers

void HoldLine::BeginOutage(TimePoint now) {
  window_ = kFirst;
  fastest_ = Duration::max();
  if (was_back_ && now - back_ < kSameOutage && outages_ended_ > 0) {
    --outages_ended_;
    return;
  }
  began_ = now;
  ++counts_.outages;
}

void HoldLine::Suspect(TimePoint now) {
  asked_ = now;
  if (state_ == State::kDown) return;
  state_ = State::kSuspected;
  window_ = kFirst;
}

void HoldLine::Down(TimePoint now) {
  if (state_ == State::kDown) return;
  state_ = State::kDown;
  BeginOutage(now);
}

void HoldLine::Back(TimePoint now) {
  if (state_ == State::kUp || state_ == State::kReturning) return;
  if (state_ == State::kDown) {
    lasted_[outages_ended_ % kRemembered] = now - began_;
    ++outages_ended_;
    was_back_ = true;
  }
  back_ = now;
  to_let_out_ = held_;
  let_out_ = 0;
  state_ = held_ == 0 ? State::kUp : State::kReturning;
}

// ---- requests

// One address must not fill the places of all: from the half on each client has a share.
bool HoldLine::HasRoom(const HoldTicket& ticket) const {
  if (held_ >= config_.max || bytes_ + ticket.bytes > config_.bytes.count) return false;
  if (held_ < config_.max / 2 && bytes_ < config_.bytes.count / 2) return true;
  const Client& client = clients_[ticket.client % kClients];
  return client.held < std::max(config_.max / kLargestShare, kFewPlaces) &&
         client.bytes < std::max(config_.bytes.count / kLargestShare, kFewBytes);
}

bool HoldLine::Enter(HoldTicket* ticket, TimePoint now) {
  asked_ = now;
  if (ticket->state == HoldTicket::State::kReleased) {
    --out_;
    window_ = kFirst;
  }
  ticket->state = HoldTicket::State::kOutside;
  const bool of_class = config_.on && ticket->traffic_class <= config_.from;
  if (!of_class || !HasRoom(*ticket)) return false;
  const bool first = !ticket->began;
  if (first) ticket->began = now;
  if (Expired(*ticket, now)) return false;
  ticket->state = HoldTicket::State::kHeld;
  List& list = lists_[static_cast<std::size_t>(ticket->traffic_class)];
  // One that comes again has its old place, which is near the front.
  if (first) ticket->place = ++counts_.entered;
  HoldTicket* behind = first ? nullptr : list.oldest;
  while (behind != nullptr && behind->place < ticket->place) behind = behind->younger;
  ticket->younger = behind;
  ticket->older = behind != nullptr ? behind->older : list.youngest;
  (ticket->older != nullptr ? ticket->older->younger : list.oldest) = ticket;
  (behind != nullptr ? behind->older : list.youngest) = ticket;
  ++list.size;
  ++held_;
  // Whoever found nobody may be told late that somebody is back: it must be found out once more.
  if (state_ == State::kUp) state_ = State::kSuspected;
  bytes_ += ticket->bytes;
  ++ClientOf(*ticket).held;
  ClientOf(*ticket).bytes += ticket->bytes;
  return true;
}

void HoldLine::Take(HoldTicket* ticket) {
  List& list = lists_[static_cast<std::size_t>(ticket->traffic_class)];
  (ticket->older != nullptr ? ticket->older->younger : list.oldest) = ticket->younger;
  (ticket->younger != nullptr ? ticket->younger->older : list.youngest) = ticket->older;
  ticket->older = ticket->younger = nullptr;
  --list.size;
  --held_;
  bytes_ -= ticket->bytes;
  --ClientOf(*ticket).held;
  ClientOf(*ticket).bytes -= ticket->bytes;
}

void HoldLine::Answered(HoldTicket* ticket, Duration took) {
  if (ticket->state != HoldTicket::State::kReleased) return;
  ticket->state = HoldTicket::State::kOutside;
  --out_;
  fastest_ = std::min(fastest_, took);
  if (took <= fastest_ + fastest_ / 2 + kNoticed) {
    window_ += 1;
  } else if (took > 2 * fastest_ + kNoticed) {
    window_ = std::max(kFirst, window_ - 0.5);
  }
}

void HoldLine::Leave(HoldTicket* ticket) {
  if (ticket->state == HoldTicket::State::kHeld) Take(ticket);
  if (ticket->state == HoldTicket::State::kReleased) --out_;
  ticket->state = HoldTicket::State::kOutside;
}

// Once a server is back those who are left have as long again: they are on their way.
bool HoldLine::Expired(const HoldTicket& ticket, TimePoint now) const {
  if (!config_.on || (ticket.deadline && now >= *ticket.deadline)) return true;
  const TimePoint from =
      state_ == State::kReturning ? std::max(*ticket.began, back_) : *ticket.began;
  return now >= from + config_.time;
}

bool HoldLine::MayLetOut(TimePoint now, std::uint32_t most) const {
  if (out_ >= most) return false;
  if (static_cast<double>(out_) + 1 <= window_) return true;
  const auto share = static_cast<double>((now - back_).count()) /
                     static_cast<double>(std::max<Duration::rep>(1, config_.time.count() / 2));
  return let_out_ < share * to_let_out_;
}

HoldTicket* HoldLine::NextExpired(TimePoint now) {
  if (looked_ && now < *looked_ + kLook) return nullptr;
  for (List& list : lists_) {
    for (HoldTicket* each = list.oldest; each != nullptr; each = each->younger) {
      if (!Expired(*each, now)) continue;
      Take(each);
      each->state = HoldTicket::State::kGivenUp;
      ++counts_.given_up;
      return each;
    }
  }
  looked_ = now;
  return nullptr;
}

HoldTicket* HoldLine::Next(TimePoint now, std::uint32_t most) {
  if (HoldTicket* const expired = NextExpired(now)) return expired;
  if (state_ != State::kReturning) return nullptr;
  if (held_ == 0) {
    state_ = State::kUp;
    return nullptr;
  }
  if (!MayLetOut(now, most)) return nullptr;
  for (List& list : lists_) {
    HoldTicket* const first = list.oldest;
    if (first == nullptr) continue;
    Take(first);
    first->state = HoldTicket::State::kReleased;
    ++out_;
    ++let_out_;
    ++counts_.released;
    return first;
  }
  return nullptr;
}

// ---- telling

Duration HoldLine::TurnAway(TimePoint now) {
  asked_ = now;
  ++counts_.turned_away;
  return RetryAfter(now);
}

// Outages usually last as long as the middle one of those before. One that lasts longer than that, or is
// the first, may last half as long again as it does already. Where none is known of, somebody answers.
Duration HoldLine::RetryAfter(TimePoint now) const {
  if (state_ != State::kDown) return kSoonest;
  const Duration lasts = now - began_;
  const auto known =
      static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(outages_ended_, kRemembered));
  Duration left = lasts / 2;
  if (known > 0) {
    std::array<Duration, kRemembered> sorted = lasted_;
    std::nth_element(sorted.begin(), sorted.begin() + known / 2, sorted.begin() + known);
    const Duration usual = sorted[static_cast<std::size_t>(known / 2)];
    if (usual > lasts) left = usual - lasts;
  }
  return std::clamp(left, kSoonest, kLatest);
}

bool HoldLine::wanted(TimePoint now) const {
  return held_ > 0 || now - asked_ < kLookedFor;
}

HoldView HoldLine::View(TimePoint now) const {
  HoldView view = counts_;
  view.state = state_;
  if (state_ == State::kDown) view.lasted = now - began_;
  for (std::size_t i = 0; i < kTrafficClasses; ++i) view.held[i] = lists_[i].size;
  view.bytes = bytes_;
  return view;
}

}  // namespace spillway
