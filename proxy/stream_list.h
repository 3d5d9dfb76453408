// SPDX-License-Identifier: MIT
// What belongs to each open stream of one connection of HTTP/2, by the stream's number. Streams are
// opened with growing numbers and mostly end in the order in which they began: so they stand in a
// row that is searched by halves, grows at its end and is eaten up from its front, and whoever
// comes and goes costs no allocation.
//
// Thread rule: one loop thread. What Find gives is good until the next Add or Take. Memory: room
// for about twice as many as were there at once; 4 KiB at most when there is none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "proxy/reuse.h"

namespace spillway {

template <class T>
class StreamList {
 public:
  using Entry = std::pair<std::int32_t, T>;

  T* Find(std::int32_t id) {
    if (!empty() && entries_.back().first == id) return &entries_.back().second;  // as most ask for
    Entry* const at = Place(id);
    return at == end() || at->first != id ? nullptr : &at->second;
  }
  // REQUIRES: it is not there.
  void Add(std::int32_t id, T what) {
    const std::ptrdiff_t place = Place(id) - entries_.data();
    entries_.emplace(entries_.begin() + place, id, std::move(what));
  }
  // REQUIRES: it is there.
  T Take(std::int32_t id) {
    Entry* const at = Place(id);
    T taken = std::move(at->second);
    if (size() == 1) {
      ClearForReuse(&entries_);
      gone_ = 0;
    } else if (at != begin()) {
      entries_.erase(entries_.begin() + (at - entries_.data()));
    } else if (++gone_ > entries_.size() / 2) {
      entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(gone_));
      gone_ = 0;
    }
    return taken;
  }
  bool empty() const { return size() == 0; }
  std::size_t size() const { return entries_.size() - gone_; }
  Entry* begin() { return entries_.data() + gone_; }
  Entry* end() { return entries_.data() + entries_.size(); }

 private:
  Entry* Place(std::int32_t id) {
    return std::lower_bound(begin(), end(), id, [](const Entry& entry, std::int32_t other) {
      return entry.first < other;
    });
  }
  std::vector<Entry> entries_;
  std::size_t gone_ = 0;  // at the front: taken, their places not yet used again
};

}  // namespace spillway
