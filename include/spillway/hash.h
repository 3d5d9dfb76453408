// SPDX-License-Identifier: MIT
// A fast keyed hash of bytes, for tables and shares (XXH3; rules/hash.cc is the door of xxHash).
// Whose hash falls where nobody can aim who does not know the seed; but who writes long texts finds
// pairs of them with the same hash under many seeds. So nothing may hang on a text of a client being
// told apart from another one of the same client: see spillway/keyed_hash.h. Who sees hashes and
// chooses input may learn the seed, so values never leave the process where it is secret.
// Seeds that differ by little give hashes that do, for texts of a few bytes: one seed for one use.
// Stable: the same bytes and seed give the same value in every build and on every machine.
#pragma once

#include <cstdint>
#include <string_view>

namespace spillway {

std::uint64_t HashBytes(std::string_view bytes, std::uint64_t seed);

}  // namespace spillway
