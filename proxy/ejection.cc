// SPDX-License-Identifier: MIT
// Which servers are left out for a while, by how the requests to them went: those that fail in a row,
// those that hang, and those that answer with errors what others answer well. Each is a guess about one
// server beside the others: what befalls all of them alike ejects none.
#include <algorithm>

#include "proxy/log.h"
#include "proxy/upstream.h"

namespace spillway {
namespace {

constexpr std::int64_t kLongestEjection = 10;  // times the configured time
constexpr std::uint32_t kHang = 3;             // so many that have waited in vain are a hang
constexpr int kInVain = 8;                     // times what is usual
// So many answers make a share of errors; fewer do of one that was ejected and has not done well since.
constexpr std::uint32_t kAnswers = 20, kFewAnswers = 5;

std::int64_t Nanoseconds(TimePoint now) {
  return now.time_since_epoch().count();
}

bool Ejected(const Endpoint& endpoint, TimePoint now) {
  return endpoint.ejected_until.load(std::memory_order_relaxed) > Nanoseconds(now);
}

// How many of `members` may be ejected at once: the share rounded down, but one where the share is
// not zero (10 % of three servers would otherwise never eject), and never all of them.
std::size_t MostEjected(std::size_t members, std::uint32_t share) {
  if (members < 2 || share == 0) return 0;
  const std::size_t by_share = std::max<std::size_t>(1, members * share / 100);
  return std::min(by_share, members - 1);
}

TryOutcome OutcomeOf(int status) {
  if (status < 500) return TryOutcome::kAnswered;
  const bool of_gateway = status == 502 || status == 503 || status == 504;
  return of_gateway ? TryOutcome::kServerError : TryOutcome::kErred;
}

bool DoesWell(const Endpoint& endpoint, TimePoint now) {
  const Pulse::Tally tally = endpoint.pulse.tally(now);
  return tally.all >= kAnswers && tally.failed * 10 < tally.all;
}

}  // namespace

std::string_view EjectionText(Ejection why) {
  switch (why) {
    case Ejection::kErrors:
      return "errors in a row";
    case Ejection::kHangs:
      return "hangs";
    case Ejection::kFails:
      return "fails";
  }
  return "";
}

bool Pool::Usable(const Endpoint& endpoint, TimePoint now) {
  return endpoint.healthy.load(std::memory_order_relaxed) && !Ejected(endpoint, now);
}

void Pool::Answered(Endpoint& endpoint, int status, std::optional<Duration> took, TimePoint now) {
  endpoint.pulse.Answered(status < 500 ? took : std::nullopt, now);
  Report(endpoint, OutcomeOf(status), now);
}

void Pool::Report(Endpoint& endpoint, TryOutcome outcome, TimePoint now) {
  endpoint.pulse.Count(outcome != TryOutcome::kAnswered, now);
  if (outcome == TryOutcome::kAnswered || outcome == TryOutcome::kErred) {
    // Loads first: the healthy path must not write to a cache line that all workers read.
    if (endpoint.errors_in_row.load(std::memory_order_relaxed) != 0) {
      endpoint.errors_in_row.store(0, std::memory_order_relaxed);
    }
  }
  if (outcome == TryOutcome::kAnswered) {
    if (endpoint.ejections.load(std::memory_order_relaxed) == 0) return;
    if (!Ejected(endpoint, now)) return endpoint.ejections.store(0, std::memory_order_relaxed);
    if (endpoint.ejected_as.load(std::memory_order_relaxed) == Ejection::kHangs)
      TakeBackEarly(endpoint, now);
    return;
  }
  const std::uint32_t limit = config_.ejection.consecutive_errors;
  if (limit == 0 || Ejected(endpoint, now)) return;
  if (outcome != TryOutcome::kErred &&
      endpoint.errors_in_row.fetch_add(1, std::memory_order_relaxed) + 1 >= limit) {
    Eject(endpoint, Ejection::kErrors, now);
  } else if (FailsAlone(endpoint, now)) {
    Eject(endpoint, Ejection::kFails, now);
  }
}

// With balance: hash one server may have the path, or the client, that errors come from.
bool Pool::FailsAlone(const Endpoint& endpoint, TimePoint now) const {
  if (config_.balance == Balance::kHash) return false;
  const Pulse::Tally tally = endpoint.pulse.tally(now);
  const bool before = endpoint.ejections.load(std::memory_order_relaxed) > 0;
  if (tally.all < (before ? kFewAnswers : kAnswers) || tally.failed * 2 <= tally.all) return false;
  const std::shared_ptr<const PoolMembers> all = members();
  return std::any_of(all->begin(), all->end(), [&](const PoolMember& member) {
    const Endpoint& other = *member.endpoint;
    return &other != &endpoint && Usable(other, now) && DoesWell(other, now);
  });
}

Duration Pool::Patience() const {
  Duration usual{0};
  const std::shared_ptr<const PoolMembers> all = members();
  for (const PoolMember& member : *all)
    usual = std::max(usual, member.endpoint->pulse.usual().value_or(Duration{0}));
  if (usual == Duration{0}) return Duration::max();  // nothing is usual yet
  return std::max(kLeastPatience, usual * kInVain);
}

bool Pool::SilentSince(const Endpoint& endpoint, TimePoint asked) {
  return endpoint.pulse.answered_at() < asked;
}

bool Pool::OnTrial(const Endpoint& endpoint) {
  return endpoint.ejections.load(std::memory_order_relaxed) != 0 &&
         endpoint.ejected_as.load(std::memory_order_relaxed) == Ejection::kHangs &&
         endpoint.pulse.in_vain() >= kHang;
}

bool Pool::Hangs(const Endpoint& endpoint, TimePoint asked, TimePoint now) {
  return Ejected(endpoint, now) &&
         endpoint.ejected_as.load(std::memory_order_relaxed) == Ejection::kHangs &&
         Nanoseconds(asked) < endpoint.ejected_at.load(std::memory_order_relaxed);
}

void Pool::NoteSilence(Endpoint& endpoint, TimePoint asked, Duration patience, bool* counted,
                       TimePoint now) {
  const Duration silent = now - asked;
  if (!SilentSince(endpoint, asked) || silent < patience / 2) return;
  endpoint.pulse.Hushed(now);
  if (silent < patience) return;
  const std::uint32_t in_vain = *counted ? endpoint.pulse.in_vain() : endpoint.pulse.WaitedInVain();
  *counted = true;
  if (in_vain < kHang || config_.ejection.consecutive_errors == 0 || Ejected(endpoint, now)) return;
  if (AnotherAnswers(endpoint, asked, now)) Eject(endpoint, Ejection::kHangs, now);
}

// Another has answered since, and is not silent itself. It may have had nothing to do of late: who waits
// for the one that hangs may have all places at the pool.
bool Pool::AnotherAnswers(const Endpoint& endpoint, TimePoint asked, TimePoint now) const {
  const std::shared_ptr<const PoolMembers> all = members();
  return std::any_of(all->begin(), all->end(), [&](const PoolMember& member) {
    const Endpoint& other = *member.endpoint;
    return &other != &endpoint && Usable(other, now) && other.pulse.answered_at() > asked &&
           !other.pulse.hushed(now);
  });
}

// Rare, so it may walk the members. When another thread is ejecting just now, this one leaves it:
// the next error will come back here.
void Pool::Eject(Endpoint& endpoint, Ejection why, TimePoint now) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || Ejected(endpoint, now)) return;
  std::size_t ejected = 0;
  bool another_usable = false;
  for (const PoolMember& member : *members_) {
    if (member.endpoint.get() == &endpoint) continue;
    if (Ejected(*member.endpoint, now)) ++ejected;
    another_usable = another_usable || Usable(*member.endpoint, now);
  }
  if (!another_usable || ejected >= MostEjected(members_->size(), config_.ejection.max_share))
    return;

  const std::uint32_t before = endpoint.ejections.fetch_add(1, std::memory_order_relaxed);
  const std::int64_t factor =
      std::min(kLongestEjection, std::int64_t{1} << std::min<std::uint32_t>(before, 8));
  const Duration time = config_.ejection.time * factor;
  endpoint.ejected_as.store(why, std::memory_order_relaxed);
  endpoint.ejected_at.store(Nanoseconds(now), std::memory_order_relaxed);
  endpoint.ejected_until.store(Nanoseconds(now + time), std::memory_order_relaxed);
  TellOfEjection(endpoint, why, time, now);
  endpoint.pulse.ForgetTally();
}

