// SPDX-License-Identifier: MIT
// Admission by success (Google's "Site Reliability Engineering", chapter 21): servers that answer
// errors at once, since they have too much to do, are asked only about twice as often as they can
// answer well. Servers that fail without exception, or do not answer, are not what it helps.
//
//   p = (asks - 2 * good) / (asks + 1), at most 0.8, over 30 s, while something is good
//
// Thread rule: none of its own.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "spillway/units.h"

namespace spillway {

class SuccessRate {
 public:
  void Refused(TimePoint now) { At(now).asks += 1; }
  void Ended(bool good, TimePoint now) {
    Slot& slot = At(now);
    slot.asks += 1;
    slot.good += good ? 1 : 0;
    slot.errors += good ? 0 : 1;
  }
  // The share of asks to refuse, as of the last full second.
  double refusal() const { return refusal_; }

 private:
  static constexpr std::size_t kSlots = 30;
  static constexpr double kTimesGood = 2, kMost = 0.8, kFewestErrors = 20;
  struct Slot {
    std::int64_t second = -1;
    double asks = 0, good = 0, errors = 0;
  };

  Slot& At(TimePoint now) {
    const std::int64_t second =
        std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
    Slot& slot = slots_[static_cast<std::size_t>(second) % kSlots];
    if (slot.second != second) {
      slot = Slot{};
      slot.second = second;
      double asks = 0, good = 0, errors = 0;
      for (const Slot& one : slots_) {
        if (second - one.second >= static_cast<std::int64_t>(kSlots)) continue;
        asks += one.asks, good += one.good, errors += one.errors;
      }
      const bool some = good > 0.01 * errors && errors >= kFewestErrors;
      refusal_ = some ? std::clamp((asks - kTimesGood * good) / (asks + 1), 0.0, kMost) : 0;
    }
    return slot;
  }

  std::array<Slot, kSlots> slots_{};
  double refusal_ = 0;
};

}  // namespace spillway
