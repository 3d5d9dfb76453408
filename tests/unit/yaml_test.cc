// SPDX-License-Identifier: MIT
#include "rules/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace spillway::yaml {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A document that is kept with its diagnostics.
struct Parsed {
  explicit Parsed(std::string_view text) : document("f.yaml", text, &diagnostics) {}
  Node root() const { return document.root(); }
  Diagnostics diagnostics;
  Document document;
};

std::string OnlyError(std::string_view text) {
  Parsed parsed(text);
  EXPECT_EQ(parsed.diagnostics.size(), 1u) << text << "\n" << Format(parsed.diagnostics);
  return parsed.diagnostics.empty() ? "" : parsed.diagnostics[0].message;
}

TEST(Yaml, KeepsTheOrderAndThePlacesOfAMap) {
  Parsed parsed("b: 1\na:\n  - x\n  - { y: 2 }\n");
  ASSERT_TRUE(parsed.diagnostics.empty());
  std::vector<std::string> keys;
  for (const auto& [key, value] : parsed.root().Entries()) keys.emplace_back(key.text());
  EXPECT_THAT(keys, ElementsAre("b", "a"));
  Node y = parsed.root().Get("a").Items()[1].Get("y");
  EXPECT_EQ(y.text(), "2");
  EXPECT_EQ(y.path(), "a[1].y");
  EXPECT_EQ(y.place(), "f.yaml:4");
}

TEST(Yaml, ReportsAtTheValueWithItsLineAndLength) {
  Parsed parsed("rules:\n  - match:\n      method: GTE\n");
  parsed.root().Get("rules").Items()[0].Get("match").Get("method").Fail("unknown");
  ASSERT_EQ(parsed.diagnostics.size(), 1u);
  const Diagnostic& error = parsed.diagnostics[0];
  EXPECT_EQ(error.line, 3);
  EXPECT_EQ(error.column, 15);
  EXPECT_EQ(error.length, 3);
  EXPECT_EQ(error.path, "rules[0].match.method");
  EXPECT_EQ(error.source, "      method: GTE");
}

TEST(Yaml, MeasuresQuotedScalarsWithTheirQuotes) {
  for (const char* scalar : {"'it''s'", "\"a\\\"b\"", "plain", "&anchor", "|"}) {
    Parsed parsed("k: " + std::string(scalar) +
                  (scalar[0] == '&'   ? " x"
                   : scalar[0] == '|' ? "\n  x"
                                      : ""));
    ASSERT_TRUE(parsed.diagnostics.empty()) << scalar;
    parsed.root().Get("k").Fail("here");
    int length = scalar[0] == '&' ? 1 : static_cast<int>(std::string(scalar).size());
    EXPECT_EQ(parsed.diagnostics[0].length, length) << scalar;
  }
}

TEST(Yaml, KnowsWhatWasQuoted) {
  Parsed parsed("a: 1\nb: '1'\nc: \"1\"\nd: &x '1'\ne: >\n  1\n");
  EXPECT_FALSE(parsed.root().Get("a").quoted());
  for (const char* key : {"b", "c", "d", "e"}) EXPECT_TRUE(parsed.root().Get(key).quoted()) << key;
}

TEST(Yaml, TellsNothingFromAnEmptyText) {
  Parsed parsed("a:\nb: ~\nc: null\nd: ''\n");
  EXPECT_EQ(parsed.root().Get("a").kind(), NodeKind::kNull);
  EXPECT_EQ(parsed.root().Get("b").kind(), NodeKind::kNull);
  EXPECT_EQ(parsed.root().Get("c").kind(), NodeKind::kNull);
  EXPECT_EQ(parsed.root().Get("d").kind(), NodeKind::kScalar);
}

TEST(Yaml, MissesAnEmptyValueAtItsKey) {
  Parsed parsed("a:\n  b:\nc: 1\n");
  parsed.root().Get("a").Get("b").Fail("is empty");
  EXPECT_EQ(parsed.diagnostics[0].line, 2);
  EXPECT_EQ(parsed.diagnostics[0].column, 3);
}

TEST(Yaml, GivesWhatIsMissingAPathAndThePlaceOfItsMap) {
  Parsed parsed("a:\n  b: 1\n");
  Node missing = parsed.root().Get("a").Get("c");
  EXPECT_TRUE(missing.missing());
  EXPECT_EQ(missing.text(), "");
  missing.Get("d").Fail("is missing");
  EXPECT_EQ(parsed.diagnostics[0].path, "a.c.d");
  EXPECT_EQ(parsed.diagnostics[0].line, 1);
}

