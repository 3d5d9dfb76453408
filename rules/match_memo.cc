// SPDX-License-Identifier: MIT
#include "spillway/match_memo.h"

#include <cstdlib>
#include <limits>
#include <new>
#include <utility>

namespace spillway {
namespace {

constexpr std::uint32_t kHalves = 3;

}  // namespace

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

const FewTests* MatchMemo::Find(std::uint32_t field, Half half, const WideHash& text) {
  if (sets_ == nullptr) MakeRoom();
  low_ = text.low;
  high_ = (static_cast<std::uint32_t>(text.high) ^ field << 2) & ~kHalves;
  half_ = static_cast<std::uint32_t>(half);
  set_ = sets_ + text.low % kSets;
  entry_ = nullptr;
  std::array<Entry, 4>& entries = set_->entries;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::uint32_t known = entries[i].high & kHalves;
    if (entries[i].low != low_ || (entries[i].high & ~kHalves) != high_ || known == 0) continue;
    // One place forward each time that it is asked for: what is last goes first.
    if (i > 0) std::swap(entries[i], entries[i - 1]);
    entry_ = &entries[i > 0 ? i - 1 : 0];
    return (known & half_) != 0 ? &entry_->tests : nullptr;
  }
  return nullptr;
}

void MatchMemo::Learn(const FewTests& tests) {
  if (entry_ != nullptr) {
    FewTests all = entry_->tests;
    bool few = true;
    tests.ForEach([&](std::uint32_t test) { few = all.Add(test) && few; });
    if (few) *entry_ = {low_, entry_->high | half_, all};
    return;
  }
  std::array<Entry, 4>& entries = set_->entries;
  std::size_t place = 0;
  while (place + 1 < entries.size() && entries[place].high != 0) ++place;
  entries[place] = {low_, high_ | half_, tests};
}

}  // namespace spillway
