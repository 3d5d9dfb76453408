// SPDX-License-Identifier: MIT
// Texts that a client keeps for us and cannot change:
//
//   base64url(payload) "." base64url(HMAC-SHA-256(key, label + base64url(payload)))
//
// Each use has a label of its own, so that one can never be used as another.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "spillway/mac.h"
#include "spillway/units.h"

namespace spillway {

inline constexpr std::size_t kLongestSealed = 3072;

std::string MacText(const Mac& mac, std::string_view label, std::string_view payload);
std::string Seal(const Mac& mac, std::string_view label, std::string_view payload);
// The payload, when the MAC is right.
std::optional<std::string> Unseal(const Mac& mac, std::string_view label, std::string_view sealed);

// Big endian. TakeBytes takes them off the front; REQUIRES: there are so many.
void PutBytes(std::uint64_t value, std::size_t bytes, std::string* out);
std::uint64_t TakeBytes(std::size_t bytes, std::string_view* from);
// Whole ones, of a span that is not negative; else 0.
std::uint64_t WholeSeconds(Duration span);

}  // namespace spillway
