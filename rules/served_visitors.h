// SPDX-License-Identifier: MIT
// Who was let in lately, while others are refused: what a page that was served loads is served too.
// Without this each picture would take its chance anew, and of a page with ten of them nearly every one
// would lack some.
//
// A visit lasts for kVisit from when a visitor was let in as a newcomer, or was answered as one; what
// follows does not make it longer, or who asks all the time would never have to go.
//
// Memory: kRows entries of 8 bytes. Two visitors of one row: the later one stays known.
// Thread rule: none of its own.
#pragma once

#include <array>
#include <cstdint>

#include "spillway/mix.h"
#include "spillway/units.h"

namespace spillway {

class ServedVisitors {
 public:
  static constexpr std::size_t kRows = 8192;
  static constexpr Duration kVisit = std::chrono::seconds(4);

  // As a newcomer. Who is known stays known for as long as he was to be.
  void LetIn(std::uint64_t visitor, TimePoint now) {
    if (!Knows(visitor, now)) entries_[RowOf(visitor)] = {TagOf(visitor), Moment(now)};
  }
  // What he was let in for is answered.
  void Answered(std::uint64_t visitor, TimePoint let_in, TimePoint now) {
    Entry& entry = entries_[RowOf(visitor)];
    if (entry.tag == TagOf(visitor) && entry.since == Moment(let_in)) entry.since = Moment(now);
  }
  bool Knows(std::uint64_t visitor, TimePoint now) const {
    const Entry& entry = entries_[RowOf(visitor)];
    return entry.tag == TagOf(visitor) && Moment(now) - entry.since < Moment(TimePoint{kVisit});
  }

 private:
  struct Entry {
    std::uint32_t tag = 0;
    std::uint32_t since = 0;  // ms, modulo 2^32
  };
  static std::size_t RowOf(std::uint64_t visitor) { return Mix(visitor) % kRows; }
  static std::uint32_t TagOf(std::uint64_t visitor) {
    return static_cast<std::uint32_t>(Mix(visitor) >> 32) | 1;
  }
  static std::uint32_t Moment(TimePoint at) {
    return static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count());
  }

  std::array<Entry, kRows> entries_{};
};

}  // namespace spillway
