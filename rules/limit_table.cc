// SPDX-License-Identifier: MIT
// Where a key's bucket is found, over three floors:
//
//   keys     one bucket for each key             rate, burst
//   parents  for keys that found no place        rate and burst times parent_share
//   shared   for parents that found none either  times parent_share again; a single bucket
//
// Live entries are never pushed out, so a crowd cannot buy itself fresh buckets by being many; it
// only comes under its parents' buckets. A key that gets a place later takes over its parent's
// debt: both floors fill in the same time (burst * T), so debts compare. The shared bucket's debt
// is not taken over: it tells nothing about one key, and would let one crowd stop every newcomer.
// Formulas: rules/gcra.h. How threads share entries: rules/bucket_sets.cc.
#include "spillway/limit_table.h"

#include <array>
#include <atomic>
#include <bit>
#include <string>
#include <utility>

#include "rules/bucket_sets.h"
#include "rules/gcra.h"

namespace spillway {
namespace {

constexpr std::size_t kKeys = 0, kParents = 1, kShared = 2, kFloors = 3;
constexpr std::uint64_t kFewest = 1024;
constexpr std::uint64_t kKeysPerParent = 16;

// What one configuration means, for each floor.
struct Rates {
  std::array<Gcra, kFloors> bucket;
  std::array<Epoch, kFloors> epoch;
};

std::uint64_t Share(const LimitSpec& spec, std::size_t floor) {
  const std::uint64_t share = std::clamp<std::uint64_t>(spec.parent_share, 1, 1U << 20);
  return floor == kKeys ? 1 : floor == kParents ? share : share * share;
}

std::array<std::uint64_t, kFloors> Sizes(const LimitSpec& spec) {
  const std::uint64_t keys =
      std::bit_ceil(std::clamp<std::uint64_t>(spec.keys, kFewest, std::uint64_t{1} << 28));
  return {keys, keys / kKeysPerParent, 8};
}

std::array<std::uint64_t, kFloors> Hashes(LimitKey key) {
  // 0 marks entries that were never used.
  return {key.hash == 0 ? 1 : key.hash, key.parent == 0 ? 1 : key.parent, 1};
}

}  // namespace

struct LimitTable::Impl {
  using Sets = std::array<BucketSets, kFloors>;

  Impl(const LimitSpec& spec_in, Sets sets_in) : spec(spec_in), sets(std::move(sets_in)) {
    for (std::size_t floor = 0; floor < kFloors; ++floor) {
      rates[0].bucket[floor] = Gcra::For(spec, Share(spec, floor));
    }
  }

  const Rates& Now() const { return rates[latest.load(std::memory_order_acquire)]; }
  // An entry was read that is of another epoch than `seen`, because the rate has just changed.
  bool Stale(const Rates& seen, std::size_t floor, std::uint64_t word) const {
    return EpochOf(word) != seen.epoch[floor].number && &Now() != &seen;
  }

  // The time that a key without a bucket on this floor begins with.
  std::uint64_t Start(const Rates& in_force, std::size_t floor, std::uint64_t parent,
                      std::uint64_t now) const {
    if (floor != kKeys || parents_until.load(std::memory_order_relaxed) <= now) return now;
    const auto seen = sets[kParents].Find(parent);
    if (!seen) return now;
    const std::uint64_t time = in_force.epoch[kParents].TimeOf(seen->word);
    return std::clamp(time, now, now + in_force.bucket[kKeys].full);
  }

  void NoteParentDebt(std::uint64_t time) {
    std::uint64_t until = parents_until.load(std::memory_order_relaxed);
    while (until < time &&
           !parents_until.compare_exchange_weak(until, time, std::memory_order_relaxed)) {
    }
  }

