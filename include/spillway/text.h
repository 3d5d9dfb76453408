// SPDX-License-Identifier: MIT
// Small questions about text that more than one room asks: hexadecimal digits, white space, tokens,
// UTF-8. Pure functions over borrowed views; nothing allocates. Thread rule: any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace spillway {

// 0..15, or -1 when it is none.
constexpr int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Without the spaces and tabs at both ends.
constexpr std::string_view TrimSpace(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

inline constexpr std::array<bool, 256> kTokenChars = [] {
  std::array<bool, 256> table{};
  for (unsigned c = '0'; c <= '9'; ++c) table[c] = true;
  for (unsigned c = 'A'; c <= 'Z'; ++c) table[c] = table[c + 32] = true;
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

constexpr bool IsTokenChar(char c) {
  return kTokenChars[static_cast<unsigned char>(c)];
}

// An RFC 9110 token: the name of a header field or cookie, or a method. One character at least.
constexpr bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}

// Letters A to Z of eight bytes made small, all at once: the high bit of each byte says whether it
// is one, and moves to where it makes the difference.
constexpr std::uint64_t LowerAll(std::uint64_t bytes) {
  constexpr std::uint64_t kEach = 0x0101010101010101;
  const std::uint64_t seven = bytes & (0x7f * kEach);
  const std::uint64_t from_a = seven + (0x80 - 'A') * kEach;
  const std::uint64_t above_z = seven + (0x7f - 'Z') * kEach;
  const std::uint64_t capital = (from_a ^ above_z) & ~bytes & (0x80 * kEach);
  return bytes | (capital >> 2);
}

// Bytes [at, at + size) of a text, size at most 8, the rest zero.
template <std::size_t size>
inline std::uint64_t LoadBytes(const char* at) {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, at, size);
  return bytes;
}

// ASCII letters are the same whatever their case; all other bytes only as they are. For every field
// of every message: eight bytes at a time, of which the last ones overlap.
inline bool EqualsIgnoreCase(std::string_view left, std::string_view right) {
  if (left.size() != right.size()) return false;
  const std::size_t size = left.size();
  const char *a = left.data(), *b = right.data();
  if (size > 0 && ((a[0] ^ b[0]) & ~0x20) != 0) return false;  // as most end here
  if (size >= 8) {
    for (std::size_t i = 0; i + 8 < size; i += 8) {
      if (LowerAll(LoadBytes<8>(a + i)) != LowerAll(LoadBytes<8>(b + i))) return false;
    }
    return LowerAll(LoadBytes<8>(a + size - 8)) == LowerAll(LoadBytes<8>(b + size - 8));
  }
  if (size >= 4) {
    const std::uint64_t x = LoadBytes<4>(a) | LoadBytes<4>(a + size - 4) << 32;
    const std::uint64_t y = LoadBytes<4>(b) | LoadBytes<4>(b + size - 4) << 32;
    return LowerAll(x) == LowerAll(y);
  }
  std::uint64_t x = 0, y = 0;
  for (std::size_t i = 0; i < size; ++i) {
    x = x << 8 | static_cast<unsigned char>(a[i]);
    y = y << 8 | static_cast<unsigned char>(b[i]);
  }
  return LowerAll(x) == LowerAll(y);
}

// How many bytes the well-formed UTF-8 character at the start of `text` has (RFC 3629: no overlong
// forms, no surrogates, nothing above U+10FFFF); 0 when there is none.
constexpr std::size_t Utf8Size(std::string_view text) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return text.empty() ? 0 : 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool overlong = first == 0xe0 && second < 0xa0;
    const bool surrogate = first == 0xed && second > 0x9f;
    return overlong || surrogate || !tail(1) || !tail(2) ? 0 : 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool overlong = first == 0xf0 && second < 0x90;
    const bool too_high = first == 0xf4 && second > 0x8f;
    return overlong || too_high || !tail(1) || !tail(2) || !tail(3) ? 0 : 4;
  }
  return 0;
}

}  // namespace spillway
