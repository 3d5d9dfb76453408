// SPDX-License-Identifier: MIT
// A text of which little changes from one time to the next: what stays is copied in large pieces,
// and what changes stands in blanks. A Pen that is given a Mould leaves the blanks open and notes where
// they are, so that the same function writes a text and makes its mould.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/copy_short.h"

namespace spillway {

enum class Blank : std::uint8_t { kRequestId, kRetry, kWait, kDate, kLength, kConnection };
inline constexpr std::size_t kBlanks = 6;
using BlankValues = std::array<std::string_view, kBlanks>;

// A number in digits, which are written only where it is not the last one again.
class LastNumber {
 public:
  std::string_view Set(std::uint64_t value) {
    if (value != value_) {
      const char* end = std::to_chars(digits_.data(), digits_.data() + digits_.size(), value).ptr;
      size_ = static_cast<std::size_t>(end - digits_.data());
      value_ = value;
    }
    return {digits_.data(), size_};
  }

 private:
  std::uint64_t value_ = 0;
  std::size_t size_ = 1;
  std::array<char, 20> digits_{'0'};
};

class Mould {
 public:
  // In the order of the text.
  void Leave(std::size_t at, Blank blank) { places_.push_back({at, blank}); }
  void SetText(std::string text) { text_ = std::move(text); }

  const std::string& text() const { return text_; }
  template <class Visit>
  void EachBlank(Visit&& visit) const {
    for (const Place& place : places_) visit(place.at, place.blank);
  }

  std::size_t Size(const BlankValues& values) const {
    std::size_t size = text_.size();
    for (const Place& place : places_) size += values[static_cast<std::size_t>(place.blank)].size();
    return size;
  }
  // What Cast writes, in a text of the mould's own, which lasts until the next Fill. Where all values
  // are as long as the last time, nothing but the values is written.
  std::string_view Fill(const BlankValues& values) {
    bool same = !filled_.empty();
    for (std::size_t i = 0; i < kBlanks; ++i) {
      same = same && sizes_[i] == values[i].size();
      sizes_[i] = values[i].size();
    }
    if (!same) {
      filled_.clear();  // where there is no memory it was never made
      Cast(values, &filled_);
      return filled_;
    }
    std::size_t longer = 0;  // than the text, up to here
    for (const Place& place : places_) {
      const std::string_view value = values[static_cast<std::size_t>(place.blank)];
      CopyShort(filled_.data() + place.at + longer, value.data(), value.size());
      longer += value.size();
    }
    return filled_;
  }
  // Replaces *out.
  void Cast(const BlankValues& values, std::string* out) const {
    out->resize(Size(values));
    char* to = out->data();
    const auto copy = [&to](std::string_view piece) {
      CopyShort(to, piece.data(), piece.size());
      to += piece.size();
    };
    std::size_t from = 0;
    for (const Place& place : places_) {
      copy(std::string_view(text_).substr(from, place.at - from));
      copy(values[static_cast<std::size_t>(place.blank)]);
      from = place.at;
    }
    copy(std::string_view(text_).substr(from));
  }

 private:
  struct Place {
    std::size_t at;
    Blank blank;
  };

  std::string text_;
  std::vector<Place> places_;
  std::string filled_;                        // by the last Fill,
  std::array<std::size_t, kBlanks> sizes_{};  // with values so long
};

}  // namespace spillway
