// SPDX-License-Identifier: MIT
// Any bytes as a ClientHello: there is a fingerprint of the right shape, or none.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proxy/ja4.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = spillway::Ja4({data, size});
  if (!text) return 0;
  const std::string_view shape = "t..d....h2_............_............";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const char c = (*text)[i];
    const bool fixed = shape[i] == 't' || shape[i] == '_';
    const bool good = fixed ? c == shape[i]
                            : (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                                  (c >= 'A' && c <= 'Z' && (i == 8 || i == 9));
    if (!good) std::abort();
  }
  return 0;
}
