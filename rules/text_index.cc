// SPDX-License-Identifier: MIT
#include "rules/text_index.h"

#include <algorithm>
#include <functional>

namespace spillway {

std::string LowerAscii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = LowerAscii(c);
  return lower;
}

ExactIndex::ExactIndex(Case letter_case) : tests_(0, Hash{letter_case}, Equal{letter_case}) {}

void ExactIndex::Add(std::string_view text, std::uint32_t test) {
  sizes_ |= std::uint64_t{1} << SizeBit(text);
  lasts_ |= std::uint64_t{1} << LastBit(text);
  std::vector<std::uint32_t>& tests = tests_[std::string(text)];
  if (tests.empty() || tests.back() != test) tests.push_back(test);
}

std::size_t ExactIndex::Hash::operator()(std::string_view text) const {
  if (letter_case == Case::kExact) return std::hash<std::string_view>()(text);
  // FNV-1a over folded bytes. Clients choose what is looked up, never what is stored, so that
  // nobody can make chains long from outside.
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(LowerAscii(c))) * 0x100000001b3;
  }
  return static_cast<std::size_t>(hash ^ (hash >> 32));
}

bool ExactIndex::Equal::operator()(std::string_view a, std::string_view b) const {
  if (letter_case == Case::kExact) return a == b;
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return LowerAscii(x) == LowerAscii(y);
         });
}

void AffixIndex::Add(std::string_view text, std::uint32_t test, std::uint32_t least) {
  Text added;
  for (std::size_t i = 0; i < text.size(); ++i) added.text += At(text, i);
  if (text.size() < 2) {
    any_second_ = true;
  } else {
    seconds_ |= std::uint64_t{1} << SecondBit(text);
  }
  added.uses.push_back({test, least});
  texts_.push_back(std::move(added));
}

void AffixIndex::Build() {
  std::stable_sort(texts_.begin(), texts_.end(),
                   [](const Text& a, const Text& b) { return a.text < b.text; });
  std::vector<Text> merged;
  for (Text& text : texts_) {
    if (merged.empty() || merged.back().text != text.text) {
      merged.push_back(std::move(text));
    } else {
      merged.back().uses.insert(merged.back().uses.end(), text.uses.begin(), text.uses.end());
    }
  }
  texts_ = std::move(merged);
  // In sorted order, what begins a text is the one before it, or what begins that one.
  for (std::uint32_t i = 1; i < texts_.size(); ++i) {
    std::uint32_t parent = i - 1;
    while (parent != kNone && !texts_[i].text.starts_with(texts_[parent].text)) {
      parent = texts_[parent].parent;
    }
    texts_[i].parent = parent;
  }
}

bool AffixIndex::Affixes(std::string_view text, std::string_view value) const {
  if (end_ == End::kFront && case_ == Case::kExact) return value.starts_with(text);
  if (value.size() < text.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (At(value, i) != text[i]) return false;
  }
  return true;
}

bool AffixIndex::Above(std::string_view text, std::string_view value) const {
  if (end_ == End::kFront && case_ == Case::kExact) return text > value;
  const std::size_t common = std::min(text.size(), value.size());
  for (std::size_t i = 0; i < common; ++i) {
    const auto a = static_cast<unsigned char>(text[i]);
    const auto b = static_cast<unsigned char>(At(value, i));
    if (a != b) return a > b;
  }
  return text.size() > value.size();
}

std::uint32_t AffixIndex::Below(std::string_view value) const {
  const auto above = std::partition_point(
      texts_.begin(), texts_.end(), [&](const Text& text) { return !Above(text.text, value); });
  if (above == texts_.begin()) return kNone;
  return static_cast<std::uint32_t>(above - texts_.begin() - 1);
}

}  // namespace spillway
