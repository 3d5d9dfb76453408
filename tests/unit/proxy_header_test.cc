// SPDX-License-Identifier: MIT
#include "spillway/proxy_header.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace spillway {
namespace {

using Outcome = ProxyHeader::Outcome;

std::string Binary(int command, int family, const std::string& rest, std::size_t length) {
  std::string bytes("\r\n\r\n\0\r\nQUIT\n", 12);
  bytes += static_cast<char>(command);
  bytes += static_cast<char>(family);
  bytes += static_cast<char>(length >> 8);
  bytes += static_cast<char>(length & 0xff);
  return bytes + rest;
}
std::string Binary(int command, int family, const std::string& rest) {
  return Binary(command, family, rest, rest.size());
}

const std::string kFour("\xc0\x00\x02\x01\x0a\x00\x00\x01\x12\x67\x00\x50", 12);
const std::string kSix = std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16) +
                         std::string(16, 'x') + std::string("\x12\x67\x00\x50", 4);

struct Good {
  std::string bytes;
  std::string client;  // empty: none
  std::uint16_t port;
};

std::vector<Good> AllGood() {
  const std::string type_length_value(
      "\x04\x00\x03"
      "abc",
      6);
  return {
      {"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n", "192.0.2.1", 4711},
      {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", 65535},
      {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0", 0},
      {"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n", "2001:db8::1", 4711},
      {"PROXY TCP6 1:2:3:4:5:6:7:: 1::3:4:5:6:7:8 1 2\r\n", "1:2:3:4:5:6:7:0", 1},
      {"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:10.0.0.1 4711 80\r\n", "192.0.2.1", 4711},
      {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
       "65535 65535\r\n",
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535},
      {"PROXY UNKNOWN\r\n", "", 0},
      {"PROXY UNKNOWN whatever it says 1 2 3\r\n", "", 0},
      {"PROXY UNKNOWN " + std::string(107 - 16, 'x') + "\r\n", "", 0},
      {Binary(0x21, 0x11, kFour), "192.0.2.1", 4711},
      {Binary(0x21, 0x11, kFour + type_length_value), "192.0.2.1", 4711},
      {Binary(0x21, 0x11, kFour + std::string(520 - 12, 'x')), "192.0.2.1", 4711},
      {Binary(0x21, 0x21, kSix), "2001:db8::1", 4711},
      {Binary(0x21, 0x21, kSix + type_length_value), "2001:db8::1", 4711},
      {Binary(0x20, 0x00, ""), "", 0},
      {Binary(0x20, 0x11, kFour), "", 0},
      {Binary(0x20, 0x21, "short"), "", 0},  // LOCAL: skipped unread
      {Binary(0x21, 0x00, "anything"), "", 0},
      {Binary(0x21, 0x12, kFour), "", 0},
      {Binary(0x21, 0x31, std::string(216, '/')), "", 0},
  };
}

TEST(ParseProxyHeader, TellsWhoConnected) {
  for (const Good& good : AllGood()) {
    for (const std::string& tail : {std::string(), std::string("GET / HTTP/1.1\r\n\r\n")}) {
      const ProxyHeader header = ParseProxyHeader(good.bytes + tail);
      ASSERT_EQ(header.outcome, Outcome::kDone) << good.bytes;
      EXPECT_EQ(header.size, good.bytes.size());
      EXPECT_EQ(header.client ? header.client->ToString() : "", good.client);
      EXPECT_EQ(header.client_port, good.port);
    }
  }
}

TEST(ParseProxyHeader, WaitsAtEverySplitPoint) {
  for (const Good& good : AllGood()) {
    for (std::size_t size = 0; size < good.bytes.size(); ++size) {
      ASSERT_EQ(ParseProxyHeader(good.bytes.substr(0, size)).outcome, Outcome::kIncomplete)
          << good.bytes << " " << size;
    }
  }
}

// The bytes up to which a header could still have become valid; the next one decides.
struct Bad {
  std::string good, rest;
};

TEST(ParseProxyHeader, RefusesAtTheFirstImpossibleByte) {
  const std::vector<Bad> table = {
      {"", "GET / HTTP/1.1"},
      {"P", "OST / HTTP/1.1"},
      {"PROXY", "\r\n"},
      {"PROXY ", " TCP4"},
      {"PROXY ", "tcp4 "},
      {"PROXY TCP", "5 "},
      {"PROXY TCP4", "\r\n"},
      {"PROXY TCP4 ", " 192.0.2.1"},
      {"PROXY TCP4 25", "6.0.0.1"},
      {"PROXY TCP4 0", "1.0.0.1"},
      {"PROXY TCP4 192.0.2.1", ".1 "},
      {"PROXY TCP4 1", ":: "},
      {"PROXY TCP4 192.0.2.1 10.0.0.1 ", " 4711"},
      {"PROXY TCP4 192.0.2.1 10.0.0.1 6553", "6 80"},
      {"PROXY TCP4 192.0.2.1 10.0.0.1 0", "1 80"},
      {"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80", " \r\n"},
      {"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80", "\n"},
      {"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r", "X"},
      {"PROXY TCP4 192.0.2.1 10.0.0.1 4711 ", "-1"},
      {"PROXY TCP6 1", ".2.3.4 "},
      {"PROXY TCP6 1::2:", ":3"},
      {"PROXY TCP6 1234", "5:: "},
      {"PROXY TCP6 1:2:3:4:5:6:7:8", ":9"},
      {"PROXY TCP6 ::1:2:3:4:5:6:7", ": "},
      {"PROXY TCP6 ::1", "%eth0"},
      {"PROXY UNKNOWN", "S\r\n"},
      {"PROXY UNKNOWN", "\n"},
      {"PROXY UNKNOWN " + std::string(107 - 16, 'x'), "x"},
      {std::string("\r\n\r\n\0\r\nQUIT", 11), "X"},
      {Binary(0x21, 0x11, "").substr(0, 12), "\x11"},
      {Binary(0x21, 0x11, "").substr(0, 12), "\x22"},
      {Binary(0x21, 0x11, "").substr(0, 13), "\x13"},
      {Binary(0x21, 0x11, "").substr(0, 13), "\x41"},
      {Binary(0x21, 0x11, "").substr(0, 14), "\x03"},
      {Binary(0x21, 0x11, "", 521).substr(0, 15), "\x09"},
      {Binary(0x21, 0x11, "", 11).substr(0, 15), "\x0b"},
      {Binary(0x21, 0x21, "", 35).substr(0, 15), "\x23"},
  };
  for (const Bad& bad : table) {
    EXPECT_EQ(ParseProxyHeader(bad.good).outcome, Outcome::kIncomplete) << bad.good;
    // Malformed with the very next byte, but for words whose end decides.
    std::size_t size = 1;
    while (size < bad.rest.size() &&
           ParseProxyHeader(bad.good + bad.rest.substr(0, size)).outcome == Outcome::kIncomplete) {
      ++size;
    }
    EXPECT_EQ(ParseProxyHeader(bad.good + bad.rest.substr(0, size)).outcome, Outcome::kMalformed)
        << bad.good << "|" << bad.rest;
    EXPECT_EQ(ParseProxyHeader(bad.good + bad.rest).outcome, Outcome::kMalformed);
    EXPECT_LE(size, 2U) << bad.good << "|" << bad.rest;
  }
}

TEST(ParseProxyHeader, NeverWaitsBeyondTheLongestHeader) {
  std::string line = "PROXY UNKNOWN ";
  while (ParseProxyHeader(line).outcome == Outcome::kIncomplete) line += 'x';
  EXPECT_LE(line.size(), 107U);
  std::string binary = Binary(0x21, 0x11, "", 520);
  while (ParseProxyHeader(binary).outcome == Outcome::kIncomplete) binary += 'x';
  EXPECT_EQ(binary.size(), kMaxProxyHeader);
}

}  // namespace
}  // namespace spillway
