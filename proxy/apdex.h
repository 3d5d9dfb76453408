// SPDX-License-Identifier: MIT
// How satisfied visitors are with a pool, of the last ten seconds (Apdex 1.1, the Apdex Alliance):
//
//   (satisfied + tolerating / 2) / all      satisfied: within T; tolerating: within 4 T
//
// An error, or no answer, satisfies nobody.
//
// Thread rule: one thread counts, anyone may add up; whoever does so in the middle of a second may
// miss one or see one too many.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "proxy/counter.h"
#include "spillway/units.h"

namespace spillway {

class Apdex {
 public:
  struct Sum {
    std::uint64_t satisfied = 0, tolerating = 0, all = 0;
    // Nothing of fewer than kFewest answers: they say too little.
    std::optional<std::uint32_t> percent() const;
  };
  static constexpr std::uint64_t kFewest = 20;

  void Count(Duration took, bool good, Duration target, TimePoint now);
  void AddTo(Sum* sum, TimePoint now) const;

 private:
  static constexpr std::size_t kSlots =
      16;  // the last ten seconds, and those that readers may still see
  static constexpr std::int64_t kWindow = 10;
  struct Slot {
    Counter second;  // and one; 0: never used
    Counter satisfied, tolerating, all;
  };
  std::array<Slot, kSlots> slots_;
};

}  // namespace spillway
