// SPDX-License-Identifier: MIT
// Writes at the end of a string what every request needs anew: short texts, many of them literals,
// and numbers. std::string's own append is a call and a copy of unknown size for each of them; a Pen
// gathers them in a place of its own, where most are a few stores, and appends them together.
//
// The string has it all when the Pen is gone. So a Pen lives in a function that does not return the
// string that it writes into.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "proxy/mould.h"

namespace spillway {

// "00" .. "ff", one behind the other.
inline constexpr auto kHexPairs = [] {
  constexpr char kDigits[] = "0123456789abcdef";
  std::array<char, 512> pairs{};
  for (std::size_t i = 0; i < 256; ++i) {
    pairs[2 * i] = kDigits[i / 16];
    pairs[2 * i + 1] = kDigits[i % 16];
  }
  return pairs;
}();

class Pen {
 public:
  // With a mould, which is for a text that is *out from its first byte, what is written by Value is
  // left out, and its place noted.
  explicit Pen(std::string* out, Mould* mould = nullptr) : out_(out), mould_(mould) {}
  ~Pen() { Flush(); }
  Pen(const Pen&) = delete;
  Pen& operator=(const Pen&) = delete;

  template <std::size_t kSize>
  Pen& Put(const char (&literal)[kSize]) {
    static_assert(kSize <= kRoom);
    std::memcpy(Take(kSize - 1), literal, kSize - 1);
    return *this;
  }
  Pen& Put(std::string_view text) {
    if (text.size() > kRoom) {
      Flush();
      out_->append(text);
    } else {
      Copy(text.data(), text.size(), Take(text.size()));
    }
    return *this;
  }
  Pen& Put(char c) {
    *Take(1) = c;
    return *this;
  }
  Pen& Decimal(std::uint64_t value) {
    char digits[20];
    char* first = digits + sizeof digits;
    do {
      *--first = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    return Put(std::string_view(first, static_cast<std::size_t>(digits + sizeof digits - first)));
  }
  Pen& Value(Blank blank, std::string_view text) {
    if (mould_ == nullptr) [[likely]]
      return Put(text);
    Note(blank);
    return *this;
  }
  Pen& Value(Blank blank, std::uint64_t number) {
    if (mould_ == nullptr) [[likely]]
      return Decimal(number);
    Note(blank);
    return *this;
  }
  // A mould's text, whose blanks become blanks of this one's. REQUIRES: there is one.
  Pen& Put(const Mould& part) {
    const std::size_t here = out_->size() + static_cast<std::size_t>(at_ - room_);
    part.EachBlank([&](std::size_t at, Blank blank) { mould_->Leave(here + at, blank); });
    return Put(std::string_view(part.text()));
  }
  // All sixteen digits, in lower case.
  Pen& Hex(std::uint64_t value) {
    char* to = Take(16);
    for (int shift = 56; shift >= 0; shift -= 8, to += 2) {
      std::memcpy(to, &kHexPairs[2 * (value >> shift & 0xff)], 2);
    }
    return *this;
  }

 private:
  static constexpr std::size_t kRoom = 512;

  // Most texts are names and short values: two moves, which may overlap, in the place of a call.
  static void Copy(const char* from, std::size_t size, char* to) {
    if (size > 16) {
      std::memcpy(to, from, size);
    } else if (size >= 8) {
      CopyEnds<8>(from, size, to);
    } else if (size >= 4) {
      CopyEnds<4>(from, size, to);
    } else {
      for (std::size_t i = 0; i < size; ++i) to[i] = from[i];
    }
  }
  template <std::size_t kBytes>
  static void CopyEnds(const char* from, std::size_t size, char* to) {
    char first[kBytes], last[kBytes];
    std::memcpy(first, from, kBytes);
    std::memcpy(last, from + size - kBytes, kBytes);
    std::memcpy(to, first, kBytes);
    std::memcpy(to + size - kBytes, last, kBytes);
  }

  char* Take(std::size_t size) {
    if (static_cast<std::size_t>(room_ + kRoom - at_) < size) [[unlikely]]
      Flush();
    char* at = at_;
    at_ += size;
    return at;
  }
  void Note(Blank blank) {
    mould_->Leave(out_->size() + static_cast<std::size_t>(at_ - room_), blank);
  }
  void Flush() {
    out_->append(room_, static_cast<std::size_t>(at_ - room_));
    at_ = room_;
  }

  std::string* out_;
  Mould* mould_;
  char* at_ = room_;
  char room_[kRoom];
};

}  // namespace spillway
