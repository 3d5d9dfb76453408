// SPDX-License-Identifier: MIT
// The SPILLWAY_* variables: alone, and over a file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config_text.h"

namespace spillway {
namespace {

using testing::HasSubstr;

TEST(Environment, IsEnoughWithoutAFile) {
  Config c = Loaded(LoadConfig(
      "", MemoryFiles(),
      {{"SPILLWAY_LISTEN", ":8000, [::1]:8001"}, {"SPILLWAY_UPSTREAM", "a:1,10.0.0.1:2"}}));
  EXPECT_EQ(c.file, "");
  ASSERT_EQ(c.listeners.size(), 2u);
  EXPECT_EQ(c.listeners[1].address.text, "[::1]:8001");
  ASSERT_EQ(c.pools.size(), 1u);
  EXPECT_EQ(c.pools[0].name, "app");
  EXPECT_EQ(c.pools[0].servers.size(), 2u);
  EXPECT_NE(c.policy, nullptr);
}

TEST(Environment, MustNameTheUpstreamWithoutAFile) {
  EXPECT_THAT(Errors(LoadConfig("", MemoryFiles(), {})), HasSubstr("SPILLWAY_UPSTREAM"));
  EXPECT_THAT(Errors(LoadConfig("", MemoryFiles(), {{"SPILLWAY_UPSTREAM", ""}})),
              HasSubstr("SPILLWAY_UPSTREAM"));
}

TEST(Environment, GoesOverTheFile) {
  std::string file =
      "version: 1\nworkers: 2\npools: { first: { servers: [x:1] }, second: { servers: [y:1] } }\n";
  Config c = Loaded(LoadText(file, {{"SPILLWAY_PORT", "8001"},
                                    {"SPILLWAY_UPSTREAM", "a:1"},
                                    {"SPILLWAY_ADMIN", "unix:/run/admin"},
                                    {"SPILLWAY_ADMIN_TOKEN_FILE", "token"},
                                    {"SPILLWAY_CHALLENGE_KEY_FILE", "/key"},
                                    {"SPILLWAY_TRUSTED_PROXIES", "10.0.0.0/8, ::1"},
                                    {"SPILLWAY_WORKERS", "3"},
                                    {"SPILLWAY_LOG_LEVEL", "error"},
                                    {"SPILLWAY_ACCESS_LOG", "combined"},
                                    {"SPILLWAY_STATE_FILE", "state"},
                                    {"SPILLWAY_CONFIG", "f.yaml"},
                                    {"PATH", "/bin"}}));
  EXPECT_EQ(c.listeners[0].address.text, ":8001");
  EXPECT_EQ(c.listeners[0].address.port, 8001);
  EXPECT_EQ(c.pools[0].name, "first");
  EXPECT_EQ(c.pools[0].servers[0].address.text, "a:1");
  EXPECT_EQ(c.pools[1].servers[0].address.text, "y:1");
  EXPECT_EQ(c.admin.address->name, "/run/admin");
  EXPECT_EQ(c.admin.token_file, "token");
  EXPECT_EQ(c.challenge.key_file, "/key");
  EXPECT_EQ(c.clients.trusted_proxies.size(), 2u);
  EXPECT_EQ(c.workers, 3u);
  EXPECT_EQ(c.log_level, LogLevel::kError);
  EXPECT_EQ(c.access_log.format, AccessLogConfig::Format::kCombined);
  EXPECT_EQ(c.state_file, "state");
}

TEST(Environment, GivesServersToAFileThatNamesNone) {
  EXPECT_EQ(Errors(LoadText("version: 1\n", {{"SPILLWAY_UPSTREAM", "a:1"}})), "");
  EXPECT_EQ(Errors(LoadText("version: 1\npools: { a: {} }\n", {{"SPILLWAY_UPSTREAM", "a:1"}})), "");
  EXPECT_THAT(
      Errors(LoadText("version: 1\npools: { a: {}, b: {} }\n", {{"SPILLWAY_UPSTREAM", "a:1"}})),
      HasSubstr("pools.b.servers: is missing"));
}

TEST(Environment, ListenGoesBeforePort) {
  Config c = Loaded(LoadText(kTwoLines, {{"SPILLWAY_PORT", "1"}, {"SPILLWAY_LISTEN", ":2"}}));
  ASSERT_EQ(c.listeners.size(), 1u);
  EXPECT_EQ(c.listeners[0].address.port, 2);
}

TEST(Environment, SaysWhatIsWrongByTheVariablesName) {
  const std::tuple<const char*, const char*, const char*> kCases[] = {
      {"SPILLWAY_UPSTREM", "a:1", "did you mean 'SPILLWAY_UPSTREAM'?"},
      {"SPILLWAY_UPSTREAM", "a", "has no ':' and port"},
      {"SPILLWAY_UPSTREAM", ", ,", "no server"},
      {"SPILLWAY_UPSTREAM", "a:1,a:1", "twice"},
      {"SPILLWAY_LISTEN", "8080", "has no ':' and port"},
      {"SPILLWAY_LISTEN", ",", "no address"},
      {"SPILLWAY_LISTEN", ":1,[::]:1", "twice"},
      {"SPILLWAY_PORT", "0", "out of range; expected 1 to 65535"},
      {"SPILLWAY_PORT", "65536", "out of range; expected 1 to 65535"},
      {"SPILLWAY_ADMIN", ":9901", "token_file must be set"},
      {"SPILLWAY_WORKERS", "257", "expected 1 to 256"},
      {"SPILLWAY_WORKERS", "0", "expected 1 to 256"},
      {"SPILLWAY_LOG_LEVEL", "loud", "expected one of debug"},
      {"SPILLWAY_ACCESS_LOG", "on", "expected one of off"},
      {"SPILLWAY_TRUSTED_PROXIES", "10.0.0.0/8,proxy", "'proxy' is not a range of addresses"},
      {"SPILLWAY_STATE_FILE", "a\nb", "more than one line"},
      {"SPILLWAY_STATE_FILE", "a\x01", "control character"},
  };
  for (const auto& [name, value, message] : kCases) {
    std::string errors = Errors(LoadText(kTwoLines, {{name, value}}));
    EXPECT_THAT(errors, testing::StartsWith(name)) << value;
    EXPECT_THAT(errors, HasSubstr(message)) << name;
  }
}

TEST(Environment, ReadsQuotesAndHashesAsTheyAre) {
  EXPECT_EQ(
      Loaded(LoadText(kTwoLines, {{"SPILLWAY_STATE_FILE", "/it's: #1 \"x\" \\n"}})).state_file,
      "/it's: #1 \"x\" \\n");
}

TEST(Environment, LeavesTheVariablesThatKubernetesMakesOfAServiceAlone) {
  EXPECT_EQ(Errors(LoadText(kTwoLines, {{"SPILLWAY_SERVICE_HOST", "10.0.0.1"},
                                        {"SPILLWAY_SERVICE_PORT", "80"},
                                        {"SPILLWAY_SERVICE_PORT_HTTP", "80"},
                                        {"SPILLWAY_PORT", "tcp://10.0.0.1:80"},
                                        {"SPILLWAY_PORT_80_TCP", "tcp://10.0.0.1:80"},
                                        {"SPILLWAY_PORT_80_TCP_ADDR", "10.0.0.1"},
                                        {"SPILLWAY_X_SERVICE_HOST", "10.0.0.1"},
                                        {"SPILLWAY_X_PORT_53_UDP_PROTO", "udp"}})),
            "");
  EXPECT_NE(Errors(LoadText(kTwoLines, {{"SPILLWAY_PORT_X", "1"}})), "");
}

TEST(Environment, CollidesWithTheAdminAddressAloud) {
  EXPECT_THAT(
      Errors(LoadConfig("", MemoryFiles(),
                        {{"SPILLWAY_UPSTREAM", "a:1"}, {"SPILLWAY_LISTEN", "127.0.0.1:9901"}})),
      HasSubstr("a listener has the address of the admin side at 127.0.0.1:9901 already"));
}

}  // namespace
}  // namespace spillway
