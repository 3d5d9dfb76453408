// SPDX-License-Identifier: MIT
// A keyed message authentication code and a hash, lent to rules/ by the proxy (which has OpenSSL).
// Thread rule: a Mac may be used from any thread at once.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace spillway {

using Digest = std::array<std::uint8_t, 32>;

class Mac {
 public:
  virtual ~Mac() = default;
  virtual Digest HmacSha256(std::string_view message) const = 0;  // with the key it holds
  virtual Digest Sha256(std::string_view message) const = 0;      // without a key
};

// In time that does not depend on the contents.
bool EqualInConstantTime(std::string_view a, std::string_view b);

}  // namespace spillway
