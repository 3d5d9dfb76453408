// SPDX-License-Identifier: MIT
// A text of which little changes from one time to the next: what stays is copied in large pieces,
// and what changes stands in blanks. A Pen that is given a Mould leaves the blanks open and notes where
// they are, so that the same function writes a text and makes its mould.
#pragma once

#include <array>
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
  // Replaces *out.
  void Cast(const BlankValues& values, std::string* out) const {
    out->resize(Size(values));
    char* to = out->data();
    const auto copy = [&to](std::string_view piece) {
      CopyShort(piece, to);
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
};

}  // namespace spillway
