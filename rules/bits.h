// SPDX-License-Identifier: MIT
// A set of small numbers as words of 64 bits. REQUIRES: there is a word for the number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace spillway {

using Bits = std::vector<std::uint64_t>;

inline std::size_t WordsFor(std::size_t bits) {
  return (bits + 63) / 64;
}
inline bool Bit(const std::uint64_t* words, std::size_t i) {
  return (words[i / 64] >> (i % 64) & 1) != 0;
}
inline void SetBit(std::uint64_t* words, std::size_t i) {
  words[i / 64] |= std::uint64_t{1} << (i % 64);
}
inline bool Bit(const Bits& bits, std::size_t i) {
  return Bit(bits.data(), i);
}
inline void SetBit(Bits* bits, std::size_t i) {
  SetBit(bits->data(), i);
}

}  // namespace spillway
