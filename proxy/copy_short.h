// SPDX-License-Identifier: MIT
// memcpy for texts whose size only the run knows, most of which are short. The call of memcpy costs more
// than what it does for them.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

namespace spillway {

template <std::size_t kBytes>
inline void CopyEnds(std::string_view text, char* to) {
  char first[kBytes], last[kBytes];
  std::memcpy(first, text.data(), kBytes);
  std::memcpy(last, text.data() + text.size() - kBytes, kBytes);
  std::memcpy(to, first, kBytes);
  std::memcpy(to + text.size() - kBytes, last, kBytes);
}

// Names and short values are two moves, which may overlap.
inline void CopyShort(std::string_view text, char* to) {
  const std::size_t size = text.size();
  if (size > 32) {
    std::memcpy(to, text.data(), size);
  } else if (size >= 16) {
    CopyEnds<16>(text, to);
  } else if (size >= 8) {
    CopyEnds<8>(text, to);
  } else if (size >= 4) {
    CopyEnds<4>(text, to);
  } else {
    for (std::size_t i = 0; i < size; ++i) to[i] = text[i];
  }
}

}  // namespace spillway
