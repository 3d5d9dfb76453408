// SPDX-License-Identifier: MIT
#include "spillway/match_memo.h"

#include <cstdlib>
#include <limits>
#include <new>
#include <utility>

namespace spillway {

bool FewTests::Add(std::uint32_t test) {
  if (test >= std::numeric_limits<std::uint16_t>::max()) return false;
  const auto next = static_cast<std::uint16_t>(test + 1);
  for (std::uint16_t& each : next_) {
    if (each == 0) each = next;
    if (each == next) return true;
  }
  return false;
}

void MatchMemo::Free::operator()(void* room) const {
  std::free(room);
}

// Zeroes that nobody has written: pages come into being as texts do.
void MatchMemo::MakeRoom() {
  std::size_t size = kBytes + alignof(Set);
  room_.reset(std::calloc(1, size));
  void* first = room_.get();
  if (first == nullptr) throw std::bad_alloc();
  sets_ = static_cast<Set*>(std::align(alignof(Set), kBytes, first, size));
}

const FewTests* MatchMemo::Find(std::uint32_t stage, std::string_view text) {
  if (sets_ == nullptr) MakeRoom();
  const WideHash hash = KeyedHash(text, secret_);
  low_ = hash.low;
  high_ = (static_cast<std::uint32_t>(hash.high) ^ stage << 1) | 1;
  set_ = sets_ + hash.low % kSets;
  std::array<Entry, 4>& entries = set_->entries;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].low != low_ || entries[i].high != high_) continue;
    if (i == 0) return &entries[0].tests;
    // One place forward each time that it is asked for: what is last goes first.
    std::swap(entries[i], entries[i - 1]);
    return &entries[i - 1].tests;
  }
  return nullptr;
}

void MatchMemo::Learn(const FewTests& tests) {
  std::array<Entry, 4>& entries = set_->entries;
  std::size_t place = 0;
  while (place + 1 < entries.size() && entries[place].high != 0) ++place;
  entries[place] = {low_, high_, tests};
}

}  // namespace spillway
