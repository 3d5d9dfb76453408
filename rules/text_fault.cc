// SPDX-License-Identifier: MIT
// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#include "rules/text_fault.h"

#include <cstddef>

namespace spillway {
namespace {

// How many bytes the well-formed UTF-8 character at the start of `text` has; 0: it is none.
std::size_t CharacterSize(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  auto tail = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
  if (byte(0) < 0x80) return 1;
  if (byte(0) >= 0xc2 && byte(0) <= 0xdf) return tail(1) ? 2 : 0;
  if (byte(0) >= 0xe0 && byte(0) <= 0xef) {
    if (!tail(1) || !tail(2)) return 0;
    bool overlong = byte(0) == 0xe0 && byte(1) < 0xa0;
    bool surrogate = byte(0) == 0xed && byte(1) > 0x9f;
    return overlong || surrogate ? 0 : 3;
  }
  if (byte(0) >= 0xf0 && byte(0) <= 0xf4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    bool overlong = byte(0) == 0xf0 && byte(1) < 0x90;
    bool too_high = byte(0) == 0xf4 && byte(1) > 0x8f;
    return overlong || too_high ? 0 : 4;
  }
  return 0;
}

}  // namespace

std::optional<TextFault> FindTextFault(std::string_view text) {
  int line = 1;
  std::size_t line_start = 0;
  for (std::size_t i = 0; i < text.size();) {
    auto byte = static_cast<unsigned char>(text[i]);
    int column = static_cast<int>(i - line_start) + 1;
    bool control = (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7f;
    if (control) {
      return TextFault{
          line, column,
          "a control character; write it as an escape in double quotes, such as \"\\x07\""};
    }
    std::size_t size = CharacterSize(text.substr(i));
    if (size == 0) return TextFault{line, column, "not UTF-8; save the file in this encoding"};
    i += size;
    if (byte == '\n') {
      ++line;
      line_start = i;
    }
  }
  return std::nullopt;
}

}  // namespace spillway
