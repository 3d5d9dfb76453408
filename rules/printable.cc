// SPDX-License-Identifier: MIT
#include "spillway/printable.h"

namespace spillway {

std::string Printable(std::string_view text, std::string_view kept) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = [&](std::size_t at) {
      return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
    };
    const unsigned first = byte(i), second = byte(i + 1), third = byte(i + 2);
    if ((first < 0x20 && kept.find(text[i]) == std::string_view::npos) || first == 0x7f) {
      out += '?';
    } else if (first == 0xc2 && second >= 0x80 && second < 0xa0) {
      out += '?';
      i += 1;
    } else if (first == 0xe2 && ((second == 0x80 && third >= 0xaa && third <= 0xae) ||
                                 (second == 0x81 && third >= 0xa6 && third <= 0xa9))) {
      out += '?';
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string PrintableStart(std::string_view text, std::size_t most) {
  std::string out(text.substr(0, most));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
  }
  if (text.size() > most) out += "...";
  return out;
}

}  // namespace spillway
