// SPDX-License-Identifier: MIT
// Keyed hashes, random bytes and key files: the door of OpenSSL's cryptography (TLS has its own).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "spillway/files.h"
#include "spillway/mac.h"

namespace spillway {

// HMAC-SHA-256 under one key. Any thread. Runs out of memory by std::bad_alloc, never by a wrong
// digest.
class OpenSslMac final : public Mac {
 public:
  explicit OpenSslMac(std::string key) : key_(std::move(key)) {}
  ~OpenSslMac() override;  // leaves no key behind in memory
  OpenSslMac(const OpenSslMac&) = delete;
  OpenSslMac& operator=(const OpenSslMac&) = delete;
  Digest HmacSha256(std::string_view message) const override;
  Digest Sha256(std::string_view message) const override;

 private:
  std::string key_;
};

// From the system's generator, fit for keys. Throws std::runtime_error when there are none to be
// had.
std::string RandomBytes(std::size_t size);

inline constexpr std::size_t kLeastKey = 32;
inline constexpr std::size_t kMostKey = 4096;

// A key as it stands in its file, every byte of it; too short or too long is refused.
Result<std::string> LoadKey(const FileSource& files, const std::string& path);

// A seed that tells nothing of those for other uses: request ids show strangers what theirs yields.
std::uint64_t SeedFor(std::uint64_t seed, std::string_view use);

}  // namespace spillway
