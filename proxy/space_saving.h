// SPDX-License-Identifier: MIT
// Who comes most often, of any number of keys, in the memory of a fixed number of them: the
// Space-Saving algorithm (Metwally, Agrawal, El Abbadi 2005). When all places are taken, a new key
// takes that of the one with the lowest count, and its count as its error: whoever came more often
// than that is in the list for sure, and no count is more than its error too high.
//
// The entries are a heap by count, lowest first, and a map tells where each key's is. REQUIRES of
// Hash: a good 64-bit hash. Thread rule: one thread.
#pragma once

#include <algorithm>
#include <cstdint>
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
    heap_.reserve(places);
    where_.reserve(places);
  }

  void Add(const Key& key) {
    const auto found = where_.find(key);
    if (found != where_.end()) {
      ++heap_[found->second].count;
      Sink(found->second);
    } else if (heap_.size() < places_) {
      heap_.push_back({key, 1, 0});
      where_.emplace(key, heap_.size() - 1);
      Rise(heap_.size() - 1);
    } else {
      Entry& lowest = heap_.front();
      where_.erase(lowest.key);
      lowest = {key, lowest.count + 1, lowest.count};
      where_.emplace(key, 0);
      Sink(0);
    }
  }

  // The `most` with the highest counts, highest first; equal ones by key.
  std::vector<Entry> Top(std::size_t most) const {
    std::vector<Entry> top = heap_;
    std::sort(top.begin(), top.end(), [](const Entry& a, const Entry& b) {
      return a.count != b.count ? a.count > b.count : a.key < b.key;
    });
    top.resize(std::min(top.size(), most));
    return top;
  }
  std::size_t size() const { return heap_.size(); }

 private:
  void Swap(std::size_t a, std::size_t b) {
    std::swap(heap_[a], heap_[b]);
    where_[heap_[a].key] = a;
    where_[heap_[b].key] = b;
  }
  void Rise(std::size_t at) {
    while (at > 0 && heap_[at].count < heap_[(at - 1) / 2].count) {
      Swap(at, (at - 1) / 2);
      at = (at - 1) / 2;
    }
  }
  void Sink(std::size_t at) {
    while (true) {
      std::size_t lowest = at;
      for (std::size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap_.size(); ++child) {
        if (heap_[child].count < heap_[lowest].count) lowest = child;
      }
      if (lowest == at) return;
      Swap(at, lowest);
      at = lowest;
    }
  }

  const std::size_t places_;
  std::vector<Entry> heap_;
  std::unordered_map<Key, std::size_t, Hash> where_;
};

}  // namespace spillway
