// SPDX-License-Identifier: MIT
// Regular expressions compiled together: the door of RE2, which matches in time linear to the text
// whatever the expression, so that no client can make one slow by what it sends.
//
// Text is bytes (Latin-1 to the engine): a byte that is not UTF-8 cannot hide what stands around
// it. "." is any byte, line ends too. Matching is not anchored.
//
// Most expressions cannot match without some plain text: "bot[0-9]+" not without "bot". Those texts
// are sought first (rules/literals.h), and only expressions whose texts are there are tried: mostly
// none, so that the engine, its locks and its automaton are left alone.
//
// Memory: kMaxMemory for the automaton of one set, made as it is needed; when that is used up the
// engine begins anew. If it reports that it could not go on, the expressions are tried one by one:
// never "no match".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rules/literals.h"
#include "rules/text_index.h"
#include "spillway/result.h"

namespace spillway {

// Buffers of a search, kept from one to the next by the caller.
struct PatternScratch {
  std::vector<int> found;           // expressions that match
  std::vector<int> atoms;           // texts that are there
  std::vector<std::uint64_t> seen;  // of LiteralSet
};

class PatternSet {
 public:
  static constexpr std::int64_t kMaxMemory = 64 << 20;
  static constexpr std::int64_t kMaxMemoryOfOne = 2 << 20;

  explicit PatternSet(Case letter_case);
  ~PatternSet();
  PatternSet(PatternSet&&) noexcept;
  PatternSet& operator=(PatternSet&&) noexcept;

  // Adds an expression, or says why it is none: "missing ): (a".
  Result<void> Add(std::string_view expression, std::uint32_t test);
  // False: together they do not fit into kMaxMemory.
  bool Build();
  bool empty() const;

  // Calls hit(test) for each test with a matching expression, at least once. Allocates only when
  // there are more than kFew expressions and a text of one is there: the engine offers no other way
  // to say which.
  template <class OnHit>
  void Find(std::string_view value, PatternScratch* scratch, OnHit&& hit) const {
    Match(value, scratch);
    for (const int i : scratch->found) hit(test(i));
  }
  // The same by trying one after another: what Find falls back to.
  void MatchEach(std::string_view value, std::vector<int>* found) const;

  // As many are rather tried one by one than together.
  static constexpr std::size_t kFew = 8;

 private:
  void Match(std::string_view value, PatternScratch* scratch) const;
  void MatchTogether(std::string_view value, std::vector<int>* found) const;
  void KeepMatching(std::string_view value, std::vector<int>* candidates) const;
  std::uint32_t test(int i) const;

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The expression for a shape: "*" any text without "/", "**" any text, "?" one byte but "/".
std::string GlobExpression(std::string_view glob);

}  // namespace spillway
