// SPDX-License-Identifier: MIT
#include "spillway/mac.h"

namespace spillway {

bool EqualInConstantTime(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;  // lengths are no secret
  unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    // Volatile, so that no compiler leaves the loop at the first difference.
    volatile unsigned char seen = difference;
    difference = static_cast<unsigned char>(seen | static_cast<unsigned char>(a[i] ^ b[i]));
  }
  return difference == 0;
}

}  // namespace spillway
