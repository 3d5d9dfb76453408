// SPDX-License-Identifier: MIT
#include "spillway/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "spillway/hash.h"

namespace spillway {
namespace {

std::string RoundTrip(std::string_view text) {
  const auto address = IpAddress::Parse(text);
  return address ? address->ToString() : "refused";
}

// The second engine.
std::string BySystem(const std::string& text) {
  in6_addr six;
  in_addr four;
  char out[INET6_ADDRSTRLEN];
  if (inet_pton(AF_INET, text.c_str(), &four) == 1) {
    return inet_ntop(AF_INET, &four, out, sizeof out);
  }
  if (inet_pton(AF_INET6, text.c_str(), &six) != 1) return "refused";
  if (IN6_IS_ADDR_V4MAPPED(&six)) {
    return inet_ntop(AF_INET, &six.s6_addr[12], out, sizeof out);
  }
  return inet_ntop(AF_INET6, &six, out, sizeof out);
}

TEST(IpAddress, IsWrittenInTheShortestForm) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // the first of equal runs
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // a single zero group stays
      {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
      {"0:0:1:2:3:4:5:6", "::1:2:3:4:5:6"},
      {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
      {"::ffff:192.0.2.1", "192.0.2.1"},
      {"::ffff:c000:201", "192.0.2.1"},
      {"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
      {"0001:002:03:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
  };
  for (const auto& [text, expected] : table) EXPECT_EQ(RoundTrip(text), expected) << text;
}

TEST(IpAddress, RefusesWhatIsNearlyAnAddress) {
  for (const char* text : {"",
                           " ",
                           "1",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.",
                           ".1.2.3",
                           "1..2.3",
                           "01.2.3.4",
                           "1.2.3.04",
                           "256.1.1.1",
                           "1.2.3.4 ",
                           " 1.2.3.4",
                           "1.2.3.4/8",
                           "1.2.3.4:80",
                           "0x7f.0.0.1",
                           "1.2.3.-4",
                           "1.2.3.+4",
                           ":",
                           ":::",
                           "::1::",
                           "1::2::3",
                           ":1",
                           "1:",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1:2:3:4:5:6:7::8",
                           "::1:2:3:4:5:6:7:8",
                           "12345::",
                           "00001::",
                           "g::",
                           "::1%eth0",
                           "[::1]",
                           "::1.2.3",
                           "::1.2.3.4.5",
                           "::1.2.3.4:5",
                           "1.2.3.4::",
                           "::01.2.3.4",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "::-1",
                           "::+1",
                           "::0x1",
                           "2130706433"}) {
    EXPECT_FALSE(IpAddress::Parse(text)) << text;
    EXPECT_EQ(BySystem(text), "refused") << text;
  }
  EXPECT_FALSE(IpAddress::Parse(std::string_view("1.2.3.4\0", 8)));
}

TEST(IpAddress, ReadsAndWritesAsTheSystemDoes) {
  std::mt19937_64 chance(7);
  for (int i = 0; i < 200'000; ++i) {
    std::array<std::uint8_t, 16> bytes;
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(chance());
    const std::uint64_t zeros = chance();  // many zero groups, so that runs of all shapes occur
    for (std::size_t group = 0; group < 8; ++group) {
      if (zeros >> group & 1) bytes[2 * group] = bytes[2 * group + 1] = 0;
    }
    char text[INET6_ADDRSTRLEN];
    ASSERT_TRUE(inet_ntop(AF_INET6, bytes.data(), text, sizeof text));
    const auto address = IpAddress::Parse(text);
    ASSERT_TRUE(address) << text;
    ASSERT_EQ(address->bytes(), bytes) << text;
    // Only the system writes IPv4-compatible addresses (deprecated) with a quad.
    if (!std::strchr(text, '.')) {
      ASSERT_EQ(address->ToString(), text);
    }
  }
}

TEST(IpAddress, AgreesWithTheSystemOnMangledText) {
  const std::vector<std::string> seeds = {
      "1.2.3.4",         "255.0.10.9",     "::",           "::1",      "2001:db8::1",
      "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1::3:4:5:6:7", "fe80::1:2"};
  const std::string alphabet = ":.0123af";
  std::mt19937_64 chance(11);
  for (int i = 0; i < 300'000; ++i) {
    std::string text = seeds[chance() % seeds.size()];
    for (std::uint64_t edits = chance() % 4; edits > 0; --edits) {
      const std::size_t at = chance() % (text.size() + 1);
      const char c = alphabet[chance() % alphabet.size()];
      if (chance() % 2 && at < text.size()) {
        text[at] = c;
      } else {
        text.insert(at, 1, c);
      }
    }
    const std::string ours = RoundTrip(text), theirs = BySystem(text);
    if (theirs.find(':') != std::string::npos && theirs.find('.') != std::string::npos) {
      ASSERT_NE(ours, "refused") << text;
    } else {
      ASSERT_EQ(ours, theirs) << text;
    }
  }
}

TEST(IpAddress, IsMaskedByFamily) {
  EXPECT_EQ(IpAddress::Parse("192.0.2.77")->Masked(24, 48).ToString(), "192.0.2.0");
  EXPECT_EQ(IpAddress::Parse("192.0.2.77")->Masked(32, 0).ToString(), "192.0.2.77");
  EXPECT_EQ(IpAddress::Parse("192.0.2.77")->Masked(0, 48).ToString(), "0.0.0.0");
  EXPECT_EQ(IpAddress::Parse("192.0.2.77")->Masked(25, 48).ToString(), "192.0.2.0");
  EXPECT_EQ(IpAddress::Parse("2001:db8:1:2:3:4:5:6")->Masked(24, 64).ToString(), "2001:db8:1:2::");
  EXPECT_EQ(IpAddress::Parse("2001:db8:1:2:3:4:5:6")->Masked(24, 128).ToString(),
            "2001:db8:1:2:3:4:5:6");
  EXPECT_EQ(IpAddress::Parse("ffff::")->Masked(24, 3).ToString(), "e000::");
}

TEST(IpAddress, IsUnwrappedFromNat64And6to4) {
  EXPECT_EQ(IpAddress::Parse("64:ff9b::c000:201")->Unwrapped().ToString(), "192.0.2.1");
  EXPECT_EQ(IpAddress::Parse("2002:c000:201::5")->Unwrapped().ToString(), "192.0.2.1");
  EXPECT_EQ(IpAddress::Parse("64:ff9b:1::c000:201")->Unwrapped().ToString(), "64:ff9b:1::c000:201");
  EXPECT_EQ(IpAddress::Parse("2003:c000:201::5")->Unwrapped().ToString(), "2003:c000:201::5");
  EXPECT_EQ(IpAddress::Parse("192.0.2.1")->Unwrapped().ToString(), "192.0.2.1");
  EXPECT_EQ(IpAddress::Parse("64:ff9b::c000:201")->AsClient(64).ToString(), "192.0.2.1");
  EXPECT_EQ(IpAddress::Parse("2001:db8:1:2:3::4")->AsClient(56).ToString(), "2001:db8:1::");
}

TEST(IpAddress, KnowsItsFamilyAndLoopback) {
  EXPECT_TRUE(IpAddress::FromV4(0x7f000001).is_loopback());
  EXPECT_EQ(IpAddress::FromV4(0x7f000001).ToString(), "127.0.0.1");
  EXPECT_TRUE(IpAddress::Parse("127.255.0.9")->is_loopback());
  EXPECT_TRUE(IpAddress::Parse("::1")->is_loopback());
  EXPECT_FALSE(IpAddress::Parse("::2")->is_loopback());
  EXPECT_FALSE(IpAddress().is_loopback());
  EXPECT_FALSE(IpAddress().is_v4());
  EXPECT_FALSE(IpAddress::Parse("::1.2.3.4")->is_v4());
}

TEST(IpRange, IsReadStrictly) {
  EXPECT_EQ(IpRange::Parse("10.0.0.0/8")->bits, 104);
  EXPECT_EQ(IpRange::Parse("10.0.0.0/8")->ToString(), "10.0.0.0/8");
  EXPECT_EQ(IpRange::Parse("0.0.0.0/0")->ToString(), "0.0.0.0/0");
  EXPECT_EQ(IpRange::Parse("::/0")->ToString(), "::/0");
  EXPECT_EQ(IpRange::Parse("2001:DB8::/32")->ToString(), "2001:db8::/32");
  EXPECT_EQ(IpRange::Parse("192.0.2.1")->ToString(), "192.0.2.1");
  EXPECT_EQ(IpRange::Parse("192.0.2.1/32")->ToString(), "192.0.2.1");
  EXPECT_EQ(IpRange::Parse("::ffff:10.0.0.0/104")->ToString(), "10.0.0.0/8");
  for (const char* text : {"", "/", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/08",
                           "10.0.0.0/+8", "10.0.0.0/8 ", "10.0.0.0/8/8", "::/129", "::1/127",
                           "2001:db8::1/32", "10.0.0/8", "::/-1", "::/0000"}) {
    EXPECT_FALSE(IpRange::Parse(text)) << text;
  }
}

TEST(IpRange, ContainsJustItsAddresses) {
  struct Row {
    const char* range;
    const char* in;
    const char* out;
  };
  for (const Row& row :
       {Row{"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
        Row{"192.0.2.128/25", "192.0.2.128", "192.0.2.127"},
        Row{"192.0.2.1", "192.0.2.1", "192.0.2.0"}, Row{"0.0.0.0/0", "203.0.113.9", "::1"},
        Row{"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"}, Row{"::1", "::1", "::"}}) {
    const auto range = IpRange::Parse(row.range);
    ASSERT_TRUE(range) << row.range;
    EXPECT_TRUE(range->Contains(*IpAddress::Parse(row.in))) << row.range;
    EXPECT_FALSE(range->Contains(*IpAddress::Parse(row.out))) << row.range;
  }
}

TEST(HashBytes, DependsOnEveryByteAndTheSeed) {
  std::string text(300, 'x');
  const std::uint64_t before = HashBytes(text, 1);
  EXPECT_EQ(HashBytes(text, 1), before);
  EXPECT_NE(HashBytes(text, 2), before);
  for (char& c : text) {
    c = 'y';
    EXPECT_NE(HashBytes(text, 1), before);
    c = 'x';
  }
  EXPECT_NE(HashBytes("", 1), HashBytes("", 2));
}

}  // namespace
}  // namespace spillway