TEST(Yaml, TreatsOneAsAListOfOne) {
  Parsed parsed("a: x\nb: [x, y]\nc: { k: v }\nd:\n");
  EXPECT_EQ(parsed.root().Get("a").Items().size(), 1u);
  EXPECT_EQ(parsed.root().Get("b").Items().size(), 2u);
  EXPECT_EQ(parsed.root().Get("c").Items().size(), 1u);
  EXPECT_EQ(parsed.root().Get("d").Items().size(), 0u);
}

TEST(Yaml, SharesTheAnchorsNodesWithItsAliases) {
  Parsed parsed("a: &x { k: v }\nb: *x\nc: [*x, *x]\n");
  ASSERT_TRUE(parsed.diagnostics.empty());
  EXPECT_EQ(parsed.root().Get("c").Items()[1].Get("k").text(), "v");
  EXPECT_EQ(parsed.root().Get("b").Get("k").path(), "a.k");
}

TEST(Yaml, CountsTheFirstOfDuplicateKeysAndReportsTheSecond) {
  Parsed parsed("a: 1\nb: 2\na: 3\n");
  ASSERT_EQ(parsed.diagnostics.size(), 1u);
  EXPECT_EQ(parsed.diagnostics[0].line, 3);
  EXPECT_EQ(parsed.root().Get("a").text(), "1");
  EXPECT_EQ(parsed.root().Entries().size(), 2u);
}

TEST(Yaml, HasNoRootAfterASyntaxError) {
  Parsed parsed("a: 1\nb: [\n");
  EXPECT_EQ(parsed.diagnostics.size(), 1u);
  EXPECT_TRUE(parsed.root().missing());
}

TEST(Yaml, IgnoresAByteOrderMarkAndCarriageReturns) {
  Parsed parsed(
      "\xef\xbb\xbf"
      "a: 1\r\nb: x y\r\n");
  ASSERT_TRUE(parsed.diagnostics.empty());
  Node b = parsed.root().Get("b");
  EXPECT_EQ(b.text(), "x y");
  b.Fail("here");
  EXPECT_EQ(parsed.diagnostics[0].source, "b: x y");
  EXPECT_EQ(parsed.diagnostics[0].length, 3);
}

TEST(Yaml, RefusesWhatIsNotUtf8) {
  for (const char* bytes :
       {"\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x98"}) {
    EXPECT_THAT(OnlyError("a: " + std::string(bytes)), HasSubstr("not UTF-8"));
  }
  Parsed good("a: \xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80\n");
  EXPECT_TRUE(good.diagnostics.empty());
}

TEST(Yaml, AcceptsSixtyFourLevelsAndNotOneMore) {
  auto nested = [](int levels) {
    auto count = static_cast<std::size_t>(levels);
    return std::string(count, '[') + std::string(count, ']');
  };
  EXPECT_TRUE(Parsed(nested(64)).diagnostics.empty());
  EXPECT_THAT(OnlyError(nested(65)), HasSubstr("64 levels"));
  // An alias brings the levels of its anchor with it.
  EXPECT_TRUE(
      Parsed("a: &a " + nested(32) + "\nb: " + std::string(31, '[') + "*a" + std::string(31, ']'))
          .diagnostics.empty());
  EXPECT_THAT(OnlyError("a: &a " + nested(32) + "\nb: " + std::string(32, '[') + "*a" +
                        std::string(32, ']')),
              HasSubstr("64 levels"));
}

TEST(Yaml, CountsAliasesAsCopies) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 30; ++i) {
    std::string before = "*a" + std::to_string(i - 1);
    bomb +=
        "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before + "," + before + "]\n";
  }
  EXPECT_THAT(OnlyError(bomb), HasSubstr("1000000 values"));
}

