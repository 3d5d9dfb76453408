// SPDX-License-Identifier: MIT
// Text as a message can bear it: cut to a length, and in one line.
#pragma once

#include <string>
#include <string_view>

namespace spillway {

// The first `size` bytes, not ending inside a UTF-8 character.
inline std::string_view Clip(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

// With control characters as they are written in double quotes: \n, \t, \x07. What was quoted in a
// file can hold a line end, and a message has its own lines.
inline std::string OneLine(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out.append(1, '\\').append(1, c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    } else {
      out.append("\\x").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
    }
  }
  return out;
}

}  // namespace spillway
