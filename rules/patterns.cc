// SPDX-License-Identifier: MIT
#include "rules/patterns.h"

#include <re2/re2.h>
#include <re2/set.h>

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

  struct Pattern {
    std::unique_ptr<RE2> expression;
    std::uint32_t test;
  };
  RE2::Options one;
  RE2::Set set;
  std::vector<Pattern> patterns;
};

PatternSet::PatternSet(Case letter_case) : impl_(std::make_unique<Impl>(letter_case)) {}
PatternSet::~PatternSet() = default;
PatternSet::PatternSet(PatternSet&&) noexcept = default;
PatternSet& PatternSet::operator=(PatternSet&&) noexcept = default;

Result<void> PatternSet::Add(std::string_view expression, std::uint32_t test) {
  auto compiled = std::make_unique<RE2>(Piece(expression), impl_->one);
  if (!compiled->ok()) return Fail(compiled->error());
  std::string error;
  if (impl_->set.Add(Piece(expression), &error) < 0) return Fail(std::move(error));
  impl_->patterns.push_back({std::move(compiled), test});
  return {};
}

bool PatternSet::Build() {
  return impl_->set.Compile();
}

bool PatternSet::empty() const {
  return impl_->patterns.empty();
}

std::uint32_t PatternSet::test(int i) const {
  return impl_->patterns[static_cast<std::size_t>(i)].test;
}

void PatternSet::MatchEach(std::string_view value, std::vector<int>* found) const {
  found->clear();
  for (std::size_t i = 0; i < impl_->patterns.size(); ++i) {
    if (RE2::PartialMatch(Piece(value), *impl_->patterns[i].expression)) {
      found->push_back(static_cast<int>(i));
    }
  }
}

void PatternSet::Match(std::string_view value, std::vector<int>* found) const {
  found->clear();
  if (impl_->patterns.size() == 1) return MatchEach(value, found);
  // Whether any matches is asked first: mostly none does, and that answer needs no memory.
  RE2::Set::ErrorInfo why{RE2::Set::kNoError};
  if (!impl_->set.Match(Piece(value), nullptr, &why)) {
    if (why.kind != RE2::Set::kNoError) MatchEach(value, found);
    return;
  }
  if (impl_->patterns.size() <= kFew) return MatchEach(value, found);
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
