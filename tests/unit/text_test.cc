// SPDX-License-Identifier: MIT
#include "spillway/text.h"

#include <gtest/gtest.h>

#include <cctype>
#include <string>

namespace spillway {
namespace {

TEST(HexDigit, IsTheDigitOfEitherCaseAndNothingElse) {
  for (int c = 0; c < 256; ++c) {
    const int expected =
        std::isxdigit(c) == 0 ? -1 : std::stoi(std::string(1, static_cast<char>(c)), nullptr, 16);
    EXPECT_EQ(HexDigit(static_cast<char>(c)), expected) << c;
  }
}

TEST(TrimSpace, TakesSpacesAndTabsOffBothEndsOnly) {
  EXPECT_EQ(TrimSpace(" \t a\t b \t"), "a\t b");
  EXPECT_EQ(TrimSpace(" \t "), "");
  EXPECT_EQ(TrimSpace(""), "");
  EXPECT_EQ(TrimSpace("\ra\n"), "\ra\n");
}

TEST(IsToken, AsksForOneTokenCharacterAtLeast) {
  for (int c = 0; c < 256; ++c) {
    const bool expected =
        c < 0x80 && (std::isalnum(c) != 0 ||
                     (c != 0 && std::string("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) !=
                                    std::string::npos));
    EXPECT_EQ(IsTokenChar(static_cast<char>(c)), expected) << c;
  }
  EXPECT_TRUE(IsToken("x-a"));
  EXPECT_FALSE(IsToken(""));
  EXPECT_FALSE(IsToken("x a"));
}

// Against the definition, for every byte in every place of texts of every small length.
TEST(EqualsIgnoreCase, HoldsForLettersOfEitherCaseAndNothingElse) {
  const auto small = [](int c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; };
  for (std::size_t size = 1; size <= 20; ++size) {
    const std::string one(size, 'q');
    EXPECT_TRUE(EqualsIgnoreCase(one, std::string(size, 'Q')));
    EXPECT_FALSE(EqualsIgnoreCase(one, std::string(size + 1, 'q')));
    for (std::size_t place = 0; place < size; ++place) {
      for (int a = 0; a < 256; ++a) {
        std::string left = one, right = one;
        left[place] = static_cast<char>(a);
        for (const int b : {a, a ^ 0x20, a ^ 0x80, a ^ 1}) {
          right[place] = static_cast<char>(b);
          ASSERT_EQ(EqualsIgnoreCase(left, right), small(a) == small(b))
              << size << " " << a << " " << b;
        }
      }
    }
  }
  EXPECT_TRUE(EqualsIgnoreCase({}, {}));
}

std::string Encode(unsigned point) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (point >> shift & 0x3f)); };
  if (point < 0x80) return {static_cast<char>(point)};
  if (point < 0x800) return {static_cast<char>(0xc0 | point >> 6), tail(0)};
  if (point < 0x10000) return {static_cast<char>(0xe0 | point >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xf0 | point >> 18), tail(12), tail(6), tail(0)};
}

TEST(Utf8Size, KnowsEveryCharacterAndNoSurrogate) {
  for (unsigned point = 0; point < 0x200000; ++point) {
    const std::string text = Encode(point);
    const bool good = point < 0x110000 && (point < 0xd800 || point > 0xdfff);
    ASSERT_EQ(Utf8Size(text + "x"), good ? text.size() : 0) << std::hex << point;
    if (text.size() > 1) {
      ASSERT_EQ(Utf8Size(std::string_view(text).substr(0, text.size() - 1)), 0u) << point;
      ASSERT_EQ(Utf8Size(text.substr(0, text.size() - 1) + "x"), 0u) << point;
    }
  }
}

TEST(Utf8Size, RefusesOverlongForms) {
  for (const char* text :
       {"\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\x80", "\xff"}) {
    EXPECT_EQ(Utf8Size(text), 0u);
  }
  EXPECT_EQ(Utf8Size(""), 0u);
}

}  // namespace
}  // namespace spillway
