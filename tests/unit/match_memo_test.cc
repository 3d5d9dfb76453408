// SPDX-License-Identifier: MIT
#include "spillway/match_memo.h"

#include <gtest/gtest.h>

#include <cstring>
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
  MatchMemo memo({1, 2});
  EXPECT_EQ(memo.Find(0, kFirst, memo.Hash("a")), nullptr);
  memo.Learn(Few(5));
  EXPECT_EQ(memo.Find(0, kFirst, memo.Hash("")), nullptr) << "the empty text is one too";
  memo.Learn({});
  ASSERT_NE(memo.Find(0, kFirst, memo.Hash("a")), nullptr);
  EXPECT_EQ(List(*memo.Find(0, kFirst, memo.Hash("a"))), (std::vector<std::uint32_t>{5}));
  ASSERT_NE(memo.Find(0, kFirst, memo.Hash("")), nullptr);
  EXPECT_EQ(List(*memo.Find(0, kFirst, memo.Hash(""))), (std::vector<std::uint32_t>{}));
}

TEST(MatchMemo, KeepsFieldsApart) {
  MatchMemo memo({1, 2});
  memo.Find(3, kFirst, memo.Hash("text"));
  memo.Learn(Few(1));
  EXPECT_EQ(memo.Find(4, kFirst, memo.Hash("text")), nullptr);
  EXPECT_NE(memo.Find(3, kFirst, memo.Hash("text")), nullptr);
}

TEST(MatchMemo, LearnsTheHalvesOfAFieldOneByOne) {
  MatchMemo memo({1, 2});
  memo.Find(3, kSecond, memo.Hash("text"));
  memo.Learn(Few(1));
  EXPECT_EQ(memo.Find(3, kFirst, memo.Hash("text")), nullptr);
  memo.Learn(Few(2));
  ASSERT_NE(memo.Find(3, kFirst, memo.Hash("text")), nullptr);
  EXPECT_EQ(List(*memo.Find(3, kFirst, memo.Hash("text"))), (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(List(*memo.Find(3, kSecond, memo.Hash("text"))), (std::vector<std::uint32_t>{1, 2}));
}

TEST(MatchMemo, AHalfOfTooManyTestsIsNotKnownAndLeavesTheOther) {
  MatchMemo memo({1, 2});
  memo.Find(3, kFirst, memo.Hash("text"));
  FewTests two = Few(1);
  two.Add(2);
  memo.Learn(two);
  EXPECT_EQ(memo.Find(3, kSecond, memo.Hash("text")), nullptr);
  memo.Learn(Few(3));
  EXPECT_EQ(memo.Find(3, kSecond, memo.Hash("text")), nullptr);
  ASSERT_NE(memo.Find(3, kFirst, memo.Hash("text")), nullptr);
  EXPECT_EQ(List(*memo.Find(3, kFirst, memo.Hash("text"))), (std::vector<std::uint32_t>{1, 2}));
}

TEST(MatchMemo, KeepsShortTextsApartInAllFields) {
  MatchMemo memo({1, 2});
  memo.Find(2, kFirst, memo.Hash("Bbcab"));
  memo.Learn(Few(1));
  for (int number = 0; number < 4 * 4 * 4 * 4 * 4; ++number) {
    std::string text;
    for (int rest = number, i = 0; i < 5; ++i, rest /= 4) text += "Babc"[rest % 4];
    for (std::uint32_t field = 0; field < 8; ++field) {
      EXPECT_EQ(memo.Find(field, kFirst, memo.Hash(text)) != nullptr, field == 2 && text == "Bbcab")
          << text;
      EXPECT_EQ(memo.Find(field, kSecond, memo.Hash(text)), nullptr) << text;
    }
  }
}

// Pairs that a fast keyed hash takes for one another, one of a few hundred, whatever its key: two
// stripes that it mixes with words a known distance apart, in both of which one bit changes.
TEST(MatchMemo, TextsMadeToCollideAreToldApart) {
  constexpr std::uint32_t kDistance = 0x0609fbf0;  // between such words of XXH3
  MatchMemo memo({1, 2});
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const auto word = static_cast<std::uint32_t>(random());
    const std::uint32_t difference = word ^ (word + kDistance);
    std::string learned(960, 'a');
    std::memcpy(learned.data() + 768, &difference, sizeof difference);
    std::memset(learned.data(), 0, sizeof difference);
    learned[7] = 'q';
    learned[775] = i % 2 == 0 ? 'q' : static_cast<char>('q' | 0x80);
    std::string other = learned;
    other[7] = static_cast<char>(other[7] ^ 0x80);
    other[775] = static_cast<char>(other[775] ^ 0x80);
    if (memo.Find(0, kFirst, memo.Hash(learned)) == nullptr) memo.Learn({});
    ASSERT_NE(memo.Find(0, kFirst, memo.Hash(learned)), nullptr);
    ASSERT_EQ(memo.Find(0, kFirst, memo.Hash(other)), nullptr) << i;
  }
}

TEST(MatchMemo, DoesNotLearnByAskingAlone) {
  MatchMemo memo({1, 2});
  EXPECT_EQ(memo.Find(0, kFirst, memo.Hash("too many tests hold for it")), nullptr);
  EXPECT_EQ(memo.Find(0, kFirst, memo.Hash("too many tests hold for it")), nullptr);
}

TEST(MatchMemo, TextsThatComeOnceLeaveThoseThatComeOften) {
  MatchMemo memo({7, 8});
  const auto popular = [](int i) { return "popular " + std::to_string(i); };
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 1000; ++i) {
      if (memo.Find(0, kFirst, memo.Hash(popular(i))) == nullptr) memo.Learn(Few(1));
    }
  }
  int known = 0;
  for (int i = 0; i < 20 * static_cast<int>(MatchMemo::kTexts); ++i) {
    if (memo.Find(0, kFirst, memo.Hash("once " + std::to_string(i))) == nullptr) memo.Learn({});
    if (i % 1000 == 0) memo.Find(0, kFirst, memo.Hash(popular(i / 1000 % 1000)));
  }
  for (int i = 0; i < 1000; ++i) known += memo.Find(0, kFirst, memo.Hash(popular(i))) != nullptr;
  EXPECT_GE(known, 900);
}

// A value at the same place, or at none, is another request's.
TEST(MatchMemo, HashesATextAnewForEachRequest) {
  RuleBook book(R"(
- { name: first, match: { header.x-a: { contains: bad } }, action: deny })");
  std::string value = "bad";
  std::vector<HeaderField> headers = {{"x-a", value}};
  Request request;
  request.headers = headers;
  EXPECT_EQ(ActionName(book.JudgeRequest(request).action), "deny");
  value = "dab";
  headers[0].value = value;
  EXPECT_EQ(ActionName(book.JudgeRequest(request).action), "forward");
  value = "bad";
  EXPECT_EQ(ActionName(book.JudgeRequest(request).action), "deny");
  headers[0].value = {};
  EXPECT_EQ(ActionName(book.JudgeRequest(request).action), "forward");
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
  MatchMemo memo({1, 2});
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
