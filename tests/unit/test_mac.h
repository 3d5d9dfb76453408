// SPDX-License-Identifier: MIT
// A stand-in for the keyed hash that the proxy lends to the rules: quick, deterministic, and good
// enough that any changed bit changes it. Not secure.
#pragma once

#include <cstring>

#include "spillway/hash.h"
#include "spillway/mac.h"

namespace spillway {

class TestMac : public Mac {
 public:
  explicit TestMac(std::uint64_t key) : key_(key) {}
  Digest HmacSha256(std::string_view message) const override { return Of(message, key_); }
  Digest Sha256(std::string_view message) const override { return Of(message, 0); }

 private:
  static Digest Of(std::string_view message, std::uint64_t key) {
    Digest digest;
    for (std::uint64_t i = 0; i < 4; ++i) {
      const std::uint64_t word = HashBytes(message, key * 4 + i);
      std::memcpy(digest.data() + 8 * i, &word, 8);
    }
    return digest;
  }
  std::uint64_t key_;
};

}  // namespace spillway
