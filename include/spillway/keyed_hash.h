// SPDX-License-Identifier: MIT
// SipHash-1-3 with 128 bits (Aumasson, Bernstein 2012): for texts that clients write and that must
// not be taken for one another. Who does not know the key finds no two with the same hash, nor any
// relation between hashes; a fast hash (spillway/hash.h) promises neither to who chooses the texts.
// Stable for a process: machines of another byte order give other values.
#pragma once

#include <cstdint>
#include <string_view>

namespace spillway {

struct HashSecret {
  std::uint64_t first = 0, second = 0;  // random
};

// Wide enough to stand for the bytes themselves.
struct WideHash {
  std::uint64_t low = 0, high = 0;
};
WideHash KeyedHash(std::string_view bytes, const HashSecret& secret);

}  // namespace spillway
