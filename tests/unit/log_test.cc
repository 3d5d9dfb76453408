// SPDX-License-Identifier: MIT
#include "proxy/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace spillway {
namespace {

using testing::MatchesRegex;

TEST(Log, WritesOneLineWithUtcTimeAndLevel) {
  log::Init(log::Level::kInfo);
  testing::internal::CaptureStderr();
  log::Info("pool {}: {} servers", "app", 2);
  EXPECT_THAT(
      testing::internal::GetCapturedStderr(),
      MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z info: "
                   "pool app: 2 servers\n"));
}

TEST(Log, SeveralLinesAreSeveralEntries) {
  testing::internal::CaptureStderr();
  log::Write(log::Level::kError, "first\n\nsecond\n");
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              MatchesRegex("[^ ]+ error: first\n[^ ]+ error: second\n"));
}

TEST(Log, LinesBelowTheLevelAreNotWritten) {
  log::SetLevel(log::Level::kWarning);
  EXPECT_FALSE(log::Enabled(log::Level::kInfo));
  EXPECT_TRUE(log::Enabled(log::Level::kWarning));
  testing::internal::CaptureStderr();
  log::Info("quiet");
  log::Warning("loud");
  log::SetLevel(log::Level::kInfo);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), MatchesRegex("[^ ]+ warning: loud\n"));
}

TEST(LogEscape, LeavesNothingThatCouldForgeALine) {
  const struct {
    std::string_view text, escaped;
  } kCases[] = {
      {"", ""},
      {"plain text", "plain text"},
      {"a\nb\r", "a\\x0ab\\x0d"},
      {"say \"hi\" \\", "say \\x22hi\\x22 \\x5c"},
      {"\x1b[31m\x7f\xff", "\\x1b[31m\\x7f\\xff"},
  };
  for (const auto& c : kCases) EXPECT_EQ(log::Escape(c.text), c.escaped);
}

TEST(LogEscape, CutsAtTheLimitAndSaysSo) {
  EXPECT_EQ(log::Escape("abcdef", 6), "abcdef");
  EXPECT_EQ(log::Escape("abcdefg", 6), "abcdef...");
}

}  // namespace
}  // namespace spillway
