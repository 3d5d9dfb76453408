// SPDX-License-Identifier: MIT
// Text cut to a length that a message can bear.
#pragma once

#include <string_view>

namespace spillway {

// The first `size` bytes, not ending inside a UTF-8 character.
inline std::string_view Clip(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace spillway
