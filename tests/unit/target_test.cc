// SPDX-License-Identifier: MIT
#include "spillway/target.h"

#include <gtest/gtest.h>

#include <string>

#include "spillway/identify_target.h"

namespace spillway {
namespace {

std::string Normal(std::string_view path) {
  std::string out;
  const Result<void> done = NormalisePath(path, &out);
  EXPECT_LE(out.size(), path.size() + 1) << path;
  return done ? out : "refused: " + out;
}

std::string Host(std::string_view host) {
  std::string out;
  return NormaliseHost(host, &out) ? out : "refused";
}

TEST(NormalisePath, GivesEachPathOneSpelling) {
  using namespace std::string_literals;
  const std::pair<std::string, std::string> kTable[] = {
      {"/", "/"},
      {"*", "*"},
      {"/a/b", "/a/b"},
      {"/a/b/", "/a/b/"},
      {"/%61%4a", "/aJ"},
      {"/a/../b", "/b"},
      {"/a/%2e%2e/b", "/b"},
      {"/a/.%2E/b", "/b"},
      {"/a/./b/.", "/a/b/"},
      {"/a/b/..", "/a/"},
      {"/..", "/"},
      {"/../../a", "/a"},
      {"/a/...", "/a/..."},
      {"/.hidden", "/.hidden"},
      {"/a/..b", "/a/..b"},
      {"/a%2Fb", "/a/b"},
      {"/a%2f%2e%2e%2fb", "/b"},
      {"\\a\\..\\b", "/b"},
      {"/a%5c..%5Cb", "/b"},
      {"//a///b//", "/a/b/"},
      {"/a//../b", "/b"},
      {"/%2F/%2f", "/"},
      {"/a;x=1/b;y", "/a;x=1/b;y"},
      {"/a/..;/b", "/a/..;/b"},
      {"/%c0%af..", "/\xc0\xaf.."},
      {"/%c0%ae%c0%ae/a", "/\xc0\xae\xc0\xae/a"},
      {"/%252e%252e/a", "/%2e%2e/a"},
      {"/100%", "/100%"},
      {"/%4", "/%4"},
      {"/%zz%41", "/%zzA"},
      {"/%u002f", "/%u002f"},
      {"/a%20b+c", "/a b+c"},
      {"/a%3fb%23", "/a?b#"},
      {"/a%0a", "/a\n"},
      {"%2fa", "/a"},
      {"/a%00b", "refused: "},
      {"/a\0b"s, "refused: "},
      {"a", "refused: "},
      {"", "refused: "},
      {"%61", "refused: "},
  };
  for (const auto& [path, normal] : kTable) EXPECT_EQ(Normal(path), normal) << path;
}

TEST(NormalisePath, ClearsWhatWasThere) {
  std::string out = "old";
  EXPECT_TRUE(NormalisePath("/new", &out));
  EXPECT_EQ(out, "/new");
}

// Why a path is refused, without the words that all reasons have; "" for one that is not.
std::string Ambiguity(std::string_view path) {
  const Result<void> plain = RequireOneReading(path);
  if (plain) return "";
  EXPECT_TRUE(plain.error().message.starts_with("the path has a")) << plain.error().message;
  return plain.error().message.substr(std::string_view("the path has a").size());
}

constexpr std::string_view kEncodedSlash = "n encoded slash", kBackslash = " backslash",
                           kDoubled = " doubled slash", kDots = " dot segment",
                           kControl = " control character",
                           kParameter = " parameter, which ';' begins",
                           kTwice = "n octet that is encoded twice",
                           kNoOctet = " '%' that begins no encoded octet";

TEST(RequireOneReading, RefusesWhatServersReadInDifferentWays) {
  const std::pair<std::string_view, std::string_view> kTable[] = {
      {"/a%2Fb", kEncodedSlash},
      {"/a%2f", kEncodedSlash},
      {"/%2F", kEncodedSlash},
      {"/a;x=%2F", kParameter},
      {"/a%5Cb", kBackslash},
      {"/%5c", kBackslash},
      {"/a\\b", kBackslash},
      {"\\a", kBackslash},
      {"//", kDoubled},
      {"//a", kDoubled},
      {"/a//b", kDoubled},
      {"/a//", kDoubled},
      {"/;/a", kParameter},
      {"/a/;x=1/b", kParameter},
      {"/%3B/a", kParameter},
      {"/.", kDots},
      {"/..", kDots},
      {"/./a", kDots},
      {"/../a", kDots},
      {"/a/..", kDots},
      {"/a/../b", kDots},
      {"/%2e", kDots},
      {"/a/%2E%2e/b", kDots},
      {"/a/.%2e", kDots},
      {"/a/%2e./b", kDots},
      {"/a/..;/b", kParameter},
      {"/a/..;x=1", kParameter},
      {"/.;/a", kParameter},
      {"/a/%2e%2e%3bx/b", kParameter},
      {"/a;x=1", kParameter},
      {"/a/;x", kParameter},
      {"/;", kParameter},
      {"/admin%0a", kControl},
      {"/a/%0D", kControl},
      {"/a%09b", kControl},
      {"/a;x=%1f", kParameter},
      {"/%7F", kControl},
      {"/%2561", kTwice},
      {"/%252F", kTwice},
      {"/a%25%36%31", kTwice},
      {"/%25%41b", kTwice},
      {"/%25256", kTwice},
      {"/a;x=%2541", kParameter},
      {"/%", kNoOctet},
      {"/%4", kNoOctet},
      {"/100%/a", kNoOctet},
      {"/%zz", kNoOctet},
      {"/%u0061", kNoOctet},
      {"/%%41", kNoOctet},
  };
  for (const auto& [path, why] : kTable) EXPECT_EQ(Ambiguity(path), why) << path;
}

TEST(RequireOneReading, TakesWhatAllServersReadAlike) {
  for (const std::string_view path :
       {"/",          "*",       "/a",         "/a/",      "/a/b/c",    "/.hidden",
        "/a.",        "/a..",    "/...",       "/a/.../b", "/..a",      "/a..b/",
        "/%2ehidden", "/a%2e",   "/%61",       "/a%20b",   "/a%3Fb%23", "/%c3%a9",
        "/%C0%AF",    "/100%25", "/100%25/41", "/%25g1",   "/%254g",    "/%25-41"}) {
    EXPECT_EQ(Ambiguity(path), "") << path;
  }
}

TEST(ParseTarget, TakesEachFormApart) {
  const struct {
    std::string_view target, scheme, authority, path, query;
  } kTable[] = {
      {"/a/../b?x=1&y", "", "", "/a/../b", "x=1&y"},
      {"/", "", "", "/", ""},
      {"/?", "", "", "/", ""},
      {"/a?b?c", "", "", "/a", "b?c"},
      {"//host/a", "", "", "//host/a", ""},
      {"*", "", "", "*", ""},
      {"http://example.com:8080/a?b", "http", "example.com:8080", "/a", "b"},
      {"HTTPS://h", "HTTPS", "h", "/", ""},
      {"http://h?x", "http", "h", "/", "x"},
      {"http://[::1]:80/", "http", "[::1]:80", "/", ""},
      {"http://h\\a", "http", "h", "\\a", ""},
  };
  for (const auto& row : kTable) {
    const Result<Target> parts = ParseTarget(row.target);
    ASSERT_TRUE(parts) << row.target;
    EXPECT_EQ(parts->scheme, row.scheme) << row.target;
    EXPECT_EQ(parts->authority, row.authority) << row.target;
    EXPECT_EQ(parts->raw_path, row.path) << row.target;
    EXPECT_EQ(parts->query, row.query) << row.target;
  }
}

TEST(ParseTarget, RefusesWhatIsNoTarget) {
  for (const std::string_view target :
       {"", "a", "example.com:443", "/a#b", "/a b", "/a\tb", "/a\nb", "/\x7f", "/\xc3\xa9",
        "ftp://h/", "http:///a", "http://", "http://user@h/", "://h/", "javascript://h/", "**"}) {
    EXPECT_FALSE(ParseTarget(target)) << target;
  }
}

TEST(NormaliseHost, LeavesTheBareNameInLowerCase) {
  const std::pair<std::string_view, std::string_view> kTable[] = {
      {"Example.COM", "example.com"},
      {"example.com:8080", "example.com"},
      {"example.com:", "example.com"},
      {"example.com.", "example.com"},
      {"example.com.:80", "example.com"},
      {"192.0.2.1:80", "192.0.2.1"},
      {"[::1]", "::1"},
      {"[2001:DB8:0::1]:443", "2001:db8::1"},
      {"a_b-c", "a_b-c"},
      {"xn--bcher-kva.example", "xn--bcher-kva.example"},
      {"h:65535", "h"},
  };
  for (const auto& [host, normal] : kTable) EXPECT_EQ(Host(host), normal) << host;
}

// The texts of one request serve the next one.
TEST(IdentifyTarget, ReadsAHostAnewWhereItIsSpelledOtherwise) {
  TargetTexts texts;
  const auto host = [&texts](std::string_view target, std::string_view field) -> std::string {
    Request request;
    request.target = target;
    return IdentifyTarget(field, &request, &texts) ? std::string(request.host) : "refused";
  };
  for (int again = 0; again < 2; ++again) {
    EXPECT_EQ(host("/", "One.example:80"), "one.example");
    EXPECT_EQ(host("/", "one.example"), "one.example");
    EXPECT_EQ(host("/", "TWO.example."), "two.example");
    EXPECT_EQ(host("/", "one two"), "refused");
    EXPECT_EQ(host("/", "one two"), "refused");
    EXPECT_EQ(host("/", "TWO.example."), "two.example");
    EXPECT_EQ(host("/", ""), "");
    EXPECT_EQ(host("http://three.example/", "TWO.example."), "three.example");
    EXPECT_EQ(host("/", "TWO.example."), "two.example");
    EXPECT_EQ(host("/", "[::1]:80"), "::1");
    EXPECT_EQ(host("/", "::1"), "refused");
  }
}

TEST(NormaliseHost, RefusesWhatIsNoHost) {
  const std::string longest(255, 'a');
  EXPECT_EQ(Host(longest), longest);
  EXPECT_EQ(Host(longest + "a"), "refused");
  for (const std::string_view host :
       {"",    ".",    "a..b",    ".a",  "a..",  ":80",    "h:65536",   "h:123456",
        "h:x", "h:-1", "h:80:80", "::1", "[::1", "[::1]x", "[1.2.3.4]", "[::1%eth0]",
        "[]",  "a b",  "a/b",     "a@b", "a%41", "a\\b",   "h\xc3\xa9", "a,b/"}) {
    EXPECT_EQ(Host(host), "refused") << host;
  }
}

}  // namespace
}  // namespace spillway
