// SPDX-License-Identifier: MIT
#include "spillway/limit_table.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include "rules/bucket_sets.h"
#include "spillway/hash.h"

namespace spillway {
namespace {

TimePoint At(Duration since) {
  return TimePoint(std::chrono::hours(1000) + since);
}

std::uint64_t Mix(std::uint64_t n) {
  return HashBytes({reinterpret_cast<const char*>(&n), sizeof n}, 42);
}

LimitKey Key(std::uint64_t n) {
  return {Mix(n), Mix(n / 256 + (1ULL << 60))};
}

// The second engine: counts tokens, knows nothing of arrival times.
class ReferenceBucket {
 public:
  explicit ReferenceBucket(const LimitSpec& spec)
      : per_ns_(static_cast<long double>(spec.rate.events) /
                static_cast<long double>(spec.rate.period.count())),
        burst_(static_cast<long double>(spec.burst)),
        tokens_(burst_) {}

  long double Tokens(TimePoint now) {
    tokens_ = std::min(burst_, tokens_ + per_ns_ * static_cast<long double>((now - last_).count()));
    last_ = now;
    return tokens_;
  }
  void Take() { tokens_ -= 1; }

 private:
  long double per_ns_, burst_, tokens_;
  TimePoint last_;
};

TEST(LimitTable, LetsExactlyTheBurstPassWhenIdle) {
  LimitTable table = LimitTable::Create({.rate = {10, 1s}, .burst = 40}).value();
  for (std::uint64_t i = 0; i < 40; ++i) {
    const LimitState state = table.Charge(Key(1), At(0s));
    ASSERT_TRUE(state.allowed);
    ASSERT_EQ(state.remaining, 39 - i);
    ASSERT_EQ(state.reset, 100ms * (i + 1));
  }
  const LimitState refused = table.Charge(Key(1), At(0s));
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.remaining, 0U);
  EXPECT_EQ(refused.retry_after, Duration(100ms));
  EXPECT_EQ(refused.reset, Duration(4s));
  EXPECT_FALSE(refused.from_parent);
  EXPECT_TRUE(table.Charge(Key(2), At(0s)).allowed);
}

TEST(LimitTable, AllowsExactlyAtRetryAfterAndNotBefore) {
  LimitTable table = LimitTable::Create({.rate = {3, 1s}, .burst = 2}).value();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(table.Charge(Key(1), At(0s)).allowed);
  const Duration wait = table.Test(Key(1), At(5ms)).retry_after;
  EXPECT_FALSE(table.Charge(Key(1), At(5ms + wait - 1ns)).allowed);
  EXPECT_TRUE(table.Charge(Key(1), At(5ms + wait)).allowed);
}

TEST(LimitTable, RefillsExactlyToTheBurstAfterALongIdle) {
  LimitTable table = LimitTable::Create({.rate = {1, 1s}, .burst = 3}).value();
  for (Duration start : {Duration(0s), Duration(100h)}) {
    int passed = 0;
    for (int i = 0; i < 10; ++i) passed += table.Charge(Key(1), At(start)).allowed;
    EXPECT_EQ(passed, 3);
  }
}

TEST(LimitTable, TestChangesNothingAndAgreesWithCharge) {
  LimitTable table = LimitTable::Create({.rate = {100, 1s}, .burst = 5, .keys = 1024}).value();
  std::mt19937_64 chance(3);
  Duration t{0};
  for (int i = 0; i < 100'000; ++i) {
    t += Duration(static_cast<std::int64_t>(chance() % 300'000));
    const LimitKey key = Key(chance() % 3000);
    const LimitState first = table.Test(key, At(t)), second = table.Test(key, At(t));
    ASSERT_EQ(first.remaining, second.remaining);
    const LimitState charged = table.Charge(key, At(t));
    ASSERT_EQ(first.allowed, charged.allowed);
    ASSERT_EQ(first.from_parent, charged.from_parent);
    ASSERT_EQ(first.retry_after, charged.retry_after);
    if (charged.allowed) {
      ASSERT_EQ(first.remaining, charged.remaining + 1);
    }
  }
}

TEST(LimitTable, AgreesWithACountingBucketForRandomArrivals) {
  for (const Rate rate :
       {Rate{1, 1h}, Rate{5, 60s}, Rate{7, 1s}, Rate{100, 1s}, Rate{1'000'000, 1s}}) {
    for (const std::uint64_t burst : {1U, 2U, 40U}) {
      const LimitSpec spec{.rate = rate, .burst = burst, .keys = 1024};
      LimitTable table = LimitTable::Create(spec).value();
      ReferenceBucket reference(spec);
      std::mt19937_64 chance(rate.events + burst);
      const auto gap = static_cast<std::uint64_t>(rate.period.count()) / rate.events;
      TimePoint now = At(0s);
      reference.Tokens(now);
      for (int i = 0; i < 20'000; ++i) {
        // In bursts and pauses, together somewhat above the rate.
        now += Duration(static_cast<std::int64_t>(chance() % 20 == 0 ? chance() % (gap * 2 * burst)
                                                                     : chance() % gap));
        const bool allowed = table.Charge(Key(1), now).allowed;
        const long double tokens = reference.Tokens(now);
        if (allowed) {
          ASSERT_GT(tokens, 1 - 1e-6L) << rate.events << " " << burst << " " << i;
          reference.Take();
        } else {
          // T is rounded up to whole ns, so we may be late by what that loses until now: T/1000.
          ASSERT_LT(tokens, 1 + 1e-3L * static_cast<long double>(burst)) << i;
        }
      }
    }
  }
}

TEST(LimitTable, HoldsVeryHighAndVeryLowRates) {
  LimitTable fast = LimitTable::Create({.rate = {1'000'000, 1s}, .burst = 1000}).value();
  std::uint64_t passed = 0;
  for (int i = 0; i < 2'000'000; ++i) {
    passed += fast.Charge(Key(1), At(Duration(500) * i)).allowed;
  }
  EXPECT_EQ(passed, 1'000'000U + 999U);

  LimitTable slow = LimitTable::Create({.rate = {1, 1h}, .burst = 1}).value();
  EXPECT_TRUE(slow.Charge(Key(1), At(0s)).allowed);
  EXPECT_FALSE(slow.Charge(Key(1), At(1h - 1ns)).allowed);
  EXPECT_TRUE(slow.Charge(Key(1), At(1h)).allowed);
}

TEST(LimitTable, SaturatesInsteadOfWrapping) {
  LimitTable table =
      LimitTable::Create({.rate = {1, std::chrono::hours(24 * 365)}, .burst = 1ULL << 62}).value();
  LimitState state = table.Charge(Key(1), At(0s));
  EXPECT_TRUE(state.allowed);
  EXPECT_LT(state.reset, Duration(std::chrono::hours(24 * 366)));
  std::uint64_t passed = 1;
  for (int i = 0; i < 100; ++i) passed += table.Charge(Key(1), At(0s)).allowed;
  EXPECT_EQ(passed, 9U);  // the years that the horizon holds

  LimitTable edge = LimitTable::Create({.rate = {1, 1s}, .burst = 2}).value();
  EXPECT_TRUE(edge.Charge(Key(1), TimePoint::max()).allowed);
  EXPECT_TRUE(edge.Charge(Key(1), TimePoint::max()).allowed);
  EXPECT_FALSE(edge.Charge(Key(1), TimePoint::max()).allowed);
  EXPECT_FALSE(edge.Charge(Key(1), TimePoint::min()).allowed);
}

TEST(LimitTable, LetsALateClockNeitherMakeNorLoseTokens) {
  LimitTable table = LimitTable::Create({.rate = {1, 1s}, .burst = 2}).value();
  EXPECT_TRUE(table.Charge(Key(1), At(10s)).allowed);
  // Another thread, whose loop turn began earlier: to it the bucket looks emptier, which takes
  // nothing.
  EXPECT_FALSE(table.Charge(Key(1), At(9s)).allowed);
  EXPECT_TRUE(table.Charge(Key(1), At(10s)).allowed);
  EXPECT_FALSE(table.Charge(Key(1), At(10s)).allowed);
  EXPECT_TRUE(table.Charge(Key(1), At(11s)).allowed);
}

TEST(LimitTable, GivesBackWhatAnotherLimitRefused) {
  LimitTable table = LimitTable::Create({.rate = {1, 1s}, .burst = 3}).value();
  for (int i = 0; i < 2; ++i) table.Charge(Key(1), At(0s));
  table.Refund(Key(1), At(0s));
  EXPECT_EQ(table.Test(Key(1), At(0s)).remaining, 2U);
  table.Refund(Key(1), At(0s));
  table.Refund(Key(1), At(0s));  // once too often: the bucket stays full, not more
  EXPECT_EQ(table.Test(Key(1), At(0s)).remaining, 3U);
  table.Refund(Key(2), At(0s));
  EXPECT_EQ(table.Test(Key(2), At(0s)).remaining, 3U);
}

// Fills every place of a table of 1,024 with a live key. (An attacker, who does not know the seed
// of the hash, needs far more keys for that.)
void Crowd(LimitTable* table, TimePoint now) {
  for (std::uint64_t n = 0; n < 1024; ++n) {
    ASSERT_FALSE(table->Charge({n | (n % 8 + 1) << 32, Mix(n)}, now).from_parent);
  }
}

TEST(LimitTable, PutsAKeyWithoutAPlaceUnderItsParentsBucket) {
  LimitTable table =
      LimitTable::Create({.rate = {1, 1s}, .burst = 5, .keys = 1024, .parent_share = 2}).value();
  Crowd(&table, At(0s));
  std::uint64_t passed = 0;
  for (std::uint64_t n = 0; n < 100; ++n) {  // one neighbourhood, each asks once
    const LimitState state = table.Charge(Key(n), At(0s));
    EXPECT_TRUE(state.from_parent);
    passed += state.allowed;
  }
  EXPECT_EQ(passed, 10U);
  EXPECT_EQ(table.Test(Key(7), At(0s)).retry_after, Duration(500ms));
  EXPECT_EQ(table.Count(At(0s)).parent_answers, 100U);
  EXPECT_EQ(table.Count(At(0s)).live, 1024U);

  table.Refund(Key(3), At(0s));
  EXPECT_TRUE(table.Test(Key(99), At(0s)).allowed);
}

TEST(LimitTable, GivesALiveKeyNoFreshBucketHoweverManyCome) {
  LimitTable table = LimitTable::Create({.rate = {1, 10s}, .burst = 3, .keys = 1024}).value();
  std::vector<LimitKey> spent;
  for (std::uint64_t n = 0; n < 300; ++n) {
    for (int i = 0; i < 3; ++i) table.Charge(Key(n), At(0s));
    spent.push_back(Key(n));
  }
  for (std::uint64_t n = 0; n < 1'000'000; ++n) table.Charge(Key(n + (1 << 30)), At(1s));
  for (const LimitKey& key : spent) EXPECT_FALSE(table.Charge(key, At(9s)).allowed);
}

TEST(LimitTable, LetsAKeyThatGetsAPlaceTakeOverItsParentsDebt) {
  LimitTable table =
      LimitTable::Create({.rate = {1, 1s}, .burst = 10, .keys = 1024, .parent_share = 1}).value();
  Crowd(&table, At(0s));
  const TimePoint later = At(900ms);  // the crowd's buckets, one taken from each, are not yet full
  int passed = 0;
  while (table.Charge(Key(5), later).allowed) ++passed;
  EXPECT_EQ(passed, 10);
  // Now places are free. A fresh bucket would let ten pass.
  passed = 0;
  while (table.Charge(Key(5), At(2900ms)).allowed) ++passed;
  EXPECT_EQ(passed, 2);
}

TEST(LimitTable, IsNeverMoreLenientThanOneBucketForEachKeyUnderAnyCrowd) {
  // With parent_share 1 this is exact: every key against its own reference, 30,000 keys on 1,024
  // places.
  const LimitSpec spec{.rate = {2, 1s}, .burst = 4, .keys = 1024, .parent_share = 1};
  LimitTable table = LimitTable::Create(spec).value();
  std::unordered_map<std::uint64_t, ReferenceBucket> references;
  std::mt19937_64 chance(5);
  TimePoint now = At(0s);
  std::uint64_t passed = 0, under_parent = 0;
  for (int i = 0; i < 400'000; ++i) {
    now += Duration(static_cast<std::int64_t>(chance() % 1'000'000));
    const std::uint64_t n = chance() % 4 ? chance() % 500 : chance() % 15'000;  // 59 parents
    const LimitState state = table.Charge(Key(n), now);
    under_parent += state.from_parent;
    if (!state.allowed) continue;
    ++passed;
    ReferenceBucket& reference = references.try_emplace(n, spec).first->second;
    ASSERT_GT(reference.Tokens(now), 1 - 1e-6L) << n << " at " << i;
    reference.Take();
  }
  EXPECT_GT(passed, 50'000U);
  EXPECT_GT(under_parent, 1'000U);
}

TEST(LimitTable, KeepsAMillionAddressesInThirtyTwoBytesEach) {
  constexpr std::uint64_t kAddresses = 1'000'000;
  const LimitSpec spec{.rate = {1, 60s}, .burst = 3, .keys = 1 << 20};
  LimitTable table = LimitTable::Create(spec).value();
  EXPECT_LE(table.Count(At(0s)).memory_bytes, 32 * kAddresses);
  std::vector<std::uint64_t> left(kAddresses, kAddresses);  // kAddresses: no bucket of its own
  for (std::uint64_t n = 0; n < kAddresses; ++n) {
    const LimitState state = table.Charge(Key(n), At(0s));
    if (!state.from_parent) left[n] = state.remaining;
  }
  // Each spends what it has; whoever has an own bucket gets exactly what is left in it, whatever
  // others do.
  std::uint64_t owners = 0;
  for (std::uint64_t round = 0; round < 3; ++round) {
    for (std::uint64_t n = 0; n < kAddresses; ++n) {
      const LimitState state = table.Charge(Key(n), At(1s));
      if (left[n] == kAddresses) continue;
      ASSERT_EQ(state.allowed, round < left[n]) << n;
      ASSERT_FALSE(state.from_parent);
      owners += round == 0;
    }
  }
  EXPECT_GT(owners, kAddresses * 6 / 10);
  const LimitTable::Usage usage = table.Count(At(1s));
  EXPECT_EQ(usage.capacity, std::uint64_t{1} << 20);
  EXPECT_EQ(usage.live, owners);
}

TEST(LimitTable, ForgetsKeysWhoseBucketsAreFull) {
  LimitTable table = LimitTable::Create({.rate = {10, 1s}, .burst = 2, .keys = 1024}).value();
  for (int second = 0; second < 50; ++second) {
    for (std::uint64_t n = 0; n < 100; ++n) {
      const auto key = Key(static_cast<std::uint64_t>(second) * 100 + n);
      ASSERT_FALSE(table.Charge(key, At(second * 1s)).from_parent);
    }
    EXPECT_EQ(table.Count(At(second * 1s)).live, 100U);
  }
  EXPECT_EQ(table.Count(At(60s)).live, 0U);
}

TEST(LimitTable, KeepsTheUsedPartWhenTheRateChanges) {
  LimitTable table = LimitTable::Create({.rate = {10, 1s}, .burst = 10}).value();
  for (int i = 0; i < 6; ++i) table.Charge(Key(1), At(0s));
  table.Reconfigure({.rate = {1, 1s}, .burst = 10}, At(100ms));  // five used by now
  EXPECT_EQ(table.Test(Key(1), At(100ms)).remaining, 5U);
  EXPECT_EQ(table.Test(Key(1), At(100ms)).reset, Duration(5s));
  table.Reconfigure({.rate = {1, 1s}, .burst = 10}, At(200ms));  // nothing new: nothing changes
  EXPECT_EQ(table.Test(Key(1), At(100ms)).reset, Duration(5s));
  table.Reconfigure({.rate = {100, 1s}, .burst = 10}, At(1100ms));  // four used
  EXPECT_EQ(table.Test(Key(1), At(1100ms)).reset, Duration(40ms));
  table.Reconfigure({.rate = {1, 1s}, .burst = 2},
                    At(1100ms));  // an empty bucket is empty, not in debt
  EXPECT_EQ(table.Test(Key(1), At(1100ms)).retry_after, Duration(1s));
  EXPECT_EQ(table.spec().burst, 2U);
}

TEST(LimitTable, IsExactOverSeveralThreadsOnOneKey) {
  for (int round = 0; round < 50; ++round) {
    LimitTable table = LimitTable::Create({.rate = {100, 1s}, .burst = 50, .keys = 1024}).value();
    std::atomic<int> passed{0}, ready{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        ++ready;
        while (ready < 4) {  // so that they insert the key together
        }
        for (int i = 0; i < 2000; ++i) passed += table.Charge(Key(1), At(i * 1ms)).allowed;
      });
    }
    for (auto& thread : threads) thread.join();
    // Two seconds less one millisecond at 100/s after the burst. A slower thread's clock is behind,
    // but time never runs twice: whatever the order, no more can pass.
    EXPECT_LE(passed, 50 + 199);
    EXPECT_GE(passed, 50 + 195);
  }
}

// The address space of the process, bounded for as long as it lives.
class AddressSpace {
 public:
  explicit AddressSpace(rlim_t bytes) {
    getrlimit(RLIMIT_AS, &before_);
    const rlimit bounded{bytes, before_.rlim_max};
    setrlimit(RLIMIT_AS, &bounded);
  }
  ~AddressSpace() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

TEST(LimitTable, IsRefusedWhenTheSystemDoesNotGiveItsMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer needs its address space";
#endif
  const AddressSpace bound(rlim_t{2} << 30);
  const auto table = LimitTable::Create({.rate = {1, 1s}, .keys = 1 << 28});
  ASSERT_FALSE(table.has_value());
  EXPECT_EQ(table.error().message,
            "needs 4353 MiB, which the system does not give; fewer `keys` need less");
  EXPECT_TRUE(LimitTable::Create({.rate = {1, 1s}, .keys = 1024}).has_value());
}

TEST(LimitTable, NeverInsertsAKeyTwice) {
  // Four threads insert the same new keys at once; each key's single token may be taken once only.
  constexpr std::uint64_t kKeys = 20'000;
  LimitTable table = LimitTable::Create({.rate = {1, 1h}, .burst = 1, .keys = 1 << 18}).value();
  std::vector<std::atomic<int>> passed(kKeys);
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      ++ready;
      while (ready < 4) {
      }
      for (std::uint64_t n = 0; n < kKeys; ++n) passed[n] += table.Charge(Key(n), At(0s)).allowed;
    });
  }
  for (auto& thread : threads) thread.join();
  for (std::uint64_t n = 0; n < kKeys; ++n) ASSERT_EQ(passed[n], 1) << n;
  EXPECT_EQ(table.Count(At(0s)).live, kKeys);
}

TEST(LimitTable, HoldsEachKeysRateWhileEntriesChangeHands) {
  // Few places, short lives: entries expire and are taken over all the time, by four threads.
  const LimitSpec spec{.rate = {1000, 1s}, .burst = 2, .keys = 1024, .parent_share = 1};
  LimitTable table = LimitTable::Create(spec).value();
  constexpr std::uint64_t kKeys = 2000;
  std::vector<std::atomic<int>> passed(kKeys);
  std::atomic<std::int64_t> clock{0};  // one clock for all: the rate is measured against it
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 chance(t);
      for (int i = 0; i < 200'000; ++i) {
        const TimePoint now = At(Duration(clock.fetch_add(1000)));
        const std::uint64_t n = chance() % 4 ? chance() % 50 : chance() % kKeys;
        passed[n] += table.Charge(Key(n), now).allowed;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  // 800 ms at 1000/s and a burst of 2; a thread that sleeps between reading the clock and charging
  // may find its key forgotten in the meantime, which costs one token each time.
  for (std::uint64_t n = 0; n < kKeys; ++n) EXPECT_LE(passed[n], 802 + 16) << n;
}

TEST(LimitTable, IsReconfiguredWhileItIsCharged) {
  LimitTable table = LimitTable::Create({.rate = {100, 1s}, .burst = 10, .keys = 1024}).value();
  std::atomic<bool> stop{false};
  std::array<std::atomic<std::uint64_t>, 2> charges{};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < charges.size(); ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 chance(t);
      for (; !stop; ++charges[t]) table.Charge(Key(chance() % 3000), At(10s));
    });
  }
  for (std::uint64_t i = 0; i < 200; ++i) {
    table.Reconfigure({.rate = {i % 2 ? 100U : 50U, 1s}, .burst = 10 + i % 3, .keys = 1024},
                      At(10s));
    // No thread sleeps through fifteen changes, as the table asks.
    for (std::atomic<std::uint64_t>& each : charges) {
      for (const std::uint64_t before = each; i % 8 == 0 && each == before;) {
        std::this_thread::yield();
      }
    }
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  // The clock stood still, and the used part survives each change: all buckets in use are empty by
  // now.
  int passed = 0;
  for (int i = 0; i < 100; ++i) passed += table.Charge(Key(1), At(10s)).allowed;
  EXPECT_LE(passed, 13);
}

}  // namespace
}  // namespace spillway
