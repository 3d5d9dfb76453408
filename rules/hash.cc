// SPDX-License-Identifier: MIT
#include "spillway/hash.h"

#define XXH_INLINE_ALL  // the short inputs that we have are hashed faster than a call takes
#include <xxhash.h>

namespace spillway {

std::uint64_t HashBytes(std::string_view bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace spillway
