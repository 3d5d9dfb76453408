// SPDX-License-Identifier: MIT
// Many plain texts sought inside a value in one pass (Aho and Corasick's automaton, CACM 18(6),
// 1975), so that a list of 5,000 words costs what one costs: a table step for each byte, whatever a
// client sends.
//
// Why not the pattern engine: its automaton grows with what clients send, takes a lock, and
// allocates to say which patterns matched. This one is complete when built. Memory: kMaxBytes at
// most, or Build fails.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rules/text_index.h"

namespace spillway {

class LiteralSet {
 public:
  static constexpr std::size_t kMaxBytes = 64 << 20;

  explicit LiteralSet(Case letter_case) : case_(letter_case) {}
  void Add(std::string_view text, std::uint32_t test);  // REQUIRES: text not empty
  bool Build();  // false: the table would be larger than kMaxBytes
  bool empty() const { return uses_.empty(); }

  // Calls hit(test) for each test with a text inside `value`, at least once. `*seen` is scratch,
  // reused by the caller.
  template <class OnHit>
  void Find(std::string_view value, std::vector<std::uint64_t>* seen, OnHit&& hit) const {
    seen->assign((uses_.size() + 63) / 64, 0);
    std::uint32_t state = 0;
    for (const char c : value) {
      state = next_[(state & ~kEnds) + class_of_[static_cast<unsigned char>(c)]];
      if ((state & kEnds) != 0) Report((state & ~kEnds) / classes_, seen, hit);
    }
  }

 private:
  // A state is the offset of its row in next_. The top bit says that some text ends there.
  static constexpr std::uint32_t kEnds = 0x80000000;
  static constexpr std::uint32_t kNone = 0xffffffff;

  template <class OnHit>
  void Report(std::uint32_t row, std::vector<std::uint64_t>* seen, OnHit&& hit) const {
    // A text seen before was reported together with all the shorter ones that end in it.
    for (std::uint32_t text = ends_[row]; text != kNone; text = inner_[text]) {
      std::uint64_t& word = (*seen)[text / 64];
      if ((word >> (text % 64) & 1) != 0) return;
      word |= std::uint64_t{1} << (text % 64);
      for (const std::uint32_t test : uses_[text]) hit(test);
    }
  }

  Case case_;
  std::vector<std::string> texts_;                          // distinct, folded; empty once built
  std::unordered_map<std::string, std::uint32_t> numbers_;  // of texts_; empty once built
  std::vector<std::vector<std::uint32_t>> uses_;            // text -> tests
  std::array<std::uint8_t, 256> class_of_{};                // byte -> column; 0: in no text
  std::uint32_t classes_ = 1;                               // columns of a row
  std::vector<std::uint32_t> next_;                         // row + column -> state
  std::vector<std::uint32_t> ends_;   // row -> the longest text that ends here
  std::vector<std::uint32_t> inner_;  // text -> the next shorter text that ends where it does
};

}  // namespace spillway
