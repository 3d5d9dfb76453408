// SPDX-License-Identifier: MIT
#include "rules/patterns.h"

#include <re2/filtered_re2.h>
#include <re2/re2.h>

#include <algorithm>
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
  explicit Impl(Case folding) : letter_case(folding) {}

  Case letter_case;
  std::vector<std::string> expressions;  // empty once built
  std::int64_t instructions = 0;         // of all their programs
  // Each expression by itself, and what texts it needs ("atoms", in small letters); shorter texts
  // would be found all the time.
  re2::FilteredRE2 each{3};
  LiteralSet atoms{Case::kFold};
  std::vector<int> unfiltered;  // expressions that need no text
};

PatternSet::PatternSet(Case letter_case) : impl_(std::make_unique<Impl>(letter_case)) {}
PatternSet::~PatternSet() = default;
PatternSet::PatternSet(PatternSet&&) noexcept = default;
PatternSet& PatternSet::operator=(PatternSet&&) noexcept = default;

Result<void> PatternSet::Add(std::string_view expression, std::uint32_t test) {
  const RE2 one(Piece(expression), OptionsFor(impl_->letter_case, kMaxMemoryOfOne));
  if (!one.ok()) return Fail(one.error());
  impl_->instructions += one.ProgramSize();
  impl_->expressions.emplace_back(expression);
  // The expressions of a test come one behind the other, as a rule lists them.
  if (tests_.empty() || tests_.back() != test) ++test_count_;
  tests_.push_back(test);
  local_.push_back(test_count_ - 1);
  return {};
}

bool PatternSet::Build() {
  constexpr std::int64_t kInstructionBytes = 2 * 16;  // there is a program for each direction
  const auto count = static_cast<std::int64_t>(impl_->expressions.size());
  if (impl_->instructions * kInstructionBytes > kMaxMemory) return false;
  const std::int64_t share =
      std::clamp(kMaxMemory / std::max<std::int64_t>(count, 1), kLeastMemoryOfOne, kMaxMemoryOfOne);
  for (const std::string& expression : impl_->expressions) {
    int number = 0;
    for (const std::int64_t memory : {share, kMaxMemoryOfOne}) {
      if (impl_->each.Add(expression, OptionsFor(impl_->letter_case, memory), &number) ==
          RE2::NoError)
        break;
    }
  }
  impl_->expressions = {};
  std::vector<std::string> atoms;
  impl_->each.Compile(&atoms);
  for (std::uint32_t i = 0; i < atoms.size(); ++i) impl_->atoms.Add(atoms[i], i);
  impl_->each.AllPotentials({}, &impl_->unfiltered);
  return impl_->atoms.Build();
}

bool PatternSet::empty() const {
  return tests_.empty();
}

bool PatternSet::Matches(int expression, std::string_view value) const {
  return RE2::PartialMatch(Piece(value), impl_->each.GetRE2(expression));
}

void PatternSet::FindCandidates(std::string_view value, PatternScratch* scratch) const {
  scratch->atoms.clear();
  impl_->atoms.Find(value, &scratch->seen,
                    [&](std::uint32_t atom) { scratch->atoms.push_back(static_cast<int>(atom)); });
  if (scratch->atoms.empty()) {
    scratch->candidates.assign(impl_->unfiltered.begin(), impl_->unfiltered.end());
  } else {
    impl_->each.AllPotentials(scratch->atoms, &scratch->candidates);
  }
  if (!scratch->candidates.empty()) scratch->known.assign((test_count_ + 63) / 64, 0);
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
