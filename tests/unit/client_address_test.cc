// SPDX-License-Identifier: MIT
#include "spillway/client_address.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace spillway {
namespace {

// The peer is 10.0.0.1; trusted are 10.0.0.0/8 and 2001:db8:ffff::/48.
std::string Identify(std::string_view header, const std::vector<HeaderField>& fields,
                     std::string_view peer = "10.0.0.1") {
  const std::vector<IpRange> trusted = {*IpRange::Parse("10.0.0.0/8"),
                                        *IpRange::Parse("2001:db8:ffff::/48")};
  return IdentifyClient(*IpAddress::Parse(peer), fields, trusted, header).ToString();
}

std::string ByList(std::string_view value) {
  return Identify("x-forwarded-for", {{"X-Forwarded-For", value}});
}

std::string ByForwarded(std::string_view value) {
  return Identify("forwarded", {{"Forwarded", value}});
}

struct Row {
  const char* value;
  const char* client;
};

TEST(IdentifyClient, WalksAListFromTheRightToTheFirstHopNotTrusted) {
  for (const Row& row : {
           Row{"192.0.2.1", "192.0.2.1"},
           Row{"203.0.113.9, 192.0.2.1", "192.0.2.1"},  // the left one may be made up
           Row{"192.0.2.1, 10.0.0.7, 10.0.0.8", "192.0.2.1"},
           Row{"192.0.2.1,10.0.0.7\t, 10.0.0.8 ", "192.0.2.1"},
           Row{"10.0.0.7, 10.0.0.8", "10.0.0.7"},  // all trusted: the outermost
           Row{"192.0.2.1:443", "192.0.2.1"},
           Row{"192.0.2.1, 10.0.0.7:80", "192.0.2.1"},
           Row{"2001:db8::1", "2001:db8::1"},
           Row{"[2001:db8::1]", "2001:db8::1"},
           Row{"[2001:db8::1]:443", "2001:db8::1"},
           Row{"2001:db8::1, 2001:db8:ffff::1", "2001:db8::1"},
           Row{"::ffff:192.0.2.1", "192.0.2.1"},
       }) {
    EXPECT_EQ(ByList(row.value), row.client) << row.value;
  }
}

TEST(IdentifyClient, StopsAtTheLastGoodHopBeforeAMalformedOne) {
  for (const Row& row : {
           Row{"", "10.0.0.1"},
           Row{"unknown", "10.0.0.1"},
           Row{"192.0.2.1, unknown", "10.0.0.1"},
           Row{"192.0.2.1, unknown, 10.0.0.7", "10.0.0.7"},
           Row{"192.0.2.1, , 10.0.0.7", "10.0.0.7"},
           Row{"192.0.2.1,", "10.0.0.1"},
           Row{"192.0.2.01", "10.0.0.1"},
           Row{"192.0.2.1:", "10.0.0.1"},
           Row{"192.0.2.1:65536", "10.0.0.1"},
           Row{"192.0.2.1:80:80", "10.0.0.1"},
           Row{"192.0.2.1:_port", "10.0.0.1"},
           Row{"192.0.2.1 10.0.0.7", "10.0.0.1"},
           Row{"[192.0.2.1]", "10.0.0.1"},
           Row{"[2001:db8::1", "10.0.0.1"},
           Row{"[2001:db8::1]443", "10.0.0.1"},
           Row{"[2001:db8::1]:", "10.0.0.1"},
           Row{"\"192.0.2.1\"", "10.0.0.1"},
           Row{"fe80::1%eth0", "10.0.0.1"},
           Row{"example.com", "10.0.0.1"},
       }) {
    EXPECT_EQ(ByList(row.value), row.client) << row.value;
  }
}

TEST(IdentifyClient, ReadsForwardedAsRfc7239) {
  for (const Row& row : {
           Row{"for=192.0.2.1", "192.0.2.1"},
           Row{"For=192.0.2.1;proto=https;by=10.0.0.1", "192.0.2.1"},
           Row{"proto=https; for=192.0.2.1 ;host=example.com", "192.0.2.1"},
           Row{"for=\"192.0.2.1:4711\"", "192.0.2.1"},
           Row{"for=\"[2001:db8::1]:4711\"", "2001:db8::1"},
           Row{"for=\"[2001:db8::1]\"", "2001:db8::1"},
           Row{"for=\"\\192.0.2.1\"", "192.0.2.1"},  // a quoted pair
           Row{"for=\"192.0.2.1:_hidden\"", "192.0.2.1"},
           Row{"for=203.0.113.9, for=192.0.2.1, for=10.0.0.7", "192.0.2.1"},
           Row{"for=192.0.2.1;host=\"a,b;for=203.0.113.9\"", "192.0.2.1"},
           Row{"for=10.0.0.7", "10.0.0.7"},
       }) {
    EXPECT_EQ(ByForwarded(row.value), row.client) << row.value;
  }
}

TEST(IdentifyClient, BelievesNoMalformedOrHiddenForwarded) {
  for (const Row& row : {
           Row{"", "10.0.0.1"},
           Row{"for=unknown", "10.0.0.1"},
           Row{"for=_hidden", "10.0.0.1"},
           Row{"for=192.0.2.1, for=unknown, for=10.0.0.7", "10.0.0.7"},
           Row{"proto=https", "10.0.0.1"},
           Row{"for=192.0.2.1;for=192.0.2.2", "10.0.0.1"},
           Row{"for=192.0.2.1:80", "10.0.0.1"},     // a colon must be quoted
           Row{"for=\"2001:db8::1\"", "10.0.0.1"},  // IPv6 must be in brackets
           Row{"for=[2001:db8::1]", "10.0.0.1"},
           Row{"for=\"192.0.2.1", "10.0.0.1"},
           Row{"for=\"192.0.2.1\\", "10.0.0.1"},
           Row{"for=\"192.0.2.1\"x", "10.0.0.1"},
           Row{"for = 192.0.2.1", "10.0.0.1"},
           Row{"for=192.0.2.1,", "10.0.0.1"},
           Row{"for=192.0.2.1;", "10.0.0.1"},
           Row{"for=192.0.2.1 for=192.0.2.2", "10.0.0.1"},
           // A quote that the client left open runs into what the proxy appended.
           Row{"for=203.0.113.9;x=\", for=192.0.2.1", "10.0.0.1"},
           Row{"for=203.0.113.9;x=\", for=\"[2001:db8::1]\"", "10.0.0.1"},
           Row{"for=203.0.113.9;x=\", for=\"[2001:db8::1]\";by=\"[2001:db8::2]\"", "10.0.0.1"},
       }) {
    EXPECT_EQ(ByForwarded(row.value), row.client) << row.value;
  }
}

TEST(IdentifyClient, BelievesNobodyWhoIsNotTrusted) {
  EXPECT_EQ(Identify("x-forwarded-for", {{"X-Forwarded-For", "192.0.2.1"}}, "203.0.113.5"),
            "203.0.113.5");
  const std::vector<HeaderField> fields = {{"X-Forwarded-For", "192.0.2.1"}};
  EXPECT_EQ(IdentifyClient(*IpAddress::Parse("10.0.0.1"), fields, {}, "x-forwarded-for").ToString(),
            "10.0.0.1");
}

TEST(IdentifyClient, ReadsAllLinesOfTheChosenHeaderAndNoOther) {
  EXPECT_EQ(Identify("X-Forwarded-For", {{"x-forwarded-for", "203.0.113.9, 192.0.2.1"},
                                         {"Host", "example.com"},
                                         {"X-FORWARDED-FOR", "10.0.0.8, 10.0.0.7"}}),
            "192.0.2.1");
  EXPECT_EQ(Identify("x-forwarded-for",
                     {{"X-Forwarded-For", "192.0.2.1"}, {"X-Forwarded-For", "nonsense"}}),
            "10.0.0.1");
  EXPECT_EQ(Identify("cf-connecting-ip",
                     {{"CF-Connecting-IP", "192.0.2.1"}, {"X-Forwarded-For", "203.0.113.9"}}),
            "192.0.2.1");
  EXPECT_EQ(Identify("cf-connecting-ip", {{"X-Forwarded-For", "203.0.113.9"}}), "10.0.0.1");
}

TEST(IdentifyClient, GivesUpOnEndlessChains) {
  std::string chain = "192.0.2.1";
  for (int i = 0; i < 63; ++i) chain += ", 10.0.0.7";
  EXPECT_EQ(ByList(chain), "192.0.2.1");
  EXPECT_EQ(ByList(chain + ", 10.0.0.7"), "10.0.0.7");
  std::string endless = "192.0.2.1";
  for (int i = 0; i < 3000; ++i) endless += ",10.0.0.7";
  EXPECT_EQ(ByList(endless), "10.0.0.7");
  EXPECT_EQ(ByForwarded(std::string(5000, ',')), "10.0.0.1");
}

}  // namespace
}  // namespace spillway
