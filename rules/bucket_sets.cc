// SPDX-License-Identifier: MIT
// How an entry changes hands without a lock.
//
//   settled, time passed --CAS--> claimed --write tag--> tentative --CAS--> settled
//                 vacant ---^                               `-----CAS--> vacant (lost)
//
// Every claim flips the word's version, so a compare-and-swap on a word that was read before the
// tag was read succeeds only if the tag is still that one. (The same time, state and version can
// only come back if an entry changed hands twice within one such window and its times agree to the
// nanosecond.)
//
// Two threads that insert one key may publish tentative entries in two ways. The rule of Purcell
// and Harris ("Non-blocking Hashtables with Open Addressing", 2005) leaves one: a tentative entry
// is settled only after a look over all ways that began when it was already published and saw no
// other entry of the key; the tentative entry in the lowest way wins, and whoever looks makes the
// others vacant. Of two published entries, the looks of both their settlers cannot both have missed
// the other: one began later. That needs one order over all stores and loads here, hence sequential
// consistency throughout (on x86 it costs nothing for loads).
#include "rules/bucket_sets.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "rules/gcra.h"

namespace spillway {
namespace {

constexpr std::uint64_t kVersionBit = 8;
constexpr int kTimeShift = 4;
constexpr std::uint64_t kAlignment = 64;  // a set is two whole cache lines

std::uint64_t Load(std::uint64_t& word) {
  return std::atomic_ref(word).load();
}

bool Swap(std::uint64_t& word, std::uint64_t expected, std::uint64_t desired) {
  return std::atomic_ref(word).compare_exchange_strong(expected, desired);
}

std::uint64_t WithSlot(std::uint64_t word, SlotState slot) {
  return (word & ~std::uint64_t{3}) | static_cast<std::uint64_t>(slot);
}

}  // namespace

std::uint64_t Epoch::TimeOf(std::uint64_t word) const {
  const std::uint64_t time = word >> kTimeShift;
  if (EpochOf(word) == number || time <= changed_at) return time;
  const Wide scaled = static_cast<Wide>(time - changed_at) * step / old_step;
  return changed_at + static_cast<std::uint64_t>(std::min<Wide>(scaled, full));
}

std::uint64_t Epoch::Settled(std::uint64_t time, std::uint64_t word) const {
  return time << kTimeShift | (word & kVersionBit) | number << 2;
}

struct BucketSets::Survey {
  std::optional<Seen> settled;    // the key's, if any; then nothing else was looked for
  std::optional<Seen> tentative;  // the key's in the lowest way
  std::optional<Seen> rival;      // the key's in a higher way
  std::optional<Seen> free;
};

std::optional<BucketSets> BucketSets::Create(std::uint64_t entries) {
  // calloc hands out big blocks as untouched zero pages: an empty table costs address space only.
  Memory memory(std::calloc(1, MemoryFor(entries)), &std::free);
  if (!memory) return {};
  return BucketSets(entries, std::move(memory));
}

BucketSets::BucketSets(std::uint64_t entries, Memory memory)
    : mask_(entries - 1), memory_(std::move(memory)) {
  void* start = memory_.get();
  std::size_t space = MemoryFor(entries);
  entries_ = static_cast<Entry*>(std::align(kAlignment, entries * sizeof(Entry), start, space));
}

std::uint64_t BucketSets::MemoryFor(std::uint64_t entries) {
  return entries * sizeof(Entry) + kAlignment;
}

BucketSets::Entry* BucketSets::Set(std::uint64_t hash) const {
  return entries_ + (hash & mask_ & ~std::uint64_t{kWays - 1});
}

std::optional<BucketSets::Seen> BucketSets::Find(std::uint64_t hash) const {
  Entry* set = Set(hash);
  for (std::size_t way = 0; way < kWays; ++way) {
    Entry& entry = set[way];
    while (Load(entry.tag) == hash) {
      // The tag again, between two equal readings of the word: then the word belongs to that tag.
      const std::uint64_t word = Load(entry.word);
      if (SlotOf(word) != SlotState::kSettled || Load(entry.tag) != hash) break;
      if (Load(entry.word) == word) return Seen{&entry, word};
    }
  }
  return {};
}

BucketSets::Survey BucketSets::Look(Entry* set, std::uint64_t hash, const Epoch& epoch,
                                    std::uint64_t now) const {
  Survey survey;
  for (std::size_t way = 0; way < kWays; ++way) {
    Entry& entry = set[way];
    const std::uint64_t word = Load(entry.word);
    const SlotState slot = SlotOf(word);
    if (slot == SlotState::kClaimed) continue;
    const Seen seen{&entry, word};
    if (slot != SlotState::kVacant && Load(entry.tag) == hash) {
      if (slot == SlotState::kSettled) {
        survey.settled = seen;
        return survey;
      }
      (survey.tentative ? survey.rival : survey.tentative) = seen;
    } else if (!survey.free && slot != SlotState::kTentative &&
               (slot == SlotState::kVacant || epoch.TimeOf(word) <= now)) {
      survey.free = seen;
    }
  }
  return survey;
}

bool BucketSets::HasRoom(std::uint64_t hash, const Epoch& epoch, std::uint64_t now) const {
  const Survey survey = Look(Set(hash), hash, epoch, now);
  return survey.settled || survey.tentative || survey.free;
}

std::optional<bool> BucketSets::Insert(std::uint64_t hash, const Epoch& epoch, std::uint64_t now,
                                       std::uint64_t time) {
  Entry* set = Set(hash);
  std::optional<Seen> published;  // seen tentative before the present look began
  for (;;) {
    const Survey survey = Look(set, hash, epoch, now);
    if (survey.settled) return false;
    if (survey.rival) {
      Swap(survey.rival->entry->word, survey.rival->word,
           WithSlot(survey.rival->word, SlotState::kVacant));
      published = survey.tentative;
      continue;
    }
    if (survey.tentative) {
      if (published && published->entry == survey.tentative->entry &&
          published->word == survey.tentative->word) {
        return Swap(published->entry->word, published->word, epoch.Settled(time, published->word));
      }
      published = survey.tentative;  // ours or another's: whoever gets there first may settle it
      continue;
    }
    if (!survey.free) return {};
    const std::uint64_t claimed = WithSlot(survey.free->word ^ kVersionBit, SlotState::kClaimed);
    if (!Swap(survey.free->entry->word, survey.free->word, claimed)) continue;
    std::atomic_ref(survey.free->entry->tag).store(hash);
    const std::uint64_t tentative = WithSlot(epoch.Settled(now, claimed), SlotState::kTentative);
    std::atomic_ref(survey.free->entry->word).store(tentative);
    published = Seen{survey.free->entry, tentative};
  }
}

bool BucketSets::Replace(const Seen& seen, const Epoch& epoch, std::uint64_t time) {
  return Swap(seen.entry->word, seen.word, epoch.Settled(time, seen.word));
}

void BucketSets::Convert(const Epoch& epoch) {
  for (std::uint64_t i = 0; i <= mask_; ++i) {
    std::uint64_t word = Load(entries_[i].word);
    // Untouched memory is left so, and an entry that is changing hands is brought over by its next
    // charge.
    while (word != 0 && SlotOf(word) == SlotState::kSettled && EpochOf(word) != epoch.number &&
           !Replace({&entries_[i], word}, epoch, epoch.TimeOf(word))) {
      word = Load(entries_[i].word);
    }
  }
}

std::uint64_t BucketSets::CountLive(const Epoch& epoch, std::uint64_t now) const {
  std::uint64_t live = 0;
  for (std::uint64_t i = 0; i <= mask_; ++i) {
    const std::uint64_t word = Load(entries_[i].word);
    live += SlotOf(word) == SlotState::kSettled && epoch.TimeOf(word) > now;
  }
  return live;
}

}  // namespace spillway
