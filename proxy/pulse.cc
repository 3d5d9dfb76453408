// SPDX-License-Identifier: MIT
#include "proxy/pulse.h"

#include <algorithm>
#include <cmath>

namespace spillway {
namespace {

// What a busy server answers within a millisecond need not all be written where all workers read.
constexpr Duration kSeldom = 1ms;
constexpr float kOfEach = 1.0F / 16;     // in what is usual
constexpr Duration kLooksOften = 500ms;  // those who wait are looked at more often than that
constexpr Duration kWindow = 10s;
constexpr std::uint64_t kFailed = std::uint64_t{1} << 32;

}  // namespace

void Pulse::Answered(std::optional<Duration> took, TimePoint now) {
  if (in_vain_.load(std::memory_order_relaxed) != 0) in_vain_.store(0, std::memory_order_relaxed);
  if (now - answered_at() < kSeldom) return;
  answered_at_.store(Of(now), std::memory_order_relaxed);
  if (!took) return;
  const float sample =
      std::log(std::chrono::duration<float>(std::max<Duration>(*took, 1us)).count());
  const float before = log_usual_.load(std::memory_order_relaxed);
  log_usual_.store(before == kUnknown ? sample : before + (sample - before) * kOfEach,
                   std::memory_order_relaxed);
}

std::optional<Duration> Pulse::usual() const {
  const float log = log_usual_.load(std::memory_order_relaxed);
  if (log == kUnknown) return std::nullopt;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<float>(std::exp(log)));
}

bool Pulse::hushed(TimePoint now) const {
  const TimePoint at = At(hushed_at_);
  return at > answered_at() && now - at < kLooksOften;
}

void Pulse::Count(bool failed, TimePoint now) {
  std::int64_t since = tally_since_.load(std::memory_order_relaxed);
  const bool over = Of(now) - since >= kWindow.count();
  if (over && tally_since_.compare_exchange_strong(since, Of(now), std::memory_order_relaxed))
    ForgetTally();
  tally_.fetch_add(failed ? kFailed + 1 : 1, std::memory_order_relaxed);
}

// Counts begin anew with the first request after the window's end: twice as old means that none came.
Pulse::Tally Pulse::tally(TimePoint now) const {
  if (now - At(tally_since_) >= 2 * kWindow) return {};
  const std::uint64_t word = tally_.load(std::memory_order_relaxed);
  return {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32)};
}

}  // namespace spillway
