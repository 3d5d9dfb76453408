// SPDX-License-Identifier: MIT
#include "proxy/upstream.h"

#include <algorithm>
#include <utility>

#include "proxy/log.h"
#include "spillway/mix.h"

namespace spillway {
namespace {

constexpr std::int64_t kWindowSeconds = 10;
constexpr std::int64_t kLeastRetries = 3;
constexpr double kFirstShare = 0.1;  // of a slow start

std::int64_t Seconds(TimePoint now) {
  return std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
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
//
// A slot is one word, so that no count can be told from the second it belongs to:
//
//   second + 1, modulo 2^24 (0: never used) | requests, 20 bits | retries, 20 bits
//
// The counts stop at 2^20 - 1, which no pool has in a second. A second is taken for one that was
// 2^24 seconds before only when it has the same slot, and nothing was asked for 970 days.

namespace {

constexpr int kCountBits = 20, kSecondBits = 24;
constexpr std::int64_t kMostCount = (std::int64_t{1} << kCountBits) - 1;
constexpr std::int64_t kAhead = 60;  // seconds: a slot later than that is taken for a very old one

struct SlotCounts {
  std::uint64_t stamp = 0;
  std::int64_t requests = 0, retries = 0;

  static std::uint64_t StampOf(std::int64_t second) {
    return (static_cast<std::uint64_t>(second) + 1) & ((std::uint64_t{1} << kSecondBits) - 1);
  }
  static SlotCounts From(std::uint64_t word) {
    return {word >> (2 * kCountBits), static_cast<std::int64_t>(word >> kCountBits) & kMostCount,
            static_cast<std::int64_t>(word) & kMostCount};
  }
  std::uint64_t word() const {
    return stamp << (2 * kCountBits) | static_cast<std::uint64_t>(requests) << kCountBits |
           static_cast<std::uint64_t>(retries);
  }
  // How many seconds before `second` it is; negative when it is later.
  std::int64_t Age(std::int64_t second) const {
    constexpr std::int64_t kTurn = std::int64_t{1} << kSecondBits;
    const auto now = static_cast<std::int64_t>(StampOf(second));
    const std::int64_t age = (now - static_cast<std::int64_t>(stamp)) & (kTurn - 1);
    return age < kTurn / 2 ? age : age - kTurn;
  }
};

}  // namespace

RetryBudget::RetryBudget(std::uint32_t percent) : percent_(percent) {}

void RetryBudget::Count(std::int64_t second, std::int64_t requests, std::int64_t retries) {
  std::atomic<std::uint64_t>& slot = slots_[static_cast<std::uint64_t>(second) % kWindowSeconds];
  std::uint64_t seen = slot.load(std::memory_order_relaxed);
  SlotCounts counts;
  do {
    counts = SlotCounts::From(seen);
    const std::int64_t age = counts.Age(second);
    if (age != 0 && retries < 0) return;  // what it would give back is forgotten already
    // A thread that stood still for ten seconds finds a later second there, and adds to that.
    if (seen == 0 || age > 0 || age <= -kAhead) counts = {SlotCounts::StampOf(second), 0, 0};
    counts.requests = std::clamp<std::int64_t>(counts.requests + requests, 0, kMostCount);
    counts.retries = std::clamp<std::int64_t>(counts.retries + retries, 0, kMostCount);
  } while (!slot.compare_exchange_weak(seen, counts.word()));
}

void RetryBudget::CountRequest(TimePoint now) {
  Count(Seconds(now), 1, 0);
}

// Takes first and looks afterwards, so that threads at the limit refuse each other rather than both
// pass (hence sequential consistency: they may write different slots). Another thread may be a
// second ahead.
bool RetryBudget::TryRetry(TimePoint now) {
  if (percent_ == 0) return false;
  const std::int64_t second = Seconds(now);
  Count(second, 0, 1);
  std::int64_t requests = 0, retries = 0;
  for (const std::atomic<std::uint64_t>& slot : slots_) {
    const std::uint64_t word = slot.load();
    const SlotCounts counts = SlotCounts::From(word);
    const std::int64_t age = counts.Age(second);
    if (word == 0 || age <= -kAhead || age >= kWindowSeconds) continue;
    requests += counts.requests;
    retries += counts.retries;
  }
  if (retries <= std::max(kLeastRetries, requests * percent_ / 100)) return true;
  Count(second, 0, -1);
  return false;
}

// --- Pool ---

Pool::Pool(const PoolConfig& config, std::shared_ptr<const TlsClientContext> tls,
           std::shared_ptr<PoolAdmission> admission, std::shared_ptr<PoolHold> hold)
    : config_(config),
      tls_(std::move(tls)),
      admission_(std::move(admission)),
      hold_(std::move(hold)),
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

// Ejection is a guess, and those ejected are asked when there is nobody else (PoolLocal::Pick).
bool Pool::AllOut() const {
  const std::shared_ptr<const PoolMembers> all = members();
  return std::all_of(all->begin(), all->end(), [](const PoolMember& member) {
    return !member.endpoint->healthy.load(std::memory_order_relaxed) ||
           member.endpoint->refuses.load(std::memory_order_relaxed);
  });
}

void Pool::ListRefusing(std::vector<const Endpoint*>* out) const {
  const std::shared_ptr<const PoolMembers> all = members();
  for (const PoolMember& member : *all) {
    if (member.endpoint->refuses.load(std::memory_order_relaxed))
      out->push_back(member.endpoint.get());
  }
}

void Pool::NoteDown(TimePoint now) {
  if (!hold_->Down(now)) return;
  log::Warning("pool {}: no server answers", config_.name);
}

void Pool::TakeBack(Endpoint& endpoint) {
  endpoint.refuses.store(false, std::memory_order_relaxed);
  endpoint.errors_in_row.store(0, std::memory_order_relaxed);
  endpoint.ejected_until.store(0, std::memory_order_relaxed);
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

std::shared_ptr<Endpoint> Lease::Release() {
  if (endpoint_) endpoint_->in_flight.fetch_sub(1, std::memory_order_relaxed);
  return std::move(endpoint_);
}

// --- PoolLocal ---

PoolLocal::PoolLocal(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}

std::optional<std::size_t> PoolLocal::Choose(std::uint64_t key, std::uint64_t chance) {
  return PickServer(pool_->config().balance, loads_, turn_, chance, key);
}

void PoolLocal::Refresh() {
  const std::uint64_t version = pool_->version();
  if (version == version_) return;
  members_ = pool_->members();  // at least as new as `version`
  version_ = version;
  loads_.assign(members_->size(), ServerLoad{});
  for (std::size_t i = 0; i < members_->size(); ++i) {
    loads_[i].weight = (*members_)[i].weight;
    loads_[i].identity = (*members_)[i].endpoint->identity;
    loads_[i].backup = (*members_)[i].backup;
  }
}

PoolState PoolLocal::State(TimePoint now) {
  Refresh();
  PoolState state;
  state.servers_up = 0;
  if (empty()) return state;
  std::size_t up = 0;
  for (const PoolMember& member : *members_) {
    state.in_flight += member.endpoint->in_flight.load(std::memory_order_relaxed);
    if (Pool::Usable(*member.endpoint, now)) ++up;
  }
  if (const auto& admission = pool_->admission()) {
    const AdmissionLoad load = admission->Load();
    state.queue = load.queued;
    if (load.limit > 0)
      state.utilisation =
          static_cast<std::uint32_t>(std::uint64_t{load.in_flight} * 100 / load.limit);
  }
  state.servers_up = static_cast<std::uint32_t>(up * 100 / members_->size());
  return state;
}

double PoolLocal::Readiness(const Endpoint& endpoint, TimePoint now) const {
  if (Pool::OnTrial(endpoint)) return 0;
  const std::int64_t back = std::max(endpoint.ejected_until.load(std::memory_order_relaxed),
                                     endpoint.well_since.load(std::memory_order_relaxed));
  const Duration whole = pool_->config().slow_start;
  const Duration since = now - TimePoint(Duration(back));
  if (back == 0 || since >= whole) return 1;
  return std::max(kFirstShare, std::chrono::duration<double>(since) / whole);
}

// One that hung is tried by one request at a time: each may wait in vain for Pool::kLeastPatience, and has a
// place meanwhile.
bool PoolLocal::HoldsBack(const Endpoint& endpoint, std::uint64_t draw, TimePoint now) const {
  if (Pool::OnTrial(endpoint)) {
    const TimePoint tried(Duration(endpoint.tried_at.load(std::memory_order_relaxed)));
    return now - tried < 2 * Pool::kLeastPatience;
  }
  const double drawn = static_cast<double>(Mix(draw ^ endpoint.identity) >> 11) * 0x1p-53;
  return drawn >= Readiness(endpoint, now);
}

// Those that are back only now are left out of most choices at first, while there is one that is not: by
// chance, or by the key that is hashed, so that keys come over one by one. Weights alone would not do: a
// server that answers at once, or has no request yet, is what least_requests looks for.
void PoolLocal::HoldBackYoung(std::uint64_t draw, TimePoint now) {
  bool another = false;
  for (std::size_t i = 0; i < loads_.size(); ++i)
    another = another || (loads_[i].usable && Readiness(*(*members_)[i].endpoint, now) == 1);
  if (!another) return;
  for (ServerLoad& load : loads_) {
    const Endpoint& endpoint =
        *(*members_)[static_cast<std::size_t>(&load - loads_.data())].endpoint;
    load.usable = load.usable && !HoldsBack(endpoint, draw, now);
  }
}

// From the best to the least: usable and new to this request, usable, merely healthy and new,
// healthy.
Lease PoolLocal::Pick(std::uint64_t key, std::uint64_t chance,
                      std::span<const Endpoint* const> tried, TimePoint now) {
  Refresh();
  ++turn_;
  bool young = false;
  for (std::size_t i = 0; i < loads_.size(); ++i) {
    const Endpoint& endpoint = *(*members_)[i].endpoint;
    loads_[i].in_flight = endpoint.in_flight.load(std::memory_order_relaxed);
    loads_[i].usable = Pool::Usable(endpoint, now) && !Contains(tried, &endpoint);
    young = young || (loads_[i].usable && Readiness(endpoint, now) < 1);
  }
  if (young) HoldBackYoung(pool_->config().balance == Balance::kHash ? key : chance, now);
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
  Endpoint& endpoint = *(*members_)[*chosen].endpoint;
  if (young && Pool::OnTrial(endpoint))
    endpoint.tried_at.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  return Lease((*members_)[*chosen].endpoint);
}

}  // namespace spillway
