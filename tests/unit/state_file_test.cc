// SPDX-License-Identifier: MIT
#include "proxy/state_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "proxy/wall_time.h"
#include "tests/unit/temp_directory.h"

namespace spillway {
namespace {

using testing::HasSubstr;

SavedToggle Sample() {
  SavedToggle toggle;
  toggle.name = "surge";
  toggle.on = true;
  toggle.cause = "admin";
  toggle.reason = "the \"launch\" \xff";  // not UTF-8: must not break the file
  toggle.since = WallTime(std::chrono::seconds(1767225600));
  toggle.until = WallTime(std::chrono::seconds(1767229200));
  toggle.file_seen = false;
  return toggle;
}

class StateFileTest : public testing::Test {
 protected:
  const TempDirectory directory_;
  const std::string path_ = directory_ / "state";
};

TEST_F(StateFileTest, ReadsBackWhatItWrote) {
  ASSERT_TRUE(WriteStateFile(path_, {{Sample()}}));
  const Result<State> state = ReadStateFile(path_);
  ASSERT_TRUE(state) << state.error().message;
  ASSERT_EQ(state->toggles.size(), 1u);
  const SavedToggle& toggle = state->toggles[0];
  EXPECT_EQ(toggle.name, "surge");
  EXPECT_TRUE(toggle.on);
  EXPECT_EQ(toggle.cause, "admin");
  EXPECT_THAT(toggle.reason, HasSubstr("\"launch\""));
  EXPECT_EQ(toggle.since, Sample().since);
  EXPECT_EQ(toggle.until, Sample().until);
  EXPECT_EQ(toggle.file_seen, false);
}

TEST_F(StateFileTest, ReplacesTheFileAsAWholeAndLeavesNothingAside) {
  ASSERT_TRUE(WriteStateFile(path_, {{Sample(), Sample()}}));
  ASSERT_TRUE(WriteStateFile(path_, {}));
  EXPECT_TRUE(ReadStateFile(path_)->toggles.empty());
  const auto entries = std::filesystem::directory_iterator(directory_.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST_F(StateFileTest, NoFileIsAnEmptyState) {
  EXPECT_TRUE(ReadStateFile(path_)->toggles.empty());
}

TEST_F(StateFileTest, AFileThatIsTooLargeIsRefused) {
  std::ofstream(path_) << std::string(2 * 1024 * 1024, ' ');
  EXPECT_THAT(ReadStateFile(path_).error().message, HasSubstr("larger"));
}

TEST_F(StateFileTest, AFailedWriteLeavesNothingBeside) {
  std::filesystem::create_directories(path_ + "/taken");  // a file cannot take its name
  EXPECT_FALSE(WriteStateFile(path_, {}));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

TEST_F(StateFileTest, WritingWhereNothingCanBeWrittenFails) {
  EXPECT_FALSE(WriteStateFile(directory_ / "none/state", {}));
}

TEST(ParseState, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> kCases[] = {
      {"", "not a JSON object"},
      {"[1]", "not a JSON object"},
      {"{\"version\": 1", "not a JSON object"},
      {"{}", "`version` is not 1"},
      {R"({"version": 2})", "`version` is not 1"},
      {R"({"version": 1, "toggles": 3})", "`toggles` is not a list"},
      {R"({"version": 1, "toggles": [7]})", "a toggle has no name"},
      {R"({"version": 1, "toggles": [{"name": "a"}]})", "`on` is neither"},
      {R"({"version": 1, "toggles": [{"name": "a", "on": "yes"}]})", "`on` is neither"},
      {R"({"version": 1, "toggles": [{"name": "a", "on": true}]})", "`since` is not a time"},
      {R"({"version": 1, "toggles": [{"name": "a", "on": true, "since": "2026-01-01T00:00:00Z",
           "until": 5}]})",
       "`until` is not a time"},
  };
  for (const auto& [text, why] : kCases) {
    const Result<State> state = ParseState(text);
    ASSERT_FALSE(state) << text;
    EXPECT_THAT(state.error().message, HasSubstr(why)) << text;
  }
}

TEST(ParseState, KeysItDoesNotKnowAreLeftOut) {
  EXPECT_TRUE(ParseState(R"({"version": 1, "rooms": {}})"));
}

TEST(WallTimeText, GoesThereAndBack) {
  for (const char* text :
       {"1970-01-01T00:00:00Z", "2024-02-29T23:59:59Z", "2199-12-31T12:00:01Z"}) {
    const auto time = ParseTime(text);
    ASSERT_TRUE(time) << text;
    EXPECT_EQ(FormatTime(*time), text);
  }
  for (const char* text :
       {"", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "9999-01-01T00:00:00Z"}) {
    EXPECT_FALSE(ParseTime(text)) << text;
  }
}

}  // namespace
}  // namespace spillway
