// SPDX-License-Identifier: MIT
#include "proxy/upstream.h"

#include <algorithm>
#include <utility>

#include "proxy/log.h"

namespace spillway {
namespace {

constexpr std::int64_t kWindowSeconds = 10;
constexpr std::uint64_t kLeastRetries = 3;
constexpr std::int64_t kLongestEjection = 10;  // times the configured time

std::int64_t Seconds(TimePoint now) {
  return std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
}

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

bool Contains(std::span<const Endpoint* const> endpoints, const Endpoint* endpoint) {
  return std::find(endpoints.begin(), endpoints.end(), endpoint) != endpoints.end();
}

}  // namespace

// FNV-1a with a final mix: rendezvous hashing needs all bits to be good.
std::uint64_t HashAddress(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
  return hash ^ (hash >> 33);
}

// --- RetryBudget: ten slots of a second each, used in turn ---

RetryBudget::RetryBudget(std::uint32_t percent) : percent_(percent) {}

// Two threads that meet at the turn of a second may lose a count that one adds before the other
// clears; a budget can bear that.
RetryBudget::Slot& RetryBudget::Turn(std::int64_t second) {
  Slot& slot = slots_[static_cast<std::uint64_t>(second) % kWindowSeconds];
  std::int64_t seen = slot.second.load(std::memory_order_relaxed);
  if (seen != second && slot.second.compare_exchange_strong(seen, second)) {
    slot.requests.store(0, std::memory_order_relaxed);
    slot.retries.store(0, std::memory_order_relaxed);
  }
  return slot;
}

void RetryBudget::CountRequest(TimePoint now) {
  Turn(Seconds(now)).requests.fetch_add(1, std::memory_order_relaxed);
}

// Takes first and looks afterwards, so that threads at the limit refuse each other rather than both
// pass.
bool RetryBudget::TryRetry(TimePoint now) {
  if (percent_ == 0) return false;
  const std::int64_t second = Seconds(now);
  Slot& own = Turn(second);
  own.retries.fetch_add(1, std::memory_order_relaxed);
  std::uint64_t requests = 0, retries = 0;
  for (const Slot& slot : slots_) {
    const std::int64_t age = second - slot.second.load(std::memory_order_relaxed);
    if (age < 0 || age >= kWindowSeconds) continue;
    requests += slot.requests.load(std::memory_order_relaxed);
    retries += slot.retries.load(std::memory_order_relaxed);
  }
  if (retries <= std::max(kLeastRetries, requests * percent_ / 100)) return true;
  own.retries.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

// --- Pool ---

Pool::Pool(const PoolConfig& config)
    : config_(config),
      members_(std::make_shared<const PoolMembers>()),
      budget_(config.retries.budget) {}

void Pool::SetMembers(std::shared_ptr<const PoolMembers> members) {
  const std::lock_guard lock(mutex_);
  members_ = std::move(members);
  version_.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<const PoolMembers> Pool::members() const {
  const std::lock_guard lock(mutex_);
  return members_;
}

bool Pool::Usable(const Endpoint& endpoint, TimePoint now) {
  return endpoint.healthy.load(std::memory_order_relaxed) && !Ejected(endpoint, now);
}

void Pool::Report(Endpoint& endpoint, TryOutcome outcome, TimePoint now) {
  if (outcome == TryOutcome::kAnswered) {
    // Loads first: the healthy path must not write to a cache line that all workers read.
    if (endpoint.errors_in_row.load(std::memory_order_relaxed) != 0) {
      endpoint.errors_in_row.store(0, std::memory_order_relaxed);
    }
    if (endpoint.ejections.load(std::memory_order_relaxed) != 0 && !Ejected(endpoint, now)) {
      endpoint.ejections.store(0, std::memory_order_relaxed);
    }
    return;
  }
  const std::uint32_t in_row = endpoint.errors_in_row.fetch_add(1, std::memory_order_relaxed) + 1;
  const std::uint32_t limit = config_.ejection.consecutive_errors;
  if (limit != 0 && in_row >= limit && !Ejected(endpoint, now)) Eject(endpoint, now);
}

// Rare, so it may walk the members. When another thread is ejecting just now, this one leaves it:
// the next error will come back here.
void Pool::Eject(Endpoint& endpoint, TimePoint now) {
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
  endpoint.ejected_until.store(Nanoseconds(now + time), std::memory_order_relaxed);
  log::Warning("pool {}: {} is ejected for {}s after {} errors in a row", config_.name,
               endpoint.text, std::chrono::duration_cast<std::chrono::seconds>(time).count(),
               endpoint.errors_in_row.load(std::memory_order_relaxed));
}

// --- Lease ---

Lease::Lease(std::shared_ptr<Endpoint> endpoint) : endpoint_(std::move(endpoint)) {
  if (endpoint_) endpoint_->in_flight.fetch_add(1, std::memory_order_relaxed);
}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    Release();
    endpoint_ = std::move(other.endpoint_);
  }
  return *this;
}

void Lease::Release() {
  if (!endpoint_) return;
  endpoint_->in_flight.fetch_sub(1, std::memory_order_relaxed);
  endpoint_.reset();
}

// --- PoolLocal ---

PoolLocal::PoolLocal(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}

std::optional<std::size_t> PoolLocal::Choose(std::uint64_t key, std::uint64_t chance) {
  return PickServer(pool_->config().balance, loads_, turn_, chance, key);
}

// From the best to the least: usable and new to this request, usable, merely healthy and new,
// healthy.
Lease PoolLocal::Pick(std::uint64_t key, std::uint64_t chance,
                      std::span<const Endpoint* const> tried, TimePoint now) {
  const std::uint64_t version = pool_->version();
  if (version != version_) {
    members_ = pool_->members();  // at least as new as `version`
    version_ = version;
    loads_.assign(members_->size(), ServerLoad{});
    for (std::size_t i = 0; i < members_->size(); ++i) {
      loads_[i].weight = (*members_)[i].weight;
      loads_[i].identity = (*members_)[i].endpoint->identity;
      loads_[i].backup = (*members_)[i].backup;
    }
  }
  ++turn_;
  for (std::size_t i = 0; i < loads_.size(); ++i) {
    const Endpoint& endpoint = *(*members_)[i].endpoint;
    loads_[i].in_flight = endpoint.in_flight.load(std::memory_order_relaxed);
    loads_[i].usable = Pool::Usable(endpoint, now) && !Contains(tried, &endpoint);
  }
  std::optional<std::size_t> chosen = Choose(key, chance);
  for (int pass = 1; !chosen && pass <= 3; ++pass) {
    const bool ejected_too = pass >= 2, tried_too = pass != 2;
    for (std::size_t i = 0; i < loads_.size(); ++i) {
      const Endpoint& endpoint = *(*members_)[i].endpoint;
      const bool good = ejected_too ? endpoint.healthy.load(std::memory_order_relaxed)
                                    : Pool::Usable(endpoint, now);
      loads_[i].usable = good && (tried_too || !Contains(tried, &endpoint));
    }
    chosen = Choose(key, chance);
  }
  if (!chosen) return Lease();
  return Lease((*members_)[*chosen].endpoint);
}

}  // namespace spillway
