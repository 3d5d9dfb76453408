// SPDX-License-Identifier: MIT
// A fast keyed hash of bytes, for tables and shares (XXH3; rules/hash.cc is the door of xxHash).
// Who does not know the seed cannot aim collisions; who sees hashes and chooses input may learn it,
// so values never leave the process where the seed is secret. Not a MAC: see spillway/mac.h.
// Seeds that differ by little give hashes that do, for texts of a few bytes: one seed for one use.
// Stable: the same bytes and seed give the same value in every build and on every machine.
#pragma once

#include <cstdint>
#include <string_view>

namespace spillway {

std::uint64_t HashBytes(std::string_view bytes, std::uint64_t seed);

// Wide enough to stand for the bytes themselves.
struct WideHash {
  std::uint64_t low = 0, high = 0;
};
WideHash HashBytesWide(std::string_view bytes, std::uint64_t seed);

}  // namespace spillway
