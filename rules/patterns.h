// SPDX-License-Identifier: MIT
// Regular expressions compiled together: the door of RE2, which matches in time linear to the text
// whatever the expression, so that no client can make one slow by what it sends.
//
// Text is bytes (Latin-1 to the engine): a byte that is not UTF-8 cannot hide what stands around
// it. "." is any byte, line ends too. Matching is not anchored.
//
// Most expressions cannot match without some plain text: "bot[0-9]+" not without "bot". Those texts
// are sought first (rules/literals.h), and only expressions whose texts are there are tried: mostly
// none, so that the engine, its locks and its automata are left alone. Of those that stand for one
// test, none is tried after one that matches.
//
// Expressions are tried one by one. Why not all of them by one automaton (RE2::Set): it is made as
// texts need it, and one text made of the beginnings of 500 expressions took it 100 ms; one by one
// their cost is that of reading the text as often as it has beginnings of expressions.
//
// Memory of the automata, which the engine makes as texts need them and begins anew when it is used
// up: kMaxMemory together, but for each at least kLeastMemoryOfOne.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/literals.h"
#include "rules/text_index.h"
#include "spillway/result.h"

namespace spillway {

// Buffers of a search, kept from one to the next by the caller.
struct PatternScratch {
  std::vector<int> candidates;       // expressions that may match
  std::vector<int> atoms;            // texts that are there
  std::vector<std::uint64_t> seen;   // of LiteralSet
  std::vector<std::uint64_t> known;  // bit: the test holds
};

class PatternSet {
 public:
  static constexpr std::int64_t kMaxMemory = 256 << 20;
  static constexpr std::int64_t kMaxMemoryOfOne = 2 << 20;
  static constexpr std::int64_t kLeastMemoryOfOne = 64 << 10;

  explicit PatternSet(Case letter_case);
  ~PatternSet();
  PatternSet(PatternSet&&) noexcept;
  PatternSet& operator=(PatternSet&&) noexcept;

  // Adds an expression, or says why it is none: "missing ): (a".
  Result<void> Add(std::string_view expression, std::uint32_t test);
  // False: as programs they do not fit into kMaxMemory.
  bool Build();
  bool empty() const;

  // What an expression may cost, by its number among those that were added. REQUIRES: built.
  // The steps of its program: for a text that is made to be slow as many may be taken for each byte.
  int StepsOf(std::size_t expression) const;
  // The part of it by which a short expression can be slow; empty: none was found.
  std::string SlowPartOf(std::size_t expression) const;
  // Those that need no text, and so are tried on every value.
  std::span<const int> unfiltered() const;

  // Calls hit(test) for each test with a matching expression, at least once. Allocates only when a text of an
  // expression is there: the engine offers no other way to say which expressions need it.
  template <class OnHit>
  void Find(std::string_view value, PatternScratch* scratch, OnHit&& hit) const {
    FindCandidates(value, scratch);
    for (const int candidate : scratch->candidates) {
      const auto i = static_cast<std::size_t>(candidate);
      const std::uint32_t number = local_[i];
      if ((scratch->known[number / 64] >> (number % 64) & 1) != 0 || !Matches(candidate, value))
        continue;
      scratch->known[number / 64] |= std::uint64_t{1} << (number % 64);
      hit(tests_[i]);
    }
  }

 private:
  // Into scratch->candidates; scratch->known is made ready when there are any.
  void FindCandidates(std::string_view value, PatternScratch* scratch) const;
  bool Matches(int expression, std::string_view value) const;

  std::vector<std::uint32_t> tests_;  // by expression
  std::vector<std::uint32_t> local_;  // by expression: its test's number among those of this set
  std::uint32_t test_count_ = 0;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// "a.{30}": a repetition counted so far (kManyTimes) that it can be under way from several places at
// once, as what begins it can be in it, too. The engine then has a state for each set of such places,
// of which there are 2^30; it makes them anew for nearly each byte of a text that is made for it,
// which costs microseconds. Empty: there is none. Looks at the shape only, so it may be wrong either
// way about expressions that nobody writes. REQUIRES: it is one that compiles.
std::string SlowPart(std::string_view expression);
inline constexpr int kManyTimes = 16;

// The expression for a shape: "*" any text without "/", "**" any text, "?" one byte but "/".
std::string GlobExpression(std::string_view glob);

}  // namespace spillway
