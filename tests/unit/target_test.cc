// SPDX-License-Identifier: MIT
#include "spillway/target.h"

#include <gtest/gtest.h>

#include <string>

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
