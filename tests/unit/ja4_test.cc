// SPDX-License-Identifier: MIT
// JA4 against values that others have published, and against what a hello can do to it.
#include "proxy/ja4.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace spillway {
namespace {

std::string Number(std::size_t value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> shift & 255);
  }
  return out;
}

std::string List(const std::vector<int>& numbers) {
  std::string out;
  for (const int number : numbers) out += Number(static_cast<std::size_t>(number), 2);
  return out;
}

std::string Piece(const std::string& bytes, int length_bytes) {
  return Number(bytes.size(), length_bytes) + bytes;
}

using Extensions = std::vector<std::pair<int, std::string>>;

std::string Hello(const std::vector<int>& suites, const Extensions& extensions,
                  int version = 0x0303) {
  std::string list;
  for (const auto& [type, data] : extensions) {
    list += Number(static_cast<std::size_t>(type), 2) + Piece(data, 2);
  }
  const std::string body = Number(static_cast<std::size_t>(version), 2) + std::string(32, 'r') +
                           Piece(std::string(32, 's'), 1) + Piece(List(suites), 2) +
                           Piece(std::string(1, '\0'), 1) +
                           (extensions.empty() ? "" : Piece(list, 2));
  return "\x01" + Piece(body, 3);
}

std::string Fingerprint(const std::string& hello) {
  const auto text = Ja4({reinterpret_cast<const unsigned char*>(hello.data()), hello.size()});
  return text ? std::string(text->begin(), text->end()) : "none";
}

const std::vector<int> kChromeSuites = {0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f,
                                        0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
                                        0x009c, 0x009d, 0x002f, 0x0035};

Extensions Chrome() {
  const std::string algorithms =
      List({0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601});
  Extensions extensions = {{0x1a1a, ""},
                           {0x0000, Piece(std::string(1, '\0') + Piece("a.example", 2), 2)},
                           {0x0010, Piece("\x02h2\x08http/1.1", 2)},
                           {0x000d, Piece(algorithms, 2)},
                           {0x002b, Piece(List({0xdada, 0x0304, 0x0303}), 1)}};
  for (const int type : {0x001b, 0x0033, 0x4469, 0x0017, 0x002d, 0x0005, 0x0023, 0x0012, 0x000b,
                         0x000a, 0xff01, 0x0015}) {
    extensions.push_back({type, "x"});
  }
  extensions.push_back({0xfafa, "x"});
  return extensions;
}

TEST(Ja4, IsWhatIsPublishedForAChrome) {
  EXPECT_EQ(Fingerprint(Hello(kChromeSuites, Chrome())), "t13d1516h2_8daaf6152771_e5627efa2ab1");
}

TEST(Ja4, DoesNotDependOnTheOrderOfSuitesAndExtensions) {
  const std::vector<int> suites(kChromeSuites.rbegin(), kChromeSuites.rend());
  const Extensions forth = Chrome(), back(forth.rbegin(), forth.rend());
  EXPECT_EQ(Fingerprint(Hello(suites, back)), "t13d1516h2_8daaf6152771_e5627efa2ab1");
}

TEST(Ja4, OfAHelloWithoutExtensionsHasZerosThere) {
  EXPECT_EQ(Fingerprint(Hello({0x002f}, {}, 0x0301)).substr(0, 11), "t10i010000_");
  EXPECT_EQ(Fingerprint(Hello({0x002f}, {}, 0x0301)).substr(24), "000000000000");
  EXPECT_EQ(Fingerprint(Hello({}, {}, 0x0300)), "ts3i000000_000000000000_000000000000");
}

TEST(Ja4, TakesTheFirstAndLastCharacterOfTheFirstProtocol) {
  const std::pair<std::string, std::string> kCases[] = {
      {"h2", "h2"},         {"http/1.1", "h1"},      {"x", "xx"},
      {"\xab", "ab"},       {"\xab\xcd", "ad"},      {"0\xab", "3b"},
      {"01\xab\xcd", "3d"}, {"0\xab\xcd\x31", "01"}, {"", "00"}};
  for (const auto& [protocol, expected] : kCases) {
    const std::string data = Piece(Piece(protocol, 1), 2);
    EXPECT_EQ(Fingerprint(Hello({0x1301}, {{0x0010, data}})).substr(8, 2), expected) << protocol;
  }
}

TEST(Ja4, CountsToNinetyNine) {
  std::vector<int> suites;
  for (int i = 0; i < 150; ++i) suites.push_back(0x0100 + i);
  EXPECT_EQ(Fingerprint(Hello(suites, {})).substr(0, 10), "t12i990000");
}

TEST(Ja4, IsNothingForListsWithoutMeasure) {
  std::vector<int> suites;
  for (int i = 0; i < 513; ++i) suites.push_back(0x0100 + i);
  EXPECT_EQ(Fingerprint(Hello(suites, Chrome())), "none");
}

TEST(Ja4, IsNothingForWhatIsCutShort) {
  const std::string whole = Hello(kChromeSuites, Chrome());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string text = Fingerprint(whole.substr(0, size));
    // Up to the extensions' length there is a hello without any.
    EXPECT_TRUE(text == "none" || text.substr(24) == "000000000000") << size;
  }
  EXPECT_EQ(Fingerprint("\x02" + whole.substr(1)), "none");
}

}  // namespace
}  // namespace spillway
