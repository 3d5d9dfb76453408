// SPDX-License-Identifier: MIT
#include "proxy/receipts.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace spillway {
namespace {

using Text = Receipt::Text;

TEST(Receipts, FindOneByItsWholeIdOnly) {
  Receipts receipts(8);
  EXPECT_EQ(receipts.Find("aa"), nullptr);
  EXPECT_EQ(receipts.Find(""), nullptr);
  receipts.Add("0123456789abcdef").status = 403;
  receipts.Add("ffff456789abcdef").status = 429;  // its last bytes are the same
  ASSERT_NE(receipts.Find("0123456789abcdef"), nullptr);
  EXPECT_EQ(receipts.Find("0123456789abcdef")->status, 403);
  EXPECT_EQ(receipts.Find("ffff456789abcdef")->status, 429);
  for (const char* other :
       {"", "0123456789ABCDEF", "89abcdef", "0123456789abcdef ", "123456789abcdef"})
    EXPECT_EQ(receipts.Find(other), nullptr) << other;
}

TEST(Receipts, ForgetTheOldestWhenTheyWrap) {
  Receipts receipts(8);
  for (int i = 0; i < 20; ++i)
    receipts.Add("id-" + std::to_string(i)).rule = static_cast<std::uint32_t>(i);
  for (int i = 0; i < 20; ++i) {
    const Receipt* found = receipts.Find("id-" + std::to_string(i));
    ASSERT_EQ(found != nullptr, i >= 12) << i;
    if (found == nullptr) continue;
    EXPECT_EQ(found->rule, static_cast<std::uint32_t>(i));
  }
}

TEST(Receipts, OfAnIdThatCameTwiceTellTheNewest) {
  Receipts receipts(8);
  receipts.Add("same").status = 403;
  receipts.Add("same").status = 429;
  EXPECT_EQ(receipts.Find("same")->status, 429);
}

TEST(Receipts, KeepNothingOfWhatStoodInTheirPlace) {
  Receipts receipts(1);
  Receipt& first = receipts.Add("first");
  first.Set(Text::kUserAgent, std::string(5000, 'a'));
  first.SetMatches(std::vector<RuleMatch>(100));
  first.SetLimits(std::vector<LimitOutcome>(100));
  const Receipt& second = receipts.Add("second");
  EXPECT_FALSE(second.Get(Text::kUserAgent));
  EXPECT_FALSE(second.cut(Text::kUserAgent));
  EXPECT_EQ(second.matches_size + second.limits_size + second.toggles_size, 0);
  EXPECT_FALSE(second.matches_cut || second.limits_cut);
}

TEST(Receipts, TellAnEmptyTextFromNone) {
  Receipts receipts(1);
  Receipt& receipt = receipts.Add("x");
  receipt.Set(Text::kReferer, "");
  EXPECT_EQ(receipt.Get(Text::kReferer), "");
  EXPECT_FALSE(receipt.Get(Text::kUserAgent));
}

TEST(Receipts, CutWhatIsTooLongAndSaySo) {
  Receipts receipts(1);
  const std::string longest(128, 'i');
  Receipt& receipt = receipts.Add(longest);
  receipt.Set(Text::kHost, "example.com");
  for (const Text text : {Text::kRule, Text::kPlace, Text::kLimit, Text::kPath, Text::kUserAgent,
                          Text::kReferer, Text::kAcceptLanguage, Text::kQuery}) {
    receipt.Set(text, std::string(100'000, 'x'));
    EXPECT_TRUE(receipt.cut(text));
  }
  EXPECT_LE(receipt.used, Receipt::kRoom);
  EXPECT_NE(receipts.Find(longest), nullptr);
  EXPECT_EQ(receipt.Get(Text::kHost), "example.com");
  EXPECT_FALSE(receipt.cut(Text::kHost));
  EXPECT_EQ(receipt.Get(Text::kPath), std::string(160, 'x'));
  EXPECT_EQ(receipt.Get(Text::kQuery), "");  // there was no room left
}

TEST(Receipts, KeepTheLimitThatRefusedAndTheFirstRules) {
  Receipts receipts(1);
  Receipt& receipt = receipts.Add("x");
  std::vector<LimitOutcome> limits(6);
  std::vector<RuleMatch> rules(40);
  for (std::uint32_t i = 0; i < limits.size(); ++i) limits[i] = {i, {i != 5, false, 9 - i, {}, {}}};
  for (std::uint32_t i = 0; i < rules.size(); ++i) rules[i].rule = i;
  receipt.SetLimits(limits);
  receipt.SetMatches(rules);
  EXPECT_TRUE(receipt.limits_cut && receipt.matches_cut);
  ASSERT_EQ(receipt.limits_size, Receipt::kMostLimits);
  EXPECT_EQ(receipt.limits[0].limit, 2u);
  EXPECT_EQ(receipt.limits[3].limit, 5u);
  EXPECT_FALSE(receipt.limits[3].allowed);
  EXPECT_EQ(receipt.limits[3].remaining, 4u);
  ASSERT_EQ(receipt.matches_size, Receipt::kMostMatches);
  EXPECT_EQ(receipt.matches[23], 23u);
}

TEST(Receipts, FindTheNewestByTheBeginningOfItsId) {
  Receipts receipts(8);
  receipts.Add("aaaaaa0001").status = 403;
  receipts.Add("aaaaaa0002").status = 429;
  receipts.Add("bbbbbb0001").status = 503;
  const FoundReceipt found = receipts.Search("aaaaaa");
  ASSERT_TRUE(found.receipt);
  EXPECT_EQ(found.receipt->status, 429);
  EXPECT_EQ(found.alike, 2u);
  EXPECT_FALSE(found.whole);
  EXPECT_EQ(receipts.Search("bbbbbb00").alike, 1u);
  for (const char* none : {"", "aaaaa", "aaaaab", "aaaaaa00020", "aaaaa0001"}) {
    EXPECT_FALSE(receipts.Search(none).receipt) << none;
  }
}

TEST(Receipts, AWholeIdIsNoBeginning) {
  Receipts receipts(8);
  receipts.Add("abcdef").status = 403;
  receipts.Add("abcdef01").status = 429;
  const FoundReceipt found = receipts.Search("abcdef");
  EXPECT_TRUE(found.whole);
  EXPECT_EQ(found.receipt->status, 403);
  EXPECT_EQ(found.alike, 0u);
}

TEST(Receipts, ByABeginningOnlyThoseAreFoundThatAreStillRemembered) {
  Receipts receipts(4);
  for (int i = 0; i < 10; ++i) receipts.Add("abcdef-" + std::to_string(i));
  EXPECT_EQ(receipts.Search("abcdef").alike, 4u);
  EXPECT_FALSE(receipts.Search("abcdef-5").receipt);
  EXPECT_TRUE(receipts.Search("abcdef-6").receipt);
}

TEST(Receipts, OfSeveralWorkersTheNewestIsToldUnlessOneHasTheWholeId) {
  Receipts first(2), second(2), third(2);
  const auto add = [](Receipts& to, const char* id, std::int64_t when) { to.Add(id).when = when; };
  add(first, "abcdef1", 5);
  add(second, "abcdef2", 7);
  add(second, "abcdef3", 6);
  add(third, "abcdef", 1);
  FoundReceipt found;
  found.Join(first.Search("abcdef"));
  found.Join(second.Search("abcdef"));
  found.Join(first.Search("nobody"));
  EXPECT_EQ(found.alike, 3u);
  EXPECT_EQ(found.receipt->when, 6);  // of a worker the last, of workers the newest
  found.Join(third.Search("abcdef"));
  EXPECT_TRUE(found.whole);
  EXPECT_EQ(found.receipt->when, 1);
  found.Join(second.Search("abcdef"));
  EXPECT_EQ(found.receipt->when, 1);
  EXPECT_EQ(found.alike, 0u);
}

}  // namespace
}  // namespace spillway
