// SPDX-License-Identifier: MIT
// A fixed table of buckets, eight to a set, shared by any number of threads without locks.
// An entry is two words: the key's hash, and a word that holds the bucket's time and the entry's
// state. Promises: a key has at most one settled entry at any time, and an entry whose bucket is
// not full stays its key's. Does not know rates: `Epoch` tells how to read times written before the
// last change of rate.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

namespace spillway {

// The word: time (60 bits, ns) | version (1) | epoch (1) | state (2).
enum class SlotState : std::uint64_t {
  kSettled =
      0,  // the bucket of the key in the tag; free to take once its time has passed. Zero memory
  kClaimed = 1,    // a thread is writing the tag
  kTentative = 2,  // the tag is written, but another thread may be inserting the same key elsewhere
  kVacant = 3,     // a tentative entry that lost
};

// The time in which one rate holds. When it changes, times of the epoch before are read as
// changed_at + (time - changed_at) * step / old_step, so that the used part of each bucket is kept.
struct Epoch {
  std::uint64_t number = 0;  // 0 or 1, alternating
  std::uint64_t changed_at = 0;
  std::uint64_t step = 1, old_step = 1;
  std::uint64_t full = ~std::uint64_t{0};  // what a scaled time may be beyond changed_at

  std::uint64_t TimeOf(std::uint64_t word) const;
  // `word` with a new time, this epoch
  std::uint64_t Settled(std::uint64_t time, std::uint64_t word) const;
};

inline SlotState SlotOf(std::uint64_t word) {
  return static_cast<SlotState>(word & 3);
}
inline std::uint64_t EpochOf(std::uint64_t word) {
  return (word >> 2) & 1;
}

class BucketSets {
 public:
  struct Entry {  // sixteen bytes, both words only touched through atomic_ref
    std::uint64_t tag;
    std::uint64_t word;
  };
  // A settled entry as it was seen.
  struct Seen {
    Entry* entry;
    std::uint64_t word;
  };

  // Nothing when the system does not give the address space; the memory itself is taken as it is
  // first touched. REQUIRES: entries is a power of two, at least 8.
  static std::optional<BucketSets> Create(std::uint64_t entries);
  static std::uint64_t MemoryFor(std::uint64_t entries);  // bytes

  std::optional<Seen> Find(std::uint64_t hash) const;
  // Whether a new key with this hash would find a place at `now`.
  bool HasRoom(std::uint64_t hash, const Epoch& epoch, std::uint64_t now) const;
  // Makes a settled entry with this time for a key that has none. False when another thread was
  // faster in some way (look again); nullopt when there is no room.
  std::optional<bool> Insert(std::uint64_t hash, const Epoch& epoch, std::uint64_t now,
                             std::uint64_t time);
  // True when the entry was still as seen, and now has that time.
  static bool Replace(const Seen& seen, const Epoch& epoch, std::uint64_t time);

  // Brings every time into this epoch.
  void Convert(const Epoch& epoch);
  std::uint64_t CountLive(const Epoch& epoch, std::uint64_t now) const;
  std::uint64_t size() const { return mask_ + 1; }
  std::uint64_t memory_bytes() const { return MemoryFor(size()); }

 private:
  static constexpr std::size_t kWays = 8;
  using Memory = std::unique_ptr<void, void (*)(void*)>;
  BucketSets(std::uint64_t entries, Memory memory);
  struct Survey;
  Entry* Set(std::uint64_t hash) const;
  Survey Look(Entry* set, std::uint64_t hash, const Epoch& epoch, std::uint64_t now) const;

  std::uint64_t mask_;
  Memory memory_;
  Entry* entries_;
};

}  // namespace spillway
