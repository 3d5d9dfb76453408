// SPDX-License-Identifier: MIT
#include "proxy/trial_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "proxy/check.h"
#include "tests/unit/temp_directory.h"

namespace spillway {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class TrialFilesTest : public testing::Test {
 protected:
  std::string File(std::string_view name, std::string_view text) {
    return directory_.Write(name, text);
  }
  // What is wrong with a site that also has `more`; empty: nothing.
  std::string Wrong(const std::string& more, const Environment& environment = {}) {
    const std::string path =
        File("site.yaml", "version: 1\npools: { app: { servers: [\"127.0.0.1:3000\"] } }\n" + more);
    const Result<Checked> checked = CheckConfig(path, environment);
    warnings_ = checked ? checked->warnings : "";
    if (checked) return "";
    std::string why = checked.error().message;  // without the directory, whose name is by chance
    for (std::size_t at; (at = why.find(directory_ / "")) != std::string::npos;) {
      why.erase(at, directory_.path().size() + 1);
    }
    return why;
  }

  const TempDirectory directory_;
  std::string warnings_;
};

TEST_F(TrialFilesTest, EveryFileThatCannotBeUsedIsToldAtOnceAtItsPlace) {
  File("short.key", "only this");
  File("short.token", "seven77\n");
  const std::string why = Wrong(
      "access_log: { path: none/access.log }\n"
      "admin: { token_file: short.token }\n"
      "challenge: { key_file: short.key }\n"
      "listeners:\n"
      "  - { address: \":8081\", tls: { certificate: none.crt, key: none.key } }\n"
      "rules:\n"
      "  - { action: denny }\n");
  EXPECT_THAT(why, HasSubstr("site.yaml:3:21: access_log.path: cannot write 'none/access.log': "
                             "there is no directory 'none/'\n"));
  EXPECT_THAT(why, HasSubstr("site.yaml:4:22: admin.token_file: the token in the first line of "
                             "'short.token' has 7 characters; expected 8 to 4096\n"));
  EXPECT_THAT(why, HasSubstr("site.yaml:5:24: challenge.key_file: the challenge key in "
                             "'short.key' has 9 bytes; expected 32 to 4096\n"));
  EXPECT_THAT(why,
              HasSubstr("site.yaml:7:45: listeners[0].tls.certificate: cannot read "
                        "certificate 'none.crt': No such file or directory; expected a PEM file "
                        "with certificates\n"));
  EXPECT_THAT(why,
              HasSubstr("site.yaml:7:60: listeners[0].tls.key: cannot read key 'none.key': "
                        "No such file or directory; expected a PEM file with a private key\n"));
  EXPECT_THAT(why, HasSubstr("site.yaml:9:15: rules[0].action: unknown action 'denny'"));
}

TEST_F(TrialFilesTest, OfAFileThatIsNotThereItIsToldWhatItWouldHold) {
  EXPECT_THAT(
      Wrong("geo: { country_file: none.mmdb }\n"),
      HasSubstr("cannot read 'none.mmdb'; expected a database of MaxMind's format (.mmdb)"));
  EXPECT_THAT(Wrong("challenge: { key_file: none.key }\n"),
              HasSubstr("No such file or directory; expected a file of 32 random bytes or more"));
  const std::string tickets = Wrong(
      "listeners:\n"
      "  - { address: \":8081\", tls: { certificate: a.crt, key: a.key, ticket_keys: a.tickets } "
      "}\n");
  EXPECT_THAT(tickets, HasSubstr("'a.tickets': No such file or directory; expected a file of 80"));
}

TEST_F(TrialFilesTest, AnAccessLogThatIsADirectoryIsRefused) {
  std::filesystem::create_directory(directory_ / "log");
  EXPECT_THAT(Wrong("access_log: { path: log }\n"), HasSubstr("3:21: access_log.path: 'log' is a"));
  EXPECT_EQ(Wrong("access_log: { path: log, format: off }\n"), "");
  EXPECT_EQ(Wrong("access_log: { path: log/access.log }\n"), "");
  EXPECT_FALSE(std::filesystem::exists(directory_ / "log/access.log"));  // only tried
}

TEST_F(TrialFilesTest, AnAccessLogWithoutTheRightToWriteItIsRefused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everything";
  ::chmod(File("kept.log", "").c_str(), 0400);
  EXPECT_THAT(Wrong("access_log: { path: kept.log }\n"), HasSubstr("Permission denied"));
  std::filesystem::create_directory(directory_ / "kept");
  ::chmod((directory_ / "kept").c_str(), 0500);
  EXPECT_THAT(Wrong("access_log: { path: kept/a.log }\n"), HasSubstr("Permission denied"));
}

// It is served without: a missing volume must not keep a site from coming up.
TEST_F(TrialFilesTest, AStateFileThatCannotBeKeptIsAWarning) {
  EXPECT_EQ(Wrong("state_file: none/state\n"), "");
  EXPECT_THAT(warnings_, HasSubstr("site.yaml:3:13: state_file: warning: cannot write"));
  EXPECT_THAT(warnings_, HasSubstr("there is no directory"));
  EXPECT_EQ(Wrong("state_file: state\n"), "");
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(TrialFilesTest, FilesThatAreNotInForceAreNotTried) {
  EXPECT_EQ(Wrong("admin: off\n"), "");
  const std::string tls =
      "listeners: [{ address: \":8081\", tls: { certificate: none.crt, key: none.key } }]\n";
  EXPECT_EQ(Wrong(tls, {{"SPILLWAY_LISTEN", ":8080"}}), "");
  EXPECT_EQ(Wrong(tls, {{"SPILLWAY_PORT", "8080"}}), "");
  const std::string token = File("good.token", "correct horse\n");
  EXPECT_EQ(Wrong("admin: { token_file: none }\n", {{"SPILLWAY_ADMIN_TOKEN_FILE", token}}), "");
}

TEST_F(TrialFilesTest, AFileThatAVariableNamesIsToldByTheVariable) {
  EXPECT_EQ(Wrong("", {{"SPILLWAY_CHALLENGE_KEY_FILE", "/nonexistent/key"}}),
            "SPILLWAY_CHALLENGE_KEY_FILE: cannot read challenge key '/nonexistent/key': No such "
            "file or directory; expected a file of 32 random bytes or more\n");
}

// A secret that comes through a pipe comes once.
TEST_F(TrialFilesTest, APipeIsLeftForThoseWhoWillReadIt) {
  ASSERT_EQ(::mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(Wrong("admin: { token_file: pipe }\n"), "");  // and does not wait for a writer
}

}  // namespace
}  // namespace spillway
