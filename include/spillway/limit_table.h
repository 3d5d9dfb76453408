// SPDX-License-Identifier: MIT
// A named limit's state: one GCRA theoretical arrival time per key in a fixed-size table, shared by
// all workers. GCRA: ITU-T I.371; state and formulas are spelled out in rules/limit_table.cc.
//
// Thread rule: Test, Charge and Refund may be called from any thread at once (lock-free).
// Memory: 16 bytes for each of `keys` entries (rounded up to a power of two), plus 1/16 of that for
// parents.
//
// Promise: a key whose bucket is not full is never given a fresh one. When no place is
// free for a new key, it shares its parent's bucket (the address prefix above it), which is as
// strict for all in it; when a place becomes free, it begins with as large a part used as its
// parent has.
//
// Precision: T = period/events is rounded up to whole ns, and burst * T is cut at 9
// years.
#pragma once

#include <cstdint>
#include <memory>

#include "spillway/result.h"
#include "spillway/units.h"

namespace spillway {

struct LimitSpec {
  Rate rate;
  std::uint64_t burst = 1;       // >= 1: how many pass at once when idle
  std::uint64_t keys = 1048576;  // table size, 1024 .. 2^28
  // How many times the rate and burst a parent bucket has, for all keys that share it.
  std::uint64_t parent_share = 4;
};

// What a key's bucket is known by: seeded hashes of the key and of its parent (address cut to /24
// or /48).
struct LimitKey {
  std::uint64_t hash = 0;
  std::uint64_t parent = 0;
};

struct LimitState {
  bool allowed = false;
  bool from_parent = false;     // the answer came from the shared parent bucket
  std::uint64_t remaining = 0;  // whole requests that would pass right now
  Duration retry_after{0};      // when !allowed: how long until one passes
  Duration reset{0};            // until the bucket is full again
};

class LimitTable {
 public:
  // The error says how much memory the system did not give: "needs 17 MiB, which ...".
  static Result<LimitTable> Create(const LimitSpec& spec);
  ~LimitTable();
  LimitTable(LimitTable&&) noexcept;  // to its place, before any thread has it

  // Would one request pass at `now`? Changes nothing.
  LimitState Test(LimitKey key, TimePoint now) const;
  // Takes one if it passes at `now`; the state after it. Exact under contention.
  LimitState Charge(LimitKey key, TimePoint now);
  // Gives back one that Charge took at about `now`, because another limit refused the request.
  void Refund(LimitKey key, TimePoint now);

  // Rate, burst and parent share may change while in use; each key's used part is kept, scaled by
  // rate. `keys` may not: a table of another size is a new table. REQUIRES: spec.keys as
  // constructed. Walks the table; control thread only, while any other thread goes on charging.
  void Reconfigure(const LimitSpec& spec, TimePoint now);
  const LimitSpec& spec() const;  // control thread only

  struct Usage {
    std::uint64_t capacity = 0;        // entries
    std::uint64_t live = 0;            // entries not full at `now`
    std::uint64_t parent_answers = 0;  // since the start
    std::uint64_t memory_bytes = 0;
  };
  Usage Count(TimePoint now) const;  // walks the table: for the admin side only

 private:
  struct Impl;
  explicit LimitTable(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway
