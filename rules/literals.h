// SPDX-License-Identifier: MIT
// Many plain texts sought inside a value in one pass (Aho and Corasick's automaton, CACM 18(6),
// 1975), so that a list of 5,000 words costs what one costs: a table step for each byte, whatever a
// client sends. Before a step is taken at all, a filter says at each place of the value whether a
// text may begin there, by four bytes at once; mostly none may, and asking that is faster, as no
// answer waits for the one before.
//
// Why not the pattern engine: its automaton grows with what clients send, takes a lock, and
// allocates to say which patterns matched. This one is complete when built. Memory: kMaxBytes at
// most, or Build fails.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
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
    seen->clear();
    std::size_t at = 0;
    while ((at = NextBegin(value, at)) < value.size()) {
      std::uint32_t state = 0;
      do {
        state = next_[(state & ~kEnds) + class_of_[static_cast<unsigned char>(value[at++])]];
        if ((state & kEnds) != 0) Report((state & ~kEnds) / classes_, seen, hit);
      } while (at < value.size() && (state & ~kEnds) != 0);  // until no text is under way
    }
  }

 private:
  // A state is the offset of its row in next_. The top bit says that some text ends there.
  static constexpr std::uint32_t kEnds = 0x80000000;
  static constexpr std::uint32_t kNone = 0xffffffff;

  template <class OnHit>
  void Report(std::uint32_t row, std::vector<std::uint64_t>* seen, OnHit&& hit) const {
    if (seen->empty()) seen->assign((uses_.size() + 63) / 64, 0);
    // A text seen before was reported together with all the shorter ones that end in it.
    for (std::uint32_t text = ends_[row]; text != kNone; text = inner_[text]) {
      std::uint64_t& word = (*seen)[text / 64];
      if ((word >> (text % 64) & 1) != 0) return;
      word |= std::uint64_t{1} << (text % 64);
      for (const std::uint32_t test : uses_[text]) hit(test);
    }
  }

  // Four bytes as the filter knows them: five bits of each, by which capitals are like small ones.
  static std::uint32_t Four(const char* bytes) {
    std::uint32_t four = 0;
    std::memcpy(&four, bytes, sizeof four);
    return four & 0x1f1f1f1f;
  }
  std::uint32_t Key(std::uint32_t four) const { return four * 0x9e3779b1 >> key_shift_; }
  void BuildFilter();

  // The first place from `at` on where a text may begin; the value's size: none may any more.
  std::size_t NextBegin(std::string_view value, std::size_t at) const {
    if (begins_.empty()) return at;
    for (; at + 4 <= value.size(); ++at) {
      const std::uint32_t key = Key(Four(value.data() + at));
      if ((begins_[key / 64] >> (key % 64) & 1) != 0) return at;
    }
    return has_short_ ? at : value.size();
  }

  Case case_;
  std::vector<std::uint64_t> begins_;  // bit: a text may begin with four bytes of this key
  int key_shift_ = 0;
  bool has_short_ = false;          // there is a text of fewer than four bytes
  std::vector<std::string> texts_;  // distinct, folded; empty once built
  std::unordered_map<std::string, std::uint32_t> numbers_;  // of texts_; empty once built
  std::vector<std::vector<std::uint32_t>> uses_;            // text -> tests
  std::array<std::uint8_t, 256> class_of_{};                // byte -> column; 0: in no text
  std::uint32_t classes_ = 1;                               // columns of a row
  std::vector<std::uint32_t> next_;                         // row + column -> state
  std::vector<std::uint32_t> ends_;   // row -> the longest text that ends here
  std::vector<std::uint32_t> inner_;  // text -> the next shorter text that ends where it does
};

}  // namespace spillway
