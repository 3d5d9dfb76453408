// SPDX-License-Identifier: MIT
#include "spillway/keyed_hash.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway {
namespace {

// As `openssl mac -macopt hexkey:0001..0f -macopt size:16 -macopt c-rounds:1 -macopt d-rounds:3
// SIPHASH` has it, of the bytes 0, 1, 2, ...; machines of this byte order only.
TEST(KeyedHash, IsSipHash13) {
  struct {
    std::size_t size;
    std::uint64_t low, high;
  } const kRows[] = {
      {0, 0xbea58827b2bc7ee7, 0x013030dd6adb62fd},
      {15, 0x6c52bdb205557ec1, 0x09017e1eeccd2129},
      {16, 0xeb8e511557d9a8d0, 0x93179e3df8b013b5},
      {63, 0x6f42fe4ee300584c, 0xad6052a70a6b9f07},
  };
  for (const auto& row : kRows) {
    std::string text;
    while (text.size() < row.size) text += static_cast<char>(text.size());
    const WideHash hash = KeyedHash(text, {0x0706050403020100, 0x0f0e0d0c0b0a0908});
    EXPECT_EQ(hash.low, row.low) << row.size;
    EXPECT_EQ(hash.high, row.high) << row.size;
  }
}

}  // namespace
}  // namespace spillway
