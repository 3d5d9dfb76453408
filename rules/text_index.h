// SPDX-License-Identifier: MIT
// Many plain texts looked up at once: which of them equal a value, which begin it, which end it.
// The cost of a lookup grows with the value's length and the logarithm of the number of texts.
//
// A text stands for any number of test numbers. Add everything, Build once, then only look up (any
// thread). With Case::kFold the letters A to Z count as a to z on both sides.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace spillway {

enum class Case : std::uint8_t { kExact, kFold };

constexpr char LowerAscii(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
std::string LowerAscii(std::string_view text);

// Equal to the value.
class ExactIndex {
 public:
  explicit ExactIndex(Case letter_case);
  void Add(std::string_view text, std::uint32_t test);
  bool empty() const { return tests_.empty(); }

  template <class OnHit>
  void Find(std::string_view value, OnHit&& hit) const {
    if ((sizes_ >> SizeBit(value) & 1) == 0 || (lasts_ >> LastBit(value) & 1) == 0) return;
    if (const auto found = tests_.find(value); found != tests_.end()) {
      for (const std::uint32_t test : found->second) hit(test);
    }
  }

 private:
  struct Hash {
    using is_transparent = void;
    Case letter_case;
    std::size_t operator()(std::string_view text) const;
  };
  struct Equal {
    using is_transparent = void;
    Case letter_case;
    bool operator()(std::string_view a, std::string_view b) const;
  };
  static std::size_t SizeBit(std::string_view text) { return text.size() < 63 ? text.size() : 63; }
  static std::size_t LastBit(std::string_view text) {
    return text.empty() ? 0 : static_cast<unsigned char>(LowerAscii(text.back())) & 63;
  }

  std::unordered_map<std::string, std::vector<std::uint32_t>, Hash, Equal> tests_;
  // What most values fail by, before anything is hashed: bit, some text has that size; some text
  // ends so.
  std::uint64_t sizes_ = 0, lasts_ = 0;
};

enum class End : std::uint8_t { kFront, kBack };

// At one end of the value. Sorted texts, each with the longest other one that begins it: the
// greatest text not above the value, or one that begins that text, is the longest that begins the
// value; all the others then hang on it. Texts for the back are kept, and values read, from the
// last byte to the first.
class AffixIndex {
 public:
  AffixIndex(End end, Case letter_case) : end_(end), case_(letter_case) {}
  // `least` more bytes than the text must be in the value (1: a proper prefix or suffix only).
  void Add(std::string_view text, std::uint32_t test, std::uint32_t least = 0);
  void Build();
  bool empty() const { return texts_.empty(); }

  template <class OnHit>
  void Find(std::string_view value, OnHit&& hit) const {
    if (!MayFit(value)) return;
    for (std::uint32_t i = Below(value); i != kNone; i = texts_[i].parent) {
      if (!Affixes(texts_[i].text, value)) continue;
      for (const Use& use : texts_[i].uses) {
        if (value.size() >= texts_[i].text.size() + use.least) hit(use.test);
      }
    }
  }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  struct Use {
    std::uint32_t test;
    std::uint32_t least;
  };
  struct Text {
    std::string text;
    std::vector<Use> uses;
    std::uint32_t parent = kNone;
  };
  char At(std::string_view value, std::size_t i) const {
    const char c = end_ == End::kFront ? value[i] : value[value.size() - 1 - i];
    return case_ == Case::kFold ? LowerAscii(c) : c;
  }
  bool Affixes(std::string_view text, std::string_view value) const;
  bool Above(std::string_view text, std::string_view value) const;  // text > value
  std::uint32_t Below(std::string_view value) const;                // the greatest text <= value
  // False for most values that no text fits, by their second byte.
  bool MayFit(std::string_view value) const {
    return any_second_ || (value.size() > 1 && (seconds_ >> SecondBit(value) & 1) != 0);
  }
  std::size_t SecondBit(std::string_view value) const {
    return static_cast<unsigned char>(At(value, 1)) & 63;
  }

  End end_;
  Case case_;
  std::vector<Text> texts_;
  std::uint64_t seconds_ = 0;  // bit: some text has this second byte
  bool any_second_ = false;    // some text has none
};

}  // namespace spillway
