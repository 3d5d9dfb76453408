// SPDX-License-Identifier: MIT
// Who comes most often, of any number of keys, in the memory of a fixed number of them: the
// Space-Saving algorithm (Metwally, Agrawal, El Abbadi 2005). When all places are taken, a new key
// takes that of the one with the lowest count, and its count as its error: whoever came more often
// than that is in the list for sure, and no count is more than its error too high.
//
// A heap of places, the lowest count first; each entry knows where its place is in it, and a map
// finds a key's entry. REQUIRES of Hash: a good 64-bit hash. Thread rule: one thread. Once all places
// are taken, nothing is allocated but by keys that outgrow those before them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace spillway {

template <class Key, class Hash>
class SpaceSaving {
 public:
  struct Entry {
    Key key{};
    std::uint64_t count = 0;
    std::uint64_t error = 0;  // so much of the count may be others'
  };

  explicit SpaceSaving(std::size_t places) : places_(places) {
    entries_.reserve(places);
    heap_.reserve(places);
    found_at_.reserve(places);
    index_.reserve(places);
  }

  // `Like` is Key, or what Hash (with is_transparent) and == take in its stead: a string_view for a string.
  template <class Like>
  void Add(const Like& key) {
    const auto found = index_.find(key);
    if (found != index_.end()) {
      ++entries_[found->second].count;
      Sink(found_at_[found->second]);
    } else if (entries_.size() < places_) {
      const std::size_t entry = entries_.size();
      entries_.push_back({Key(key), 1, 0});
      heap_.push_back(entry);
      found_at_.push_back(entry);
      index_.emplace(Key(key), entry);
      Rise(entry);
    } else {
      const std::size_t entry = heap_.front();
      Entry& lowest = entries_[entry];
      auto place = index_.extract(lowest.key);
      lowest.key = place.key() = key;
      lowest.error = lowest.count++;
      index_.insert(std::move(place));
      Sink(0);
    }
  }

  // The `most` with the highest counts, highest first; equal ones by key.
  std::vector<Entry> Top(std::size_t most) const {
    std::vector<Entry> top = entries_;
    std::sort(top.begin(), top.end(), [](const Entry& a, const Entry& b) {
      return a.count != b.count ? a.count > b.count : a.key < b.key;
    });
    top.resize(std::min(top.size(), most));
    return top;
  }
  std::size_t size() const { return entries_.size(); }

 private:
  std::uint64_t CountAt(std::size_t place) const { return entries_[heap_[place]].count; }
  void Swap(std::size_t a, std::size_t b) {
    std::swap(heap_[a], heap_[b]);
    found_at_[heap_[a]] = a;
    found_at_[heap_[b]] = b;
  }
  void Rise(std::size_t at) {
    while (at > 0 && CountAt(at) < CountAt((at - 1) / 2)) {
      Swap(at, (at - 1) / 2);
      at = (at - 1) / 2;
    }
  }
  void Sink(std::size_t at) {
    while (true) {
      std::size_t lowest = at;
      for (std::size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap_.size(); ++child) {
        if (CountAt(child) < CountAt(lowest)) lowest = child;
      }
      if (lowest == at) return;
      Swap(at, lowest);
      at = lowest;
    }
  }

  const std::size_t places_;
  std::vector<Entry> entries_;         // they stay where they are
  std::vector<std::size_t> heap_;      // of entries
  std::vector<std::size_t> found_at_;  // entry -> its place in the heap
  std::unordered_map<Key, std::size_t, Hash, std::equal_to<>> index_;
};

}  // namespace spillway
