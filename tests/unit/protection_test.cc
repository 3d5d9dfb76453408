// SPDX-License-Identifier: MIT
#include "spillway/protection.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/test_mac.h"

namespace spillway {
namespace {

constexpr WallTime kNow(std::chrono::seconds(1'800'000'000));
const ClientMark kClient{11, 22};
const TestMac kMac(5);

TEST(Protection, HoldsForItsTimeAndKnowsItsVisitor) {
  const std::string cookie = IssueProtection(kMac, 15min, 77, 5, kClient, kNow);
  const auto read = ReadProtection(kMac, cookie, 5, kClient, kNow + 5min);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->visitor, 77U);
  EXPECT_EQ(read->left, Duration(10min));
  EXPECT_TRUE(ReadProtection(kMac, cookie, 5, kClient, kNow + 15min - 1s));
  EXPECT_FALSE(ReadProtection(kMac, cookie, 5, kClient, kNow + 15min));
}

TEST(Protection, IsBoundToBrowserOrNetwork) {
  const std::string cookie = IssueProtection(kMac, 15min, 77, 5, kClient, kNow);
  EXPECT_TRUE(ReadProtection(kMac, cookie, 5, {11, 99}, kNow));
  EXPECT_TRUE(ReadProtection(kMac, cookie, 5, {99, 22}, kNow));
  EXPECT_FALSE(ReadProtection(kMac, cookie, 5, {98, 99}, kNow));
}

TEST(Protection, IsOfOneHost) {
  const std::string cookie = IssueProtection(kMac, 15min, 77, 5, kClient, kNow);
  EXPECT_FALSE(ReadProtection(kMac, cookie, 6, kClient, kNow));
}

TEST(Protection, EveryChangedByteIsRefused) {
  const std::string cookie = IssueProtection(kMac, 15min, 77, 5, kClient, kNow);
  for (std::size_t i = 0; i < cookie.size(); ++i) {
    std::string changed = cookie;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(ReadProtection(kMac, changed, 5, kClient, kNow)) << i;
  }
  EXPECT_FALSE(ReadProtection(TestMac(6), cookie, 5, kClient, kNow));
  EXPECT_FALSE(ReadProtection(kMac, "", 5, kClient, kNow));
}

TEST(Protection, APassIsNone) {
  const ChallengeDemand demand{ChallengeKind::kCookie, 14, 30min};
  const std::string ticket = IssueTicket(kMac, demand, kClient, "/", kNow, {});
  const auto solved = CheckSolution(kMac, ticket, "", kClient, kNow);
  ASSERT_TRUE(solved);
  EXPECT_FALSE(ReadProtection(kMac, solved->cookie_value, 5, kClient, kNow));
}

}  // namespace
}  // namespace spillway
