// SPDX-License-Identifier: MIT
// Writes at the end of a string what every request needs anew: short texts, many of them literals,
// and numbers. std::string's own append is a call and a copy of unknown size for each of them; a Pen
// gathers them in a place of its own, where most are a few stores, and appends them together.
//
// The string has it all when the Pen is gone. So a Pen lives in a function that does not return the
// string that it writes into.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "proxy/copy_short.h"
#include "proxy/mould.h"

namespace spillway {

// The eight digits of 32 bits, the first one in the highest byte. Each four bits move into a byte of
// their own, and all become characters at once.
constexpr std::uint64_t HexDigits(std::uint64_t value) {
  constexpr std::uint64_t kEach = 0x0101010101010101;
  value = (value << 16 | value) & 0x0000ffff0000ffff;
  value = (value << 8 | value) & 0x00ff00ff00ff00ff;
  value = (value << 4 | value) & 0x0f * kEach;
  const std::uint64_t letters = (value + 6 * kEach) >> 4 & kEach;
  return value + '0' * kEach + letters * ('a' - '0' - 10);
}
static_assert(HexDigits(0x09afb03e) == 0x3039616662303365);

// All sixteen digits, in lower case.
inline void WriteHex(std::uint64_t value, char* to) {
  for (const std::uint64_t half : {value >> 32, value & 0xffffffff}) {
    std::uint64_t digits = HexDigits(half);
    if constexpr (std::endian::native == std::endian::little) digits = __builtin_bswap64(digits);
    std::memcpy(to, &digits, sizeof digits);
    to += sizeof digits;
  }
}

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
      CopyShort(Take(text.size()), text.data(), text.size());
    }
    return *this;
  }
  // A line of a head.
  Pen& Line(std::string_view name, std::string_view value) {
    const std::size_t size = name.size() + value.size() + 4;
    if (size > kRoom) [[unlikely]]
      return Put(name).Put(": ").Put(value).Put("\r\n");
    char* to = Take(size);
    CopyShort(to, name.data(), name.size());
    to += name.size();
    to[0] = ':', to[1] = ' ';
    CopyShort(to + 2, value.data(), value.size());
    to[2 + value.size()] = '\r', to[3 + value.size()] = '\n';
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
  Pen& Hex(std::uint64_t value) {
    WriteHex(value, Take(16));
    return *this;
  }

 private:
  static constexpr std::size_t kRoom = 512;

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
