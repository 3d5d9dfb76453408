// SPDX-License-Identifier: MIT
// The finaliser of splitmix64 (Steele, Lea, Flood 2014): every bit of the input moves every bit of
// the output, and no two inputs give the same one. Not for secrets.
#pragma once

#include <cstdint>

namespace spillway {

constexpr std::uint64_t Mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

}  // namespace spillway