  LimitSpec spec;
  Sets sets;
  // The latest configurations in turn; a reader would have to sleep through fifteen changes to see
  // one torn.
  std::array<Rates, 16> rates;
  std::atomic<std::size_t> latest{0};
  // No parent's bucket is in debt from this time on, so that as a rule nobody has to look there.
  std::atomic<std::uint64_t> parents_until{0};
  mutable std::atomic<std::uint64_t> parent_answers{0};
};

Result<LimitTable> LimitTable::Create(const LimitSpec& spec) {
  const std::array<std::uint64_t, kFloors> entries = Sizes(spec);
  auto keys = BucketSets::Create(entries[kKeys]);
  auto parents = BucketSets::Create(entries[kParents]);
  auto shared = BucketSets::Create(entries[kShared]);
  if (!keys || !parents || !shared) {
    constexpr std::uint64_t kMiB = 1024 * 1024;
    std::uint64_t bytes = kMiB - 1;  // rounded up
    for (const std::uint64_t count : entries) bytes += BucketSets::MemoryFor(count);
    return Fail("needs " + std::to_string(bytes / kMiB) +
                " MiB, which the system does not give; fewer `keys` need less");
  }
  return LimitTable(std::make_unique<Impl>(
      spec, Impl::Sets{std::move(*keys), std::move(*parents), std::move(*shared)}));
}

LimitTable::LimitTable(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LimitTable::LimitTable(LimitTable&&) noexcept = default;
LimitTable::~LimitTable() = default;

LimitState LimitTable::Test(LimitKey key, TimePoint at) const {
  const std::uint64_t now = Gcra::At(at);
  const auto hashes = Hashes(key);
  for (std::size_t floor = kKeys;;) {
    const Rates& rates = impl_->Now();
    const Gcra& bucket = rates.bucket[floor];
    std::uint64_t time = 0;
    if (const auto seen = impl_->sets[floor].Find(hashes[floor])) {
      if (impl_->Stale(rates, floor, seen->word)) continue;
      time = rates.epoch[floor].TimeOf(seen->word);
    } else {
      time = impl_->Start(rates, floor, hashes[kParents], now);
      if (floor != kShared &&
          (!bucket.Passes(time, now) ||
           !impl_->sets[floor].HasRoom(hashes[floor], rates.epoch[floor], now))) {
        ++floor;
        continue;
      }
    }
    LimitState state = bucket.State(time, now, bucket.Passes(time, now));
    state.from_parent = floor != kKeys;
    return state;
  }
}

LimitState LimitTable::Charge(LimitKey key, TimePoint at) {
  const std::uint64_t now = Gcra::At(at);
  const auto hashes = Hashes(key);
  for (std::size_t floor = kKeys;;) {
    const Rates& rates = impl_->Now();
    const Gcra& bucket = rates.bucket[floor];
    BucketSets& sets = impl_->sets[floor];
    std::uint64_t time = 0;
    bool passes = true;
    if (const auto seen = sets.Find(hashes[floor])) {
      if (impl_->Stale(rates, floor, seen->word)) continue;
      time = rates.epoch[floor].TimeOf(seen->word);
      passes = bucket.Passes(time, now);
      if (passes) {
        time = bucket.Charged(time, now);
        if (!BucketSets::Replace(*seen, rates.epoch[floor], time)) continue;
      }
    } else {
      time = impl_->Start(rates, floor, hashes[kParents], now);
      std::optional<bool> inserted;
      if (bucket.Passes(time, now)) {
        time = bucket.Charged(time, now);
        inserted = sets.Insert(hashes[floor], rates.epoch[floor], now, time);
      }
      if (!inserted && floor != kShared) {
        ++floor;
        continue;
      }
      if (!inserted || !*inserted) continue;  // another thread was inserting it: it is there now
    }
    if (floor != kKeys) impl_->parent_answers.fetch_add(1, std::memory_order_relaxed);
    if (floor == kParents) impl_->NoteParentDebt(time);
    LimitState state = bucket.State(time, now, passes);
    state.from_parent = floor != kKeys;
    return state;
  }
}

void LimitTable::Refund(LimitKey key, TimePoint at) {
  const std::uint64_t now = Gcra::At(at);
  const auto hashes = Hashes(key);
  for (std::size_t floor = kKeys; floor < kFloors;) {
    const Rates& rates = impl_->Now();
    if (const auto seen = impl_->sets[floor].Find(hashes[floor])) {
      if (impl_->Stale(rates, floor, seen->word)) continue;
      const std::uint64_t time = rates.epoch[floor].TimeOf(seen->word);
      const std::uint64_t step = rates.bucket[floor].step;
      if (BucketSets::Replace(*seen, rates.epoch[floor], time > step ? time - step : 0)) return;
      continue;
    }
    // It goes where Charge would have taken it. A key that has a place but no entry has a full
    // bucket.
    const std::uint64_t start = impl_->Start(rates, floor, hashes[kParents], now);
    if (rates.bucket[floor].Passes(start, now) &&
        impl_->sets[floor].HasRoom(hashes[floor], rates.epoch[floor], now)) {
      return;
    }
    ++floor;
  }
}

void LimitTable::Reconfigure(const LimitSpec& spec, TimePoint at) {
  const bool same = spec.rate == impl_->spec.rate && spec.burst == impl_->spec.burst &&
                    spec.parent_share == impl_->spec.parent_share;
  impl_->spec = spec;
  if (same) return;
  const Rates& old = impl_->Now();
  const std::size_t next = (impl_->latest.load() + 1) % impl_->rates.size();
  Rates& fresh = impl_->rates[next];
  const std::uint64_t now = Gcra::At(at);
  for (std::size_t floor = 0; floor < kFloors; ++floor) {
    fresh.bucket[floor] = Gcra::For(spec, Share(spec, floor));
    fresh.epoch[floor] = {1 - old.epoch[floor].number, now, fresh.bucket[floor].step,
                          old.bucket[floor].step, fresh.bucket[floor].full};
  }
  if (impl_->parents_until.load() > now) impl_->NoteParentDebt(now + fresh.bucket[kParents].full);
  impl_->latest.store(next, std::memory_order_release);
  // From here on entries are read right by either epoch; this makes room for the next change.
  for (std::size_t floor = 0; floor < kFloors; ++floor) {
    impl_->sets[floor].Convert(fresh.epoch[floor]);
  }
}

const LimitSpec& LimitTable::spec() const {
  return impl_->spec;
}

LimitTable::Usage LimitTable::Count(TimePoint at) const {
  Usage usage;
  usage.capacity = impl_->sets[kKeys].size();
  usage.live = impl_->sets[kKeys].CountLive(impl_->Now().epoch[kKeys], Gcra::At(at));
  usage.parent_answers = impl_->parent_answers.load(std::memory_order_relaxed);
  usage.memory_bytes = sizeof(Impl);
  for (const BucketSets& sets : impl_->sets) usage.memory_bytes += sets.memory_bytes();
  return usage;
}

}  // namespace spillway
