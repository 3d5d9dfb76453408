// SPDX-License-Identifier: MIT
// A set of small numbers as words of 64 bits. REQUIRES: the vector has a word for the number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace spillway {

using Bits = std::vector<std::uint64_t>;

inline bool Bit(const Bits& bits, std::size_t i) {
  return (bits[i / 64] >> (i % 64) & 1) != 0;
}
inline void SetBit(Bits* bits, std::size_t i) {
  (*bits)[i / 64] |= std::uint64_t{1} << (i % 64);
}

}  // namespace spillway
