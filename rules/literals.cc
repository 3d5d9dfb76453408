// SPDX-License-Identifier: MIT
#include "rules/literals.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace spillway {

void LiteralSet::Add(std::string_view text, std::uint32_t test) {
  std::string folded = case_ == Case::kFold ? LowerAscii(text) : std::string(text);
  const auto [at, added] = numbers_.try_emplace(folded, static_cast<std::uint32_t>(texts_.size()));
  if (added) {
    texts_.push_back(std::move(folded));
    uses_.emplace_back();
  }
  std::vector<std::uint32_t>& tests = uses_[at->second];
  if (tests.empty() || tests.back() != test) tests.push_back(test);
}

bool LiteralSet::Build() {
  std::size_t longest_table = 1;  // rows, if no two texts began alike
  for (const std::string& text : texts_) {
    longest_table += text.size();
    for (const char c : text) {
      std::uint8_t& column = class_of_[static_cast<unsigned char>(c)];
      // 255 used bytes and "all others" fit a byte; with all 256 used, the last shares no column
      // with "others" either, since there are none: column 0 is then its own.
      if (column == 0 && classes_ < 256) column = static_cast<std::uint8_t>(classes_++);
    }
  }
  if (case_ == Case::kFold) {
    for (int c = 'A'; c <= 'Z'; ++c) {
      class_of_[static_cast<std::size_t>(c)] = class_of_[static_cast<unsigned char>(c - 'A' + 'a')];
    }
  }

  // The trie: rows of columns, 0 where there is no child (no row has the root as its child).
  const std::size_t row_bytes = classes_ * sizeof(std::uint32_t);
  next_.assign(classes_, 0);
  ends_.assign(1, kNone);
  next_.reserve(std::min(longest_table * classes_, kMaxBytes / sizeof(std::uint32_t)));
  for (std::uint32_t number = 0; number < texts_.size(); ++number) {
    std::uint32_t row = 0;
    for (const char c : texts_[number]) {
      const std::size_t at = row * classes_ + class_of_[static_cast<unsigned char>(c)];
      if (next_[at] == 0) {
        if ((ends_.size() + 1) * row_bytes > kMaxBytes) return false;
        next_[at] = static_cast<std::uint32_t>(ends_.size());
        ends_.push_back(kNone);
        next_.resize(next_.size() + classes_, 0);
      }
      row = next_[at];
    }
    ends_[row] = number;
  }

  // Breadth first: where a row has no child, it goes where its longest proper suffix goes.
  inner_.assign(texts_.size(), kNone);
  std::vector<std::uint32_t> suffix(ends_.size(), 0);
  std::vector<std::uint32_t> queue{0};
  for (std::size_t head = 0; head < queue.size(); ++head) {
    const std::uint32_t row = queue[head];
    if (row != 0) {
      const std::uint32_t shorter = ends_[suffix[row]];
      if (ends_[row] == kNone) {
        ends_[row] = shorter;
      } else {
        inner_[ends_[row]] = shorter;
      }
    }
    for (std::uint32_t column = 0; column < classes_; ++column) {
      std::uint32_t& child = next_[row * classes_ + column];
      const std::uint32_t fallen = row == 0 ? 0 : next_[suffix[row] * classes_ + column];
      if (child == 0) {
        child = fallen;
      } else {
        suffix[child] = fallen;
        queue.push_back(child);
      }
    }
  }
  for (std::uint32_t& state : next_) {
    state = state * classes_ | (ends_[state] == kNone ? 0 : kEnds);
  }
  BuildFilter();
  texts_ = {};
  numbers_ = {};
  return true;
}

// 16 bits for each text, within 512 bytes and 128 KiB. What stands behind a short text may be
// anything; where texts are so short, or so many, that the filter would let a good part of all
// pass, there is none.
void LiteralSet::BuildFilter() {
  constexpr std::size_t kLeastBits = 12, kMostBits = 20;
  const std::size_t bits = std::clamp<std::size_t>(
      static_cast<std::size_t>(std::bit_width(texts_.size() * 16)), kLeastBits, kMostBits);
  key_shift_ = static_cast<int>(32 - bits);
  begins_.assign((std::size_t{1} << bits) / 64, 0);
  std::size_t set = 0;
  for (const std::string& text : texts_) {
    char first[4] = {};
    const std::size_t known = text.copy(first, 4);
    has_short_ = has_short_ || known < 4;
    for (std::uint32_t rest = 0; rest < 1U << (5 * (4 - known)); ++rest) {
      for (std::size_t i = known; i < 4; ++i) {
        first[i] = static_cast<char>(rest >> (5 * (i - known)) & 31);
      }
      const std::uint32_t key = Key(Four(first));
      std::uint64_t& word = begins_[key / 64];
      set += (word >> (key % 64) & 1) == 0;
      word |= std::uint64_t{1} << (key % 64);
    }
    if (set > (std::size_t{1} << bits) / 4) return begins_.clear();
  }
}

}  // namespace spillway
