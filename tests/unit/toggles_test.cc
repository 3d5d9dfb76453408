// SPDX-License-Identifier: MIT
#include "proxy/toggles.h"

#include <gtest/gtest.h>

#include <csignal>

namespace spillway {
namespace {

const WallTime kNow{std::chrono::seconds(1767225600)};

ToggleConfig Named(const std::string& name) {
  ToggleConfig config;
  config.name = name;
  return config;
}

class TogglesTest : public testing::Test {
 protected:
  TogglesTest() {
    configs_ = {Named("surge"), Named("phones")};
    configs_[0].signal = SIGUSR1;
    configs_[0].max_on = 2h;
    configs_[1].file = "/run/phones";
  }
  void Configure(std::vector<SavedToggle> saved = {}, WallTime now = kNow) {
    toggles_.Configure(configs_, saved, now);
  }
  ToggleStatus Status(std::size_t index) { return toggles_.Statuses().at(index); }
  bool On(std::size_t index) { return toggles_.States().at(index); }
  Result<ToggleChange> Set(const std::string& name, bool on,
                           std::optional<Duration> hold = std::nullopt) {
    return toggles_.Set(name, on, hold, "admin", "because", kNow);
  }

  std::vector<ToggleConfig> configs_;
  Toggles toggles_;
};

TEST_F(TogglesTest, BeginAsTheirDefaultSays) {
  configs_[1].initial = true;
  Configure();
  EXPECT_FALSE(On(0));
  EXPECT_TRUE(On(1));
  EXPECT_EQ(Status(1).cause, "default");
}

TEST_F(TogglesTest, SetTellsWhetherItFlippedAndKeepsWhy) {
  Configure();
  const auto first = Set("phones", true);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->index, 1u);
  EXPECT_TRUE(first->flipped);
  EXPECT_FALSE(Set("phones", true)->flipped);
  EXPECT_EQ(Status(1).cause, "admin");
  EXPECT_EQ(Status(1).reason, "because");
  EXPECT_EQ(toggles_.flips().at({"phones", "admin"}), 1u);
}

TEST_F(TogglesTest, SetOfAnUnknownNameFails) {
  Configure();
  EXPECT_EQ(Set("sruge", true).error().message, "there is no toggle 'sruge'");
}

TEST_F(TogglesTest, AReasonIsKeptWholeOrRefused) {
  Configure();
  const std::string longest(kLongestReason, 'x');
  ASSERT_TRUE(toggles_.Set("phones", true, std::nullopt, "admin", longest, kNow));
  EXPECT_EQ(Status(1).reason, longest);
  const auto refused = toggles_.Set("phones", false, std::nullopt, "admin", longest + "x", kNow);
  EXPECT_EQ(refused.error().message, "`reason` has 501 bytes; expected at most 500");
  EXPECT_TRUE(On(1));
}

TEST_F(TogglesTest, HoldGoesOnlyWithOn) {
  Configure();
  EXPECT_FALSE(Set("phones", false, 5min));
  EXPECT_FALSE(Set("phones", true, 0s));
  ASSERT_TRUE(Set("phones", true, 5min));
  EXPECT_EQ(Status(1).until, kNow + 5min);
  EXPECT_EQ(toggles_.next_expiry(), kNow + 5min);
}

TEST_F(TogglesTest, MaxOnBoundsEveryHold) {
  Configure();
  Set("surge", true);
  EXPECT_EQ(Status(0).until, kNow + 2h);
  Set("surge", true, 5h);
  EXPECT_EQ(Status(0).until, kNow + 2h);
  Set("surge", true, 1h);
  EXPECT_EQ(Status(0).until, kNow + 1h);
}

TEST_F(TogglesTest, ExpireSwitchesOffWhatIsOver) {
  Configure();
  Set("phones", true, 5min);
  EXPECT_TRUE(toggles_.Expire(kNow + 5min - 1s).empty());
  const auto changes = toggles_.Expire(kNow + 5min);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_FALSE(On(1));
  EXPECT_EQ(Status(1).cause, "expired");
  EXPECT_EQ(toggles_.next_expiry(), std::nullopt);
}

TEST_F(TogglesTest, SwitchingOffForgetsTheTimeLimit) {
  Configure();
  Set("phones", true, 5min);
  Set("phones", false);
  EXPECT_EQ(toggles_.next_expiry(), std::nullopt);
}

TEST_F(TogglesTest, ASignalFlipsEachTime) {
  Configure();
  EXPECT_EQ(toggles_.Signal(SIGUSR1, kNow).size(), 1u);
  EXPECT_TRUE(On(0));
  EXPECT_EQ(Status(0).cause, "signal USR1");
  toggles_.Signal(SIGUSR1, kNow);
  EXPECT_FALSE(On(0));
  EXPECT_TRUE(toggles_.Signal(SIGUSR2, kNow).empty());
  EXPECT_EQ(toggles_.flips().at({"surge", "signal USR1"}), 2u);
}

TEST_F(TogglesTest, FollowTheirFile) {
  Configure();
  EXPECT_EQ(toggles_.FileSeen(1, false, kNow), std::nullopt);
  ASSERT_TRUE(toggles_.FileSeen(1, true, kNow));
  EXPECT_TRUE(On(1));
  EXPECT_EQ(toggles_.FileSeen(1, true, kNow), std::nullopt);
  ASSERT_TRUE(toggles_.FileSeen(1, false, kNow));
  EXPECT_FALSE(On(1));
}

TEST_F(TogglesTest, AFlipByHandHoldsUntilTheFileChanges) {
  Configure();
  toggles_.FileSeen(1, true, kNow);
  Set("phones", false);
  EXPECT_EQ(toggles_.FileSeen(1, true, kNow), std::nullopt);
  EXPECT_FALSE(On(1));
  toggles_.FileSeen(1, false, kNow);
  toggles_.FileSeen(1, true, kNow);
  EXPECT_TRUE(On(1));
}

TEST_F(TogglesTest, KeepTheirStateOverAReload) {
  Configure();
  Set("phones", true, 5min);
  std::swap(configs_[0], configs_[1]);
  configs_.push_back(Named("new"));
  Configure();
  EXPECT_TRUE(On(0));
  EXPECT_EQ(Status(0).name, "phones");
  EXPECT_EQ(Status(0).until, kNow + 5min);
  EXPECT_FALSE(On(2));
}

TEST_F(TogglesTest, CountsOfRemovedTogglesGo) {
  Configure();
  Set("phones", true);
  configs_.pop_back();
  Configure();
  EXPECT_TRUE(toggles_.flips().empty());
}

TEST_F(TogglesTest, ComeBackAsSaved) {
  Configure();
  Set("phones", true, 5min);
  const std::vector<SavedToggle> saved = toggles_.Saved();
  toggles_ = Toggles();
  Configure(saved, kNow + 1min);
  EXPECT_TRUE(On(1));
  EXPECT_EQ(Status(1).reason, "because");
  EXPECT_EQ(Status(1).until, kNow + 5min);
  toggles_ = Toggles();
  Configure(saved, kNow + 6min);
  EXPECT_FALSE(On(1));
  EXPECT_EQ(Status(1).cause, "expired");
}

TEST_F(TogglesTest, AFlipByHandAgainstTheFileSurvivesARestart) {
  Configure();
  toggles_.FileSeen(1, true, kNow);
  Set("phones", false);
  const std::vector<SavedToggle> saved = toggles_.Saved();
  toggles_ = Toggles();
  Configure(saved);
  EXPECT_EQ(toggles_.FileSeen(1, true, kNow), std::nullopt);
  EXPECT_FALSE(On(1));
}

TEST_F(TogglesTest, AFileThatWentWhileWeWereDownSwitchesOff) {
  Configure();
  toggles_.FileSeen(1, true, kNow);
  const std::vector<SavedToggle> saved = toggles_.Saved();
  toggles_ = Toggles();
  Configure(saved);
  EXPECT_TRUE(On(1));
  ASSERT_TRUE(toggles_.FileSeen(1, false, kNow));
  EXPECT_FALSE(On(1));
}

TEST_F(TogglesTest, AShorterMaxOnBindsWhatIsOnAlready) {
  Configure();
  Set("surge", true);
  configs_[0].max_on = 1min;
  Configure();
  EXPECT_EQ(Status(0).until, kNow + 1min);
}

TEST(SignalName, SaysTheNameThatAConfigurationUses) {
  EXPECT_EQ(SignalName(SIGUSR2), "USR2");
  EXPECT_EQ(SignalName(SIGRTMIN), "RTMIN");
  EXPECT_EQ(SignalName(SIGRTMIN + 3), "RTMIN+3");
}

}  // namespace
}  // namespace spillway
