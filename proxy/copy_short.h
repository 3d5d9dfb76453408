// SPDX-License-Identifier: MIT
// memcpy for texts whose size only the run knows, most of which are short. Calling it costs more than
// what it does for them: names and short values are two moves, which may overlap.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace spillway {

// Two pieces of `Piece`'s size that may overlap. REQUIRES: size is one to two times that.
template <class Piece>
inline void CopyTwo(char* to, const char* from, std::size_t size) {
  Piece first, last;
  std::memcpy(&first, from, sizeof(Piece));
  std::memcpy(&last, from + size - sizeof(Piece), sizeof(Piece));
  std::memcpy(to, &first, sizeof(Piece));
  std::memcpy(to + size - sizeof(Piece), &last, sizeof(Piece));
}

inline void CopyShort(char* to, const char* from, std::size_t size) {
  using Two = std::array<std::uint64_t, 2>;
  if (size > 32) {
    std::memcpy(to, from, size);
  } else if (size >= 16) {
    CopyTwo<Two>(to, from, size);
  } else if (size >= 8) {
    CopyTwo<std::uint64_t>(to, from, size);
  } else if (size >= 4) {
    CopyTwo<std::uint32_t>(to, from, size);
  } else if (size >= 2) {
    CopyTwo<std::uint16_t>(to, from, size);
  } else if (size == 1) {
    *to = *from;
  }
}

}  // namespace spillway
