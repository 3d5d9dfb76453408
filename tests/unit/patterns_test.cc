// SPDX-License-Identifier: MIT
// The three ways to search one value for many texts: indexes, words, expressions.
#include "rules/patterns.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "rules/literals.h"
#include "rules/text_index.h"

namespace spillway {
namespace {

using Tests = std::set<std::uint32_t>;

Tests Found(const PatternSet& set, std::string_view value) {
  Tests tests;
  PatternScratch scratch;
  set.Find(value, &scratch, [&](std::uint32_t test) { tests.insert(test); });
  return tests;
}

Tests Found(const LiteralSet& set, std::string_view value) {
  Tests tests;
  std::vector<std::uint64_t> seen;
  set.Find(value, &seen, [&](std::uint32_t test) { tests.insert(test); });
  return tests;
}

template <class Index>
Tests FoundIn(const Index& index, std::string_view value) {
  Tests tests;
  index.Find(value, [&](std::uint32_t test) { tests.insert(test); });
  return tests;
}

std::string RandomText(std::mt19937_64& chance, std::size_t longest, std::string_view letters) {
  std::string text;
  for (std::size_t size = chance() % (longest + 1); text.size() < size;) {
    text += letters[chance() % letters.size()];
  }
  return text;
}

TEST(PatternSet, FindsAllThatMatchSomewhere) {
  PatternSet set(Case::kExact);
  ASSERT_TRUE(set.Add("b+", 1));
  ASSERT_TRUE(set.Add("^a", 2));
  ASSERT_TRUE(set.Add("c$", 3));
  ASSERT_TRUE(set.Build());
  EXPECT_EQ(Found(set, "abbc"), (Tests{1, 2, 3}));
  EXPECT_EQ(Found(set, "xb"), (Tests{1}));
  EXPECT_EQ(Found(set, "C"), (Tests{}));
}

TEST(PatternSet, FoldsCaseWhenAsked) {
  PatternSet set(Case::kFold);
  ASSERT_TRUE(set.Add("iPhone|android", 1));
  ASSERT_TRUE(set.Build());
  EXPECT_EQ(Found(set, "an IPHONE"), (Tests{1}));
  EXPECT_EQ(Found(set, "Android"), (Tests{1}));
}

TEST(PatternSet, LetsNoByteHideWhatStandsAroundIt) {
  PatternSet set(Case::kExact);
  ASSERT_TRUE(set.Add("^a.*b$", 1));
  ASSERT_TRUE(set.Build());
  EXPECT_EQ(Found(set,
                  "a\xff\xc3"
                  "b"),
            (Tests{1}));
  EXPECT_EQ(Found(set, "a\nb"), (Tests{1}));
}

TEST(PatternSet, SaysWhatIsWrongWithAnExpression) {
  PatternSet set(Case::kExact);
  const Result<void> added = set.Add("(a", 1);
  ASSERT_FALSE(added);
  EXPECT_NE(added.error().message.find("missing )"), std::string::npos) << added.error().message;
  EXPECT_FALSE(set.Add("\\1", 1));    // no back references
  EXPECT_FALSE(set.Add("(?=a)", 1));  // no looking around
  EXPECT_FALSE(set.Add("((a{999}){999}){999}", 1));
  EXPECT_TRUE(set.empty());
}

TEST(PatternSet, RefusesToBuildBeyondItsMemory) {
  PatternSet set(Case::kExact);
  for (int i = 0; i < 400; ++i) {
    ASSERT_TRUE(set.Add("[a-z]" + std::to_string(i) + "(abcdefghij){900}", 1));
  }
  EXPECT_FALSE(set.Build());
}

TEST(PatternSet, FindsTheSameTogetherAndOneByOne) {
  std::mt19937_64 chance(3);
  for (const int size : {1, 2, 8, 9, 40}) {
    PatternSet all(Case::kFold);
    std::vector<PatternSet> each;
    for (int i = 0; i < size; ++i) {
      const auto test = static_cast<std::uint32_t>(i / 3);
      const std::string expression =
          RandomText(chance, 1, "a") + RandomText(chance, 4, "abAB.") + "b?";
      ASSERT_TRUE(all.Add(expression, test));
      ASSERT_TRUE(each.emplace_back(Case::kFold).Add(expression, test));
      ASSERT_TRUE(each.back().Build());
    }
    ASSERT_TRUE(all.Build());
    for (int i = 0; i < 200; ++i) {
      const std::string value = RandomText(chance, 12, "abcABC");
      Tests expected;
      for (const PatternSet& one : each) expected.merge(Found(one, value));
      ASSERT_EQ(Found(all, value), expected) << value;
    }
  }
}

TEST(PatternSet, TakesLinearTimeOnWhatMakesOthersBacktrack) {
  PatternSet set(Case::kExact);
  ASSERT_TRUE(set.Add("^(a+)+$", 1));
  ASSERT_TRUE(set.Add("^(a|aa)*c$", 2));
  ASSERT_TRUE(set.Add("(x+x+)+y", 3));
  ASSERT_TRUE(set.Build());
  // A backtracking engine needs 2^32768 steps for this; here even 2^15 is one pass.
  EXPECT_EQ(Found(set, std::string(1 << 15, 'a') + "b"), (Tests{}));
  EXPECT_EQ(Found(set, std::string(1 << 15, 'x')), (Tests{}));
  EXPECT_EQ(Found(set, std::string(1 << 15, 'a')), (Tests{1}));
}

TEST(PatternSet, HoldsFiveThousandExpressions) {
  PatternSet set(Case::kFold);
  for (std::uint32_t i = 0; i < 5000; ++i) {
    ASSERT_TRUE(set.Add("bot-" + std::to_string(i) + "[/ ;]", i));
  }
  ASSERT_TRUE(set.Build());
  EXPECT_EQ(Found(set, "Mozilla/5.0 (compatible; Bot-4711/1.0; bot-12;)"), (Tests{12, 4711}));
  EXPECT_EQ(Found(set, "Mozilla/5.0 (X11; Linux x86_64; rv:128.0)"), (Tests{}));
}

TEST(Glob, MatchesTheWholeByItsStars) {
  const struct {
    std::string_view glob, value;
    bool matches;
  } kTable[] = {
      {"/a", "/a", true},         {"/a", "/ab", false},          {"/a", "/A", false},
      {"/*.php", "/x.php", true}, {"/*.php", "/a/x.php", false}, {"/**.php", "/a/x.php", true},
      {"/*.php", "/.php", true},  {"/a/**", "/a/", true},        {"/a/**", "/a/b/c", true},
      {"/a/**", "/a", false},     {"/a?c", "/abc", true},        {"/a?c", "/a/c", false},
      {"/a?c", "/ac", false},     {"/**/b", "/x/y/b", true},     {"*", "", true},
      {"***", "a/b", true},       {"/a.c", "/abc", false},       {"/(a|b)[c]", "/(a|b)[c]", true},
      {"/a*b*c", "/aXbYc", true}, {"/a*b*c", "/aXbY", false},    {"/\xc3\xa9", "/\xc3\xa9", true},
      {"/a", "/a\n", false},
  };
  for (const auto& row : kTable) {
    PatternSet set(Case::kExact);
    ASSERT_TRUE(set.Add(GlobExpression(row.glob), 1));
    ASSERT_TRUE(set.Build());
    EXPECT_EQ(!Found(set, row.value).empty(), row.matches) << row.glob << " on " << row.value;
  }
}

TEST(LiteralSet, FindsWordsInsideAndAcrossOneAnother) {
  LiteralSet set(Case::kFold);
  set.Add("he", 1);
  set.Add("SHE", 2);
  set.Add("his", 3);
  set.Add("hers", 4);
  set.Add("he", 5);
  ASSERT_TRUE(set.Build());
  EXPECT_EQ(Found(set, "uSHers"), (Tests{1, 2, 4, 5}));
  EXPECT_EQ(Found(set, "hi"), (Tests{}));
  EXPECT_EQ(Found(set, ""), (Tests{}));
}

TEST(LiteralSet, AgreesWithFindingEachWord) {
  std::mt19937_64 chance(11);
  for (int round = 0; round < 300; ++round) {
    const Case letter_case = round % 2 == 0 ? Case::kExact : Case::kFold;
    LiteralSet set(letter_case);
    std::vector<std::string> words;
    for (std::uint32_t i = 0; i < 25; ++i) {
      words.push_back("a" + RandomText(chance, 4, "abAB"));
      words.back().erase(0, chance() % words.back().size());
      set.Add(words.back(), i);
    }
    ASSERT_TRUE(set.Build());
    for (int i = 0; i < 20; ++i) {
      const std::string value = RandomText(chance, 12, "abABc");
      Tests expected;
      for (std::uint32_t w = 0; w < words.size(); ++w) {
        const bool fold = letter_case == Case::kFold;
        const std::string text = fold ? LowerAscii(value) : value;
        if (text.find(fold ? LowerAscii(words[w]) : words[w]) != std::string::npos)
          expected.insert(w);
      }
      ASSERT_EQ(Found(set, value), expected) << value;
    }
  }
}

TEST(LiteralSet, TakesAllByteValues) {
  LiteralSet set(Case::kExact);
  for (int c = 0; c < 256; ++c)
    set.Add(std::string(2, static_cast<char>(c)), static_cast<std::uint32_t>(c));
  ASSERT_TRUE(set.Build());
  for (int c = 0; c < 256; ++c) {
    const std::string two(2, static_cast<char>(c));
    EXPECT_EQ(Found(set, "-" + two + "+"), (Tests{static_cast<std::uint32_t>(c)})) << c;
  }
}

TEST(LiteralSet, RefusesToBuildBeyondItsMemory) {
  LiteralSet set(Case::kExact);
  std::mt19937_64 chance(5);
  std::string all;
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  set.Add(all, 0);
  for (std::uint32_t i = 0; i < 4000; ++i)
    set.Add(RandomText(chance, 100, all) + all.substr(0, 20), i);
  EXPECT_FALSE(set.Build());
}

TEST(AffixIndex, AgreesWithAskingEachText) {
  std::mt19937_64 chance(13);
  for (int round = 0; round < 400; ++round) {
    const End end = round % 2 == 0 ? End::kFront : End::kBack;
    const Case letter_case = round % 4 < 2 ? Case::kExact : Case::kFold;
    AffixIndex index(end, letter_case);
    std::vector<std::string> texts;
    for (std::uint32_t i = 0; i < 30; ++i) {
      texts.push_back(RandomText(chance, 5, "abAB\xff"));
      index.Add(texts.back(), i, i % 3 == 0 ? 1 : 0);
    }
    index.Build();
    for (int i = 0; i < 30; ++i) {
      const std::string value = RandomText(chance, 8, "abAB\xff");
      const auto fold = [&](const std::string& text) {
        return letter_case == Case::kFold ? LowerAscii(text) : text;
      };
      Tests expected;
      for (std::uint32_t t = 0; t < texts.size(); ++t) {
        const bool there = end == End::kFront ? fold(value).starts_with(fold(texts[t]))
                                              : fold(value).ends_with(fold(texts[t]));
        if (there && value.size() >= texts[t].size() + (t % 3 == 0 ? 1 : 0)) expected.insert(t);
      }
      ASSERT_EQ(FoundIn(index, value), expected) << value;
    }
  }
}

TEST(ExactIndex, FindsWholeTextsOnly) {
  ExactIndex exact(Case::kExact);
  exact.Add("Abc", 1);
  exact.Add("Abc", 2);
  exact.Add("", 3);
  EXPECT_EQ(FoundIn(exact, "Abc"), (Tests{1, 2}));
  EXPECT_EQ(FoundIn(exact, "abc"), (Tests{}));
  EXPECT_EQ(FoundIn(exact, "Ab"), (Tests{}));
  EXPECT_EQ(FoundIn(exact, ""), (Tests{3}));
  ExactIndex fold(Case::kFold);
  fold.Add("Abc", 1);
  EXPECT_EQ(FoundIn(fold, "aBC"), (Tests{1}));
}

TEST(Patterns, KnowTheCountedRepetitionsThatAreSlow) {
  const std::pair<const char*, const char*> kRows[] = {
      {"a.{30}", ".{30}"},
      {"a[ab]{16}c", "[ab]{16}"},
      {"a.{0,20}b", ".{0,20}"},
      {"x(ab|a){1,40}", "(ab|a){1,40}"},
      {"^.*a.{30}", ".{30}"},
      {"^a|b.{30}", ".{30}"},
      {"\\ba\\w{30}", "\\w{30}"},
      // Few times, at one place only, or apart from what stands before it.
      {"a.{15}", ""},
      {"^a.{30}", ""},
      {"(?i)^/a.{30}$", ""},
      {"sid=[0-9a-f]{32}", ""},
      {"sid=([0-9a-f]{32})", ""},
      {"\\.[0-9]{20}", ""},
      {"\\b[0-9a-f]{32}\\b", ""},
      {"[0-9]{20}", ""},
      {"(?:[0-9]{1,3}\\.){3}", ""},
      {"a\\x{41}b", ""},
      {"a[{30}]", ""},
      {"a.{x}", ""},
      {"a.{30", ""},
  };
  for (const auto& [expression, part] : kRows) EXPECT_EQ(SlowPart(expression), part) << expression;
}

}  // namespace
}  // namespace spillway
