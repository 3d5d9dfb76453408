// SPDX-License-Identifier: MIT
#include "rules/text_fault.h"

#include <cstddef>

#include "spillway/text.h"

namespace spillway {

std::optional<TextFault> FindTextFault(std::string_view text) {
  int line = 1;
  std::size_t line_start = 0;
  for (std::size_t i = 0; i < text.size();) {
    auto byte = static_cast<unsigned char>(text[i]);
    int column = static_cast<int>(i - line_start) + 1;
    bool control = (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7f;
    if (control) {
      constexpr std::string_view kDigits = "0123456789ABCDEF";
      const std::string code = {kDigits[byte >> 4], kDigits[byte & 15]};
      return TextFault{line, column,
                       "the control character U+00" + code +
                           "; take it out, or write it as an escape in double quotes: \"\\x" +
                           code + "\""};
    }
    std::size_t size = Utf8Size(text.substr(i));
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
