// SPDX-License-Identifier: MIT
#include "spillway/match_memo.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/unit/rule_book.h"

namespace spillway {
namespace {

std::vector<std::uint32_t> List(const FewTests& tests) {
  std::vector<std::uint32_t> all;
  tests.ForEach([&](std::uint32_t test) { all.push_back(test); });
  return all;
}

TEST(FewTests, HoldTwoOfSmallNumbers) {
  FewTests tests;
  EXPECT_EQ(List(tests), (std::vector<std::uint32_t>{}));
  EXPECT_TRUE(tests.Add(0));
  EXPECT_TRUE(tests.Add(65534));
  EXPECT_TRUE(tests.Add(0)) << "which it has already";
  EXPECT_EQ(List(tests), (std::vector<std::uint32_t>{0, 65534}));
  EXPECT_FALSE(tests.Add(7));
  FewTests others;
  EXPECT_FALSE(others.Add(65535));
  EXPECT_FALSE(others.Add(0xffffffff));
}

FewTests Few(std::uint32_t test) {
  FewTests tests;
  tests.Add(test);
  return tests;
}

constexpr MatchMemo::Half kFirst = MatchMemo::Half::kFirst, kSecond = MatchMemo::Half::kSecond;

TEST(MatchMemo, KnowsWhatItLearned) {
  MatchMemo memo(1);
  EXPECT_EQ(memo.Find(0, kFirst, "a"), nullptr);
  memo.Learn(Few(5));
  EXPECT_EQ(memo.Find(0, kFirst, ""), nullptr) << "the empty text is one too";
  memo.Learn({});
  ASSERT_NE(memo.Find(0, kFirst, "a"), nullptr);
  EXPECT_EQ(List(*memo.Find(0, kFirst, "a")), (std::vector<std::uint32_t>{5}));
  ASSERT_NE(memo.Find(0, kFirst, ""), nullptr);
  EXPECT_EQ(List(*memo.Find(0, kFirst, "")), (std::vector<std::uint32_t>{}));
}

TEST(MatchMemo, KeepsFieldsApart) {
  MatchMemo memo(1);
  memo.Find(3, kFirst, "text");
  memo.Learn(Few(1));
  EXPECT_EQ(memo.Find(4, kFirst, "text"), nullptr);
  EXPECT_NE(memo.Find(3, kFirst, "text"), nullptr);
}

TEST(MatchMemo, LearnsTheHalvesOfAFieldOneByOne) {
  MatchMemo memo(1);
  memo.Find(3, kSecond, "text");
  memo.Learn(Few(1));
  EXPECT_EQ(memo.Find(3, kFirst, "text"), nullptr);
  memo.Learn(Few(2));
  ASSERT_NE(memo.Find(3, kFirst, "text"), nullptr);
  EXPECT_EQ(List(*memo.Find(3, kFirst, "text")), (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(List(*memo.Find(3, kSecond, "text")), (std::vector<std::uint32_t>{1, 2}));
}

TEST(MatchMemo, AHalfOfTooManyTestsIsNotKnownAndLeavesTheOther) {
  MatchMemo memo(1);
  memo.Find(3, kFirst, "text");
  FewTests two = Few(1);
  two.Add(2);
  memo.Learn(two);
  EXPECT_EQ(memo.Find(3, kSecond, "text"), nullptr);
  memo.Learn(Few(3));
  EXPECT_EQ(memo.Find(3, kSecond, "text"), nullptr);
  ASSERT_NE(memo.Find(3, kFirst, "text"), nullptr);
  EXPECT_EQ(List(*memo.Find(3, kFirst, "text")), (std::vector<std::uint32_t>{1, 2}));
}

TEST(MatchMemo, KeepsShortTextsApartInAllFields) {
  MatchMemo memo(1);
  memo.Find(2, kFirst, "Bbcab");
  memo.Learn(Few(1));
  for (int number = 0; number < 4 * 4 * 4 * 4 * 4; ++number) {
    std::string text;
    for (int rest = number, i = 0; i < 5; ++i, rest /= 4) text += "Babc"[rest % 4];
    for (std::uint32_t field = 0; field < 8; ++field) {
      EXPECT_EQ(memo.Find(field, kFirst, text) != nullptr, field == 2 && text == "Bbcab") << text;
      EXPECT_EQ(memo.Find(field, kSecond, text), nullptr) << text;
    }
  }
}

TEST(MatchMemo, DoesNotLearnByAskingAlone) {
  MatchMemo memo(1);
  EXPECT_EQ(memo.Find(0, kFirst, "too many tests hold for it"), nullptr);
  EXPECT_EQ(memo.Find(0, kFirst, "too many tests hold for it"), nullptr);
}

TEST(MatchMemo, TextsThatComeOnceLeaveThoseThatComeOften) {
  MatchMemo memo(7);
  const auto popular = [](int i) { return "popular " + std::to_string(i); };
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 1000; ++i) {
      if (memo.Find(0, kFirst, popular(i)) == nullptr) memo.Learn(Few(1));
    }
  }
  int known = 0;
  for (int i = 0; i < 20 * static_cast<int>(MatchMemo::kTexts); ++i) {
    if (memo.Find(0, kFirst, "once " + std::to_string(i)) == nullptr) memo.Learn({});
    if (i % 1000 == 0) memo.Find(0, kFirst, popular(i / 1000 % 1000));
  }
  for (int i = 0; i < 1000; ++i) known += memo.Find(0, kFirst, popular(i)) != nullptr;
  EXPECT_GE(known, 900);
}

// The same decisions, whether a text is new, known, or never kept as too many tests hold for it.
TEST(MatchMemo, DecidesNothingByItself) {
  constexpr std::string_view kRules = R"(
- { name: words, match: { user_agent: { contains: [ab, ba, aba, cc] } }, action: { tag: words } }
- { name: caseless, match: { user_agent: { regex: "(?i)bb" } }, action: { tag: caseless } }
- { name: expressions, match: { user_agent: { regex: ["^a.*c$", "b{2}", "[ac]{3}"] } }, action: { tag: expressions } }
- { name: path, match: { path: { regex: "/(ab)+" } }, action: { tag: path } }
- { name: deny, match: { all: [{ user_agent: { contains: ca } }, { not: { user_agent: { regex: "a$" } } }] }, action: deny })";
  RuleBook with{std::string(kRules)}, without{std::string(kRules)};
  MatchMemo memo(1);
  with.memo = &memo;
  without.memo = nullptr;
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string agent, path = "/";
    for (auto size = random() % 7; size > 0; --size) agent += "abcB"[random() % 4];
    for (auto size = random() % 4; size > 0; --size) path += "ab"[random() % 2];
    const Sample sample{.target = path, .headers = {{"User-Agent", agent}}};
    const Verdict& a = with.Judge(sample);
    const Verdict& b = without.Judge(sample);
    ASSERT_EQ(a.rule, b.rule) << agent << ' ' << path;
    ASSERT_EQ(a.tags, b.tags) << agent << ' ' << path;
  }
}

}  // namespace
}  // namespace spillway
