// SPDX-License-Identifier: MIT
// What was seen of one server lately: when it last answered and how long that usually takes, how many
// requests have waited in vain since, and how many of its answers were errors.
//
// Thread rule: any thread. Lock-free; under contention a count may be off by a few, and a time by a
// millisecond.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "spillway/units.h"

namespace spillway {

class Pulse {
 public:
  struct Tally {
    std::uint32_t all = 0, failed = 0;
  };

  // The head of a final answer came, `took` after the server had the request; without, it teaches
  // nothing of how long an answer takes.
  void Answered(std::optional<Duration> took, TimePoint now);
  TimePoint answered_at() const { return At(answered_at_); }
  // How long it takes to the first byte: a geometric mean, so that a few reports among many pages
  // change little. None: it has not answered yet.
  std::optional<Duration> usual() const;

  // A request to it waits, for longer than is usual, and nothing was answered since it was sent.
  void Hushed(TimePoint now) { hushed_at_.store(Of(now), std::memory_order_relaxed); }
  bool hushed(TimePoint now) const;  // that is so still
  // One has waited for so long that the server may hang; how many there are since it last answered.
  std::uint32_t WaitedInVain() { return in_vain_.fetch_add(1, std::memory_order_relaxed) + 1; }
  std::uint32_t in_vain() const { return in_vain_.load(std::memory_order_relaxed); }

  // How one request to it ended, and how those of the last seconds did: ten to twenty.
  void Count(bool failed, TimePoint now);
  Tally tally(TimePoint now) const;
  void ForgetTally() { tally_.store(0, std::memory_order_relaxed); }

 private:
  static constexpr float kUnknown = 1e9F;
  static std::int64_t Of(TimePoint time) { return time.time_since_epoch().count(); }
  static TimePoint At(const std::atomic<std::int64_t>& time) {
    return TimePoint(Duration(time.load(std::memory_order_relaxed)));
  }
  std::atomic<std::int64_t> answered_at_{0}, hushed_at_{0}, tally_since_{0};  // steady nanoseconds
  std::atomic<std::uint64_t> tally_{0};  // failed in the upper half, all in the lower one
  std::atomic<std::uint32_t> in_vain_{0};
  std::atomic<float> log_usual_{kUnknown};  // of seconds
};

}  // namespace spillway
