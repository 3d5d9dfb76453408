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

int PatternSet::StepsOf(std::size_t expression) const {
  return impl_->each.GetRE2(static_cast<int>(expression)).ProgramSize();
}

std::string PatternSet::SlowPartOf(std::size_t expression) const {
  return SlowPart(impl_->each.GetRE2(static_cast<int>(expression)).pattern());
}

std::span<const int> PatternSet::unfiltered() const {
  return impl_->unfiltered;
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

namespace {

// "{3}", "{3,}" or "{3,9}" at the front: its size and the largest number; otherwise 0.
std::size_t Counted(std::string_view text, int* most) {
  std::size_t at = 1;
  int number = 0, digits = 0;
  *most = 0;
  for (; at < text.size() && text[at] != '}'; ++at) {
    if (text[at] == ',') {
      number = 0;
    } else if (text[at] >= '0' && text[at] <= '9') {
      number = std::min(number * 10 + (text[at] - '0'), 10'000);
      *most = std::max(*most, number);
      ++digits;
    } else {
      return 0;
    }
  }
  return at < text.size() && digits > 0 ? at + 1 : 0;
}

// Behind the class "[...]" that begins at `at`.
std::size_t AfterClass(std::string_view text, std::size_t at) {
  at += at + 1 < text.size() && text[at + 1] == '^' ? 2 : 1;
  for (const std::size_t first = at; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text.substr(at).starts_with("[:")) {
      at = std::min(text.find(":]", at), text.size() - 2) + 1;
    } else if (text[at] == ']' && at > first) {
      return at + 1;
    }
  }
  return text.size();
}

// How much of the front matches no byte: "\b(?:".
std::size_t FrontOf(std::string_view text) {
  std::size_t at = 0;
  for (bool more = true; more;) {
    more = false;
    for (const std::string_view empty : {"(?i)", "(?s)", "(?:", "(", "\\b", "\\A", "^"}) {
      if (!text.substr(at).starts_with(empty)) continue;
      at += empty.size();
      more = true;
    }
  }
  return at;
}

// Behind what begins at `at` and is repeated as one: a byte, an escape, a class.
std::size_t AfterAtom(std::string_view text, std::size_t at) {
  if (text[at] == '[') return AfterClass(text, at);
  if (text[at] != '\\') return at + 1;
  const bool braced = text.substr(at).starts_with("\\x{") || text.substr(at).starts_with("\\p{") ||
                      text.substr(at).starts_with("\\P{");
  const std::size_t end = braced ? text.find('}', at) : at + 1;
  return std::min(end, text.size() - 1) + 1;
}

// No byte is matched by both. Both match single bytes, or it is not known.
bool Apart(std::string_view one, std::string_view other) {
  RE2::Options options = OptionsFor(Case::kExact, PatternSet::kMaxMemoryOfOne);
  const RE2 first(Piece(one), options), second(Piece(other), options);
  if (one.empty() || !first.ok() || !second.ok()) return false;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    if (RE2::FullMatch({&c, 1}, first) && RE2::FullMatch({&c, 1}, second)) return false;
  }
  return true;
}

}  // namespace

std::string SlowPart(std::string_view expression) {
  struct Atom {
    std::size_t begin = 0;
    std::string_view before = {};  // the one before it; empty: none, or not known
  };
  const std::size_t front = FrontOf(expression);
  const auto outside = static_cast<std::size_t>(
      std::count(expression.begin(), expression.begin() + static_cast<std::ptrdiff_t>(front), '('));
  // It can begin at one place only, so far.
  bool anchored = expression.substr(0, front).find_first_of("^A") != std::string_view::npos;
  std::vector<Atom> groups;  // that are open
  Atom atom;
  std::string_view last;  // atom, whole
  for (std::size_t at = 0; at < expression.size();) {
    const char c = expression[at];
    int most = 0;
    const std::size_t counted = c == '{' ? Counted(expression.substr(at), &most) : 0;
    if (counted > 0) {
      const std::string_view repeated = expression.substr(atom.begin, at - atom.begin);
      const bool group = repeated.ends_with(')');
      const bool first = atom.begin <= front && !group;
      if (most >= kManyTimes && !anchored && !first && (group || !Apart(atom.before, repeated))) {
        return std::string(expression.substr(atom.begin, at + counted - atom.begin));
      }
      at += counted;
    } else if (c == '*' || c == '+' || c == '?') {
      if (c != '?') anchored = false;
      ++at;
    } else if (c == '|') {
      if (groups.size() <= outside) anchored = false;
      last = {};
      ++at;
    } else if (c == '(') {
      groups.push_back({at, last});
      const std::size_t flags =
          expression.substr(at).starts_with("(?") ? expression.find_first_of(":)>", at) : at;
      at = std::min(flags, expression.size() - 1) + 1;
      if (expression[at - 1] == ')') groups.pop_back();  // "(?i)"
    } else if (c == ')' && !groups.empty()) {
      atom = groups.back();
      groups.pop_back();
      last = {};
      ++at;
    } else {
      const std::size_t end = AfterAtom(expression, at);
      atom = {at, last};
      last = expression.substr(at, end - at);
      at = end;
    }
  }
  return {};
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
