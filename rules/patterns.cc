// SPDX-License-Identifier: MIT
#include "rules/patterns.h"

#include <re2/filtered_re2.h>
#include <re2/re2.h>
#include <re2/set.h>

#include <numeric>
#include <utility>

namespace spillway {
namespace {

RE2::Options OptionsFor(Case letter_case, std::int64_t max_memory) {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_case_sensitive(letter_case == Case::kExact);
  options.set_dot_nl(true);
  options.set_log_errors(false);  // errors are returned; the engine would write to standard error
  options.set_max_mem(max_memory);
  return options;
}

re2::StringPiece Piece(std::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

struct PatternSet::Impl {
  explicit Impl(Case letter_case)
      : one(OptionsFor(letter_case, kMaxMemoryOfOne)),
        set(OptionsFor(letter_case, kMaxMemory), RE2::UNANCHORED) {}

  RE2::Options one;
  // Each expression by itself, and what texts it needs ("atoms", in small letters); shorter texts
  // would be found all the time.
  re2::FilteredRE2 each{3};
  RE2::Set set;                      // all of them together
  std::vector<std::uint32_t> tests;  // by expression
  LiteralSet atoms{Case::kFold};
  std::vector<int> unfiltered;  // expressions that need no text
};

PatternSet::PatternSet(Case letter_case) : impl_(std::make_unique<Impl>(letter_case)) {}
PatternSet::~PatternSet() = default;
PatternSet::PatternSet(PatternSet&&) noexcept = default;
PatternSet& PatternSet::operator=(PatternSet&&) noexcept = default;

Result<void> PatternSet::Add(std::string_view expression, std::uint32_t test) {
  int number = 0;
  if (impl_->each.Add(Piece(expression), impl_->one, &number) != RE2::NoError) {
    return Fail(RE2(Piece(expression), impl_->one).error());
  }
  impl_->tests.push_back(test);
  std::string error;
  if (impl_->set.Add(Piece(expression), &error) < 0) return Fail(std::move(error));
  return {};
}

bool PatternSet::Build() {
  std::vector<std::string> atoms;
  impl_->each.Compile(&atoms);
  for (std::uint32_t i = 0; i < atoms.size(); ++i) impl_->atoms.Add(atoms[i], i);
  impl_->each.AllPotentials({}, &impl_->unfiltered);
  return impl_->atoms.Build() && impl_->set.Compile();
}

bool PatternSet::empty() const {
  return impl_->tests.empty();
}

std::uint32_t PatternSet::test(int i) const {
  return impl_->tests[static_cast<std::size_t>(i)];
}

// Leaves of the candidates those that match.
void PatternSet::KeepMatching(std::string_view value, std::vector<int>* candidates) const {
  std::erase_if(*candidates,
                [&](int i) { return !RE2::PartialMatch(Piece(value), impl_->each.GetRE2(i)); });
}

void PatternSet::MatchEach(std::string_view value, std::vector<int>* found) const {
  found->resize(impl_->tests.size());
  std::iota(found->begin(), found->end(), 0);
  KeepMatching(value, found);
}

void PatternSet::Match(std::string_view value, PatternScratch* scratch) const {
  if (impl_->unfiltered.size() > kFew) return MatchTogether(value, &scratch->found);
  scratch->atoms.clear();
  impl_->atoms.Find(value, &scratch->seen,
                    [&](std::uint32_t atom) { scratch->atoms.push_back(static_cast<int>(atom)); });
  if (scratch->atoms.empty()) {
    scratch->found.assign(impl_->unfiltered.begin(), impl_->unfiltered.end());
    return KeepMatching(value, &scratch->found);
  }
  if (impl_->tests.size() <= kFew) return MatchEach(value, &scratch->found);
  impl_->each.AllPotentials(scratch->atoms, &scratch->found);
  if (scratch->found.size() <= kFew) return KeepMatching(value, &scratch->found);
  MatchTogether(value, &scratch->found);
}

void PatternSet::MatchTogether(std::string_view value, std::vector<int>* found) const {
  found->clear();
  // Whether any matches is asked first: mostly none does, and that answer needs no memory.
  RE2::Set::ErrorInfo why{RE2::Set::kNoError};
  if (!impl_->set.Match(Piece(value), nullptr, &why)) {
    if (why.kind != RE2::Set::kNoError) MatchEach(value, found);
    return;
  }
  why.kind = RE2::Set::kNoError;
  // It said that some match: none now can only be the engine's trouble.
  if (!impl_->set.Match(Piece(value), found, &why)) MatchEach(value, found);
}

std::string GlobExpression(std::string_view glob) {
  std::string expression = "\\A";
  for (std::size_t i = 0; i < glob.size(); ++i) {
    if (glob[i] == '?') {
      expression += "[^/]";
    } else if (glob[i] != '*') {
      expression += RE2::QuoteMeta(Piece(glob.substr(i, 1)));
    } else if (i + 1 < glob.size() && glob[i + 1] == '*') {
      expression += ".*";
      ++i;
    } else {
      expression += "[^/]*";
    }
  }
  return expression + "\\z";
}

}  // namespace spillway