void Pool::TellOfEjection(const Endpoint& endpoint, Ejection why, Duration time,
                          TimePoint now) const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time).count();
  switch (why) {
    case Ejection::kErrors:
      return log::Warning("pool {}: {} is ejected for {}s after {} errors in a row", config_.name,
                          endpoint.text, seconds,
                          endpoint.errors_in_row.load(std::memory_order_relaxed));
    case Ejection::kHangs:
      return log::Warning(
          "pool {}: {} is ejected for {}s, as it hangs: {} requests have waited in vain since it "
          "last answered, while another server answers",
          config_.name, endpoint.text, seconds, endpoint.pulse.in_vain());
    case Ejection::kFails: {
      const Pulse::Tally tally = endpoint.pulse.tally(now);
      return log::Warning(
          "pool {}: {} is ejected for {}s, as it fails: {} of its last {} requests, while another "
          "server answers well",
          config_.name, endpoint.text, seconds, tally.failed, tally.all);
    }
  }
}

// What hung has answered after all. It was out for no longer than that, and its slow start is no longer.
void Pool::TakeBackEarly(Endpoint& endpoint, TimePoint now) {
  std::int64_t until = endpoint.ejected_until.load(std::memory_order_relaxed);
  const Duration out =
      now - TimePoint(Duration(endpoint.ejected_at.load(std::memory_order_relaxed)));
  const Duration spared = config_.slow_start - std::min(config_.slow_start, out);
  if (until <= Nanoseconds(now) ||
      !endpoint.ejected_until.compare_exchange_strong(until, Nanoseconds(now - spared)))
    return;
  endpoint.pulse.ForgetTally();
  log::Info("pool {}: {} answers again, and is taken back", config_.name, endpoint.text);
}

}  // namespace spillway
