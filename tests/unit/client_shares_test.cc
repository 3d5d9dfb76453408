// SPDX-License-Identifier: MIT
#include "rules/client_shares.h"

#include <gtest/gtest.h>

namespace spillway {
namespace {

using Standing = ClientShares::Standing;

class ClientSharesTest : public testing::Test {
 protected:
  void Do(int answers) {
    for (int i = 0; i < answers; ++i) shares_.Done();
  }
  // How the last of so many asks stands, by its chance.
  Standing Ask(int times, double chance = 0.999, std::uint64_t client = 7) {
    for (int i = 1; i < times; ++i) shares_.Ask(client, 0.999);
    return shares_.Ask(client, chance);
  }
  ClientShares shares_;
};

TEST_F(ClientSharesTest, WithinItsShareAClientIsFairWhateverTheChance) {
  Do(1000);
  EXPECT_EQ(Ask(50), Standing::kFair);
  EXPECT_EQ(Ask(1), Standing::kAbove);
}

TEST_F(ClientSharesTest, AboveItAClientHasItsTurnAsOftenAsItsShareAllows) {
  Do(1000);
  EXPECT_EQ(Ask(100, 0.49), Standing::kInTurn);
  EXPECT_EQ(Ask(1, 0.51), Standing::kAbove);
}

TEST_F(ClientSharesTest, APageWithAllThatItLoadsIsNotTooMuch) {
  Do(200);
  EXPECT_EQ(Ask(40), Standing::kFair);
  EXPECT_EQ(Ask(1), Standing::kAbove);
}

TEST_F(ClientSharesTest, WhereNothingIsDoneAFewAsksAreFair) {
  EXPECT_EQ(Ask(3), Standing::kFair);
  EXPECT_EQ(Ask(1), Standing::kAbove);
  EXPECT_EQ(Ask(1, 0.5), Standing::kInTurn);
}

TEST_F(ClientSharesTest, WhatOneAsksIsNotHeldAgainstAnother) {
  Do(100);
  Ask(1000);
  EXPECT_EQ(Ask(1, 0.999, 8), Standing::kFair);
}

TEST_F(ClientSharesTest, OlderAsksCountLess) {
  Ask(10);
  ASSERT_EQ(Ask(1), Standing::kAbove);
  for (int i = 0; i < 20; ++i) shares_.Fade();
  EXPECT_EQ(Ask(1), Standing::kFair);
}

}  // namespace
}  // namespace spillway