TEST(Yaml, SurvivesNestingAndScalarsWithoutEnd) {
  for (const char* part :
       {"[", "{", "- ", "? ", "a: {", "[[]", "&a ", "!a ", "'a':", "{a: ", "[&a "}) {
    std::string text;
    for (int i = 0; i < 10'000; ++i) text += part;
    EXPECT_EQ(Parsed(text).diagnostics.size(), 1u) << part;
  }
  EXPECT_TRUE(Parsed("a: " + std::string(3 << 20, 'x')).diagnostics.empty());
  EXPECT_THAT(OnlyError("a: " + std::string(5 << 20, 'x')), HasSubstr("4 MiB"));
}

TEST(Yaml, KeepsAtMostAThousandErrorsOfAtMostALine) {
  std::string text = "? '" + std::string(100'000, 'k') + "'\n: [";
  for (int i = 0; i < 2000; ++i) text += "x, ";
  Parsed parsed(text + "]");
  ASSERT_TRUE(parsed.diagnostics.empty());
  for (const Node& item : parsed.root().Entries()[0].second.Items())
    item.Fail(std::string(100'000, 'm'));
  EXPECT_EQ(parsed.diagnostics.size(), 1000u);
  EXPECT_LT(Format(parsed.diagnostics).size(), 1000u * 2500u);
}

// Each value used to be measured against the rest of its line: a minute for this one.
TEST(Yaml, ReadsALineOfManyValuesInOnePass) {
  std::string text = "a: [";
  for (int i = 0; i < 400'000; ++i) text += "x,";
  const Parsed parsed(text + "]\n");
  EXPECT_TRUE(parsed.diagnostics.empty());
  EXPECT_EQ(parsed.root().Get("a").Items().size(), 400'000u);
}

TEST(Yaml, TellsWhichKeysAMapHasNotYet) {
  const Parsed parsed("{ a: 1, b: 2 }\n");
  EXPECT_EQ(parsed.root().Unused({"b", "c", "a", "d"}), (std::vector<std::string>{"c", "d"}));
  EXPECT_EQ(parsed.root().Get("a").Unused({"a"}), std::vector<std::string>{"a"});
  std::string large;
  for (int i = 0; i < 101; ++i) large += "k" + std::to_string(i) + ": 1\n";
  EXPECT_EQ(Parsed(large).root().Unused({"k0", "x"}), (std::vector<std::string>{"k0", "x"}));
}

TEST(Yaml, NamesTheControlCharacterThatItRefuses) {
  EXPECT_THAT(OnlyError("a: b\x07\n"), HasSubstr("U+0007; take it out, or write it as an escape in "
                                                 "double quotes: \"\\x07\""));
  EXPECT_THAT(OnlyError("a: b\x7f\n"), HasSubstr("U+007F"));
}

TEST(Yaml, SaysWhatIsWrongWithASyntax) {
  const std::pair<const char*, const char*> kCases[] = {
      {"a:\n\t- b\n", "tab"},
      {"a: 'b\n", "never closed"},
      {"a: \"b\\\"\n", "never closed"},
      {"a: b: c\n", "':' cannot stand here"},
      {"a: [1, 2\nb: 3\n", "opened in line 1"},
      {"a: *b\n", "names no anchor"},
      {"&a [*a]\n", "the alias '*a' stands within the very value"},
      {"*a\n", "names no anchor"},
      {"a: !!binary b\n", "a tag"},
      {"a: ! b\n", ""},
      {"a: 1\n---\nb: 2\n", "second document"},
      {"[a]: b\n", "must be plain text"},
      {"&x a: 1\n*x : 2\n", "an alias cannot be a key"},
      {"a: &x {}\n<<: *x\n", "merge keys"},
      {"%YAML 9.0\n---\na: b\n", "not YAML"},
  };
  for (const auto& [text, message] : kCases) {
    Parsed parsed(text);
    if (*message == '\0') {
      EXPECT_TRUE(parsed.diagnostics.empty()) << text;
      continue;
    }
    ASSERT_EQ(parsed.diagnostics.size(), 1u) << text;
    EXPECT_THAT(parsed.diagnostics[0].message, HasSubstr(message)) << text;
  }
}

TEST(ExpectedOneOf, NamesTheWordThatIsNear) {
  const std::vector<std::string> legal = {"GET", "HEAD", "POST", "warning", "USR1"};
  EXPECT_THAT(ExpectedOneOf("GTE", legal), HasSubstr("(did you mean 'GET'?)"));
  EXPECT_THAT(ExpectedOneOf("get", legal), HasSubstr("(did you mean 'GET'?)"));
  EXPECT_THAT(ExpectedOneOf("PSOT", legal), HasSubstr("(did you mean 'POST'?)"));
  EXPECT_THAT(ExpectedOneOf("warn", legal), HasSubstr("(did you mean 'warning'?)"));
  EXPECT_THAT(ExpectedOneOf("SIGUSR1", legal), HasSubstr("(did you mean 'USR1'?)"));
  EXPECT_EQ(ExpectedOneOf("xyz", {"GET", "HEAD"}), "; expected one of GET, HEAD");
  EXPECT_EQ(ExpectedOneOf("xyz", {"GET"}), "; expected GET");
  EXPECT_EQ(ExpectedOneOf("xyz", {}), "");
}

TEST(Quote, StaysInOneLine) {
  EXPECT_EQ(Quote("a\nb\r\tc\x07\x7f"), "'a\\nb\\r\\tc\\x07\\x7f'");
}

TEST(Quote, IsNoLongerThanALineCanBear) {
  EXPECT_EQ(Quote("a"), "'a'");
  EXPECT_LT(Quote(std::string(10'000, 'x')).size(), 70u);
  // Not cut inside a character.
  EXPECT_EQ(Quote(std::string(59, 'x') + "\xc3\xbc" + "y"), "'" + std::string(59, 'x') + "...'");
}

}  // namespace
}  // namespace spillway::yaml
