// SPDX-License-Identifier: MIT
#include "proxy/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <cstring>
#include <new>
#include <stdexcept>

namespace spillway {
namespace {

const unsigned char* Raw(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

OpenSslMac::~OpenSslMac() {
  OPENSSL_cleanse(key_.data(), key_.size());
}

Digest OpenSslMac::HmacSha256(std::string_view message) const {
  Digest digest;
  unsigned int size = 0;
  // Fails only without memory; a digest that nobody computed must never be compared with.
  if (HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), Raw(message), message.size(),
           digest.data(), &size) == nullptr ||
      size != digest.size()) {
    throw std::bad_alloc();
  }
  return digest;
}

Digest OpenSslMac::Sha256(std::string_view message) const {
  Digest digest;
  if (SHA256(Raw(message), message.size(), digest.data()) == nullptr) throw std::bad_alloc();
  return digest;
}

std::string RandomBytes(std::size_t size) {
  std::string bytes(size, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(size)) != 1) {
    throw std::runtime_error("the system gives no random bytes");
  }
  return bytes;
}

Result<std::string> LoadKey(const FileSource& files, const std::string& path) {
  auto key = files.Read(path);
  if (!key) return Fail("cannot read challenge key '" + path + "': " + key.error().message);
  if (key->size() < kLeastKey || key->size() > kMostKey) {
    return Fail("the challenge key in '" + path + "' has " + std::to_string(key->size()) +
                " bytes; expected " + std::to_string(kLeastKey) + " to " +
                std::to_string(kMostKey));
  }
  return key;
}

std::uint64_t SeedFor(std::uint64_t seed, std::string_view use) {
  const OpenSslMac mac(std::string(reinterpret_cast<const char*>(&seed), sizeof seed));
  const Digest digest = mac.HmacSha256(use);
  std::uint64_t derived = 0;
  std::memcpy(&derived, digest.data(), sizeof derived);
  return derived;
}

}  // namespace spillway
