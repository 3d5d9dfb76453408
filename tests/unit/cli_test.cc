// SPDX-License-Identifier: MIT
#include "proxy/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <thread>

#include "proxy/admin.h"
#include "proxy/ctl_client.h"
#include "proxy/json.h"
#include "tests/unit/fake_controls.h"
#include "tests/unit/temp_directory.h"

namespace spillway {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class CliTest : public testing::Test {
 protected:
  std::string File(std::string_view name, std::string_view text) {
    return directory_.Write(name, text);
  }
  int Run(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    return RunCli(arguments, {environment_, 1, out_, err_, directory_ / "default.yaml"});
  }

  Environment environment_;
  const TempDirectory directory_;
  std::ostringstream out_, err_;
};

TEST_F(CliTest, HelpAndVersionAreNoErrors) {
  EXPECT_EQ(Run({"--help"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("Examples:"));
  EXPECT_EQ(Run({"--version"}), 0);
  EXPECT_THAT(out_.str(), StartsWith("spillway "));
  EXPECT_EQ(Run({"ctl", "--help"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("toggle"));
}

TEST_F(CliTest, WhatIsTypedWronglyIsUsage) {
  const std::vector<std::string> kCases[] = {
      {},
      {"rnu"},
      {"ctl"},
      {"ctl", "frobnicate"},
      {"ctl", "toggle", "surge"},
      {"ctl", "toggle", "surge", "maybe"},
      {"run", "--nonsense"},
      {"ctl", "--admin", "not an address", "status"},
  };
  for (const auto& arguments : kCases) {
    EXPECT_EQ(Run(arguments), 2) << testing::PrintToString(arguments);
    EXPECT_THAT(err_.str(), Not(IsEmpty()));
  }
}

TEST_F(CliTest, AWrongCommandIsNamedWithTheLegalOnesAndTheOneThatWasMeant) {
  const std::pair<std::vector<std::string>, const char*> kCases[] = {
      {{"chek"},
       "there is no command 'chek'; expected one of run, check, test, explain, replay, ctl, "
       "healthcheck, kinds, schema (did you mean 'check'?)\n"},
      {{"ctl", "--json", "relaod"},
       "there is no command 'ctl relaod'; expected one of status, config, rules, limits, pools, "
       "toggles, toggle, explain, reload, check, drain (did you mean 'reload'?)\n"},
      {{"ctl", "bogus"}, "there is no command 'ctl bogus'; expected one of status, "},
      {{"ctl"}, "the command is missing: spillway ctl ...; expected one of status, "},
      {{}, "the command is missing: spillway ...; expected one of run, "},
      {{"ctl", "toggle", "surge"}, "STATE is missing: on or off"},
  };
  for (const auto& [arguments, words] : kCases) {
    EXPECT_EQ(Run(arguments), 2);
    EXPECT_THAT(err_.str(), HasSubstr(words));
  }
}

// The file is wrong, so that nothing is served; that it is read shows in what is said of it.
TEST_F(CliTest, RunTakesItsFilePlainly) {
  const std::string path = File("site.yaml", "version: 1\nnonsense: 1\n");
  EXPECT_EQ(Run({"run", path}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("nonsense"));
  EXPECT_EQ(Run({"run", "-c", path}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("nonsense"));
  EXPECT_EQ(Run({"run", path, "-c", path}), 2);
  EXPECT_EQ(Run({"run", path, path}), 2);
}

TEST_F(CliTest, CheckSaysWhatIsInAGoodFile) {
  const std::string path =
      File("site.yaml", "version: 1\npools: { app: { servers: [\"127.0.0.1:3000\"] } }\n");
  EXPECT_EQ(Run({"check", path}), 0) << err_.str();
  EXPECT_THAT(out_.str(), StartsWith(path + ": ok (0 rules, 1 pool, "));
}

TEST_F(CliTest, CheckTakesTheFileAsRunDoes) {
  const std::string path =
      File("site.yaml", "version: 1\npools: { app: { servers: [\"127.0.0.1:3000\"] } }\n");
  for (const char* option : {"-c", "--config"}) {
    EXPECT_EQ(Run({"check", option, path}), 0) << err_.str();
    EXPECT_THAT(out_.str(), StartsWith(path + ": ok ("));
  }
  EXPECT_EQ(Run({"check", path, "-c", path}), 2);
}

TEST_F(CliTest, CheckSaysWhoRunsTheTests) {
  const std::string path = File("site.yaml",
                                "version: 1\npools: { app: { servers: [\"127.0.0.1:3000\"] } }\n"
                                "tests: [{ name: wrong, expect: { action: deny } }]\n");
  EXPECT_EQ(Run({"check", path}), 0) << err_.str();
  EXPECT_THAT(out_.str(),
              HasSubstr("its tests have not been run; that does: spillway test " + path));
}

TEST_F(CliTest, CheckPrintsAllThatIsWrongOfAllFiles) {
  const std::string bad =
      File("bad.yaml", "version: 1\npools: { app: { servres: [] } }\nrulse: []\n");
  const std::string good =
      File("good.yaml", "version: 1\npools: { app: { servers: [\"127.0.0.1:3000\"] } }\n");
  EXPECT_EQ(Run({"check", bad, good, directory_ / "none.yaml"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("servres"));
  EXPECT_THAT(err_.str(), HasSubstr("rulse"));
  EXPECT_THAT(err_.str(), HasSubstr("none.yaml"));
  EXPECT_THAT(out_.str(), HasSubstr("good.yaml: ok"));
}

TEST_F(CliTest, CheckReadsTheFilesThatAreOpenedAtTheStart) {
  const std::string path = File("site.yaml",
                                "version: 1\npools: { app: { servers: [\"127.0.0.1:3000\"] } }\n"
                                "admin: { address: \"127.0.0.1:0\", token_file: none.token }\n"
                                "listeners: [{ address: \":8443\", tls: { certificate: none.crt, "
                                "key: none.key } }]\n");
  EXPECT_EQ(Run({"check", path}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("none.crt"));
  EXPECT_THAT(err_.str(), HasSubstr("none.token"));
}

TEST_F(CliTest, CheckWithoutAFileTakesTheOneThatRunWould) {
  environment_["SPILLWAY_UPSTREAM"] = "127.0.0.1:3000";
  EXPECT_EQ(Run({"check"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), StartsWith("environment: ok"));
  File("default.yaml", "version: 1\nnonsense: 1\n");
  EXPECT_EQ(Run({"check"}), 1);
  environment_["SPILLWAY_CONFIG"] =
      File("other.yaml", "version: 1\npools: { app: { servers: [\"127.0.0.1:3000\"] } }\n");
  EXPECT_EQ(Run({"check"}), 0) << err_.str();
}

TEST_F(CliTest, SchemaIsJsonOfAFileOrOfAnIncludedOne) {
  EXPECT_EQ(Run({"schema"}), 0);
  EXPECT_TRUE(ParseJson(out_.str()).value()["properties"].contains("pools"));
  EXPECT_EQ(Run({"schema", "--included"}), 0);
  EXPECT_FALSE(ParseJson(out_.str()).value()["properties"].contains("pools"));
}

TEST_F(CliTest, KindsListsKeysInThreeForms) {
  EXPECT_EQ(Run({"kinds"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("round_robin"));
  EXPECT_EQ(Run({"kinds", "--tsv"}), 0);
  EXPECT_THAT(out_.str(), StartsWith("GROUP\tNAME\t"));
  EXPECT_EQ(Run({"kinds", "--json"}), 0);
  const auto json = ParseJson(out_.str());
  ASSERT_TRUE(json);
  EXPECT_GT(json->size(), 20u);
}

TEST_F(CliTest, CtlAndHealthcheckTellWhenNobodyIsThere) {
  const std::string nobody = "unix:" + directory_ / "none.sock";
  EXPECT_EQ(Run({"ctl", "--admin", nobody, "status"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("cannot reach"));
  EXPECT_EQ(Run({"healthcheck", "--admin", nobody}), 1);
}

// A real admin server on a thread of its own, for the client side.
class CtlTest : public CliTest {
 protected:
  void Serve(const std::string& address, const std::string& token = "") {
    AdminConfig config;
    config.address = *ParseSocketAddress(address, true);
    if (!token.empty()) config.token_file = File("token", token + "\n");
    auto guard = MakeAdminGuard(config);
    ASSERT_TRUE(guard) << guard.error().message;
    auto admin = AdminServer::Open(loop_, server_, *config.address, *guard);
    ASSERT_TRUE(admin) << admin.error().message;
    admin_ = std::move(*admin);
    environment_["SPILLWAY_ADMIN"] = admin_->address();
    thread_ = std::thread([this] { loop_.Run(); });
  }
  ~CtlTest() override {
    loop_.Stop();
    if (thread_.joinable()) thread_.join();
  }

  FakeControls server_{kFakeSite};
  Loop loop_;
  std::unique_ptr<AdminServer> admin_;
  std::thread thread_;
};

TEST_F(CtlTest, AsksAndTellsOverTcp) {
  Serve("127.0.0.1:0");
  EXPECT_EQ(Run({"ctl", "status"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("running, ready"));
  EXPECT_EQ(Run({"ctl", "toggle", "surge", "on", "--for", "30m", "--reason", "a launch"}), 0)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("a launch"));
  EXPECT_EQ(Run({"ctl", "toggles", "--json"}), 0);
  EXPECT_TRUE(ParseJson(out_.str())->at("toggles")[0]["on"]);
  EXPECT_EQ(Run({"ctl", "check"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("all fine"));
  EXPECT_EQ(Run({"healthcheck"}), 0);
}

TEST_F(CtlTest, AsksAndTellsOverAUnixSocket) {
  Serve("unix:" + directory_ / "admin.sock");
  EXPECT_EQ(Run({"ctl", "pools"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("127.0.0.1:3000"));
  EXPECT_EQ(Run({"healthcheck", "--ready"}), 0) << err_.str();
}

TEST_F(CtlTest, ARefusalIsPrintedAndItsExitCodeIsOne) {
  Serve("127.0.0.1:0");
  EXPECT_EQ(Run({"ctl", "toggle", "sruge", "on"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("there is no toggle 'sruge'; expected surge"));
  server_.reload_error_ = "site.yaml:3:1: unknown key 'pool'\n";
  EXPECT_EQ(Run({"ctl", "reload"}), 1);
  EXPECT_EQ(err_.str(), server_.reload_error_);
}

TEST_F(CtlTest, ATokenIsSentFromAFile) {
  Serve("127.0.0.1:0", "correct horse battery");
  EXPECT_EQ(Run({"ctl", "rules"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("a bearer token is needed; name its file with --token-file"));
  EXPECT_THAT(err_.str(), HasSubstr("-c FILE"));
  EXPECT_EQ(Run({"ctl", "rules", "--token-file", File("other", "wrong horse\n")}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("not the one that is set"));
  EXPECT_EQ(Run({"ctl", "rules", "--token-file", directory_ / "token"}), 0) << err_.str();
  environment_["SPILLWAY_ADMIN_TOKEN_FILE"] = directory_ / "token";
  EXPECT_EQ(Run({"ctl", "rules"}), 0) << err_.str();
  EXPECT_EQ(Run({"healthcheck"}), 0);
}

TEST_F(CtlTest, HealthcheckReadyFailsWhileDraining) {
  Serve("127.0.0.1:0");
  EXPECT_EQ(Run({"ctl", "drain"}), 0) << err_.str();
  EXPECT_EQ(Run({"healthcheck"}), 0);
  EXPECT_EQ(Run({"healthcheck", "--ready"}), 1);
}

TEST_F(CtlTest, WhatIsTooLargeIsRefused) {
  Serve("127.0.0.1:0");
  const SocketAddress address = *ParseSocketAddress(admin_->address(), true);
  const auto big_body =
      AskAdmin(address, "", "POST", "/api/v1/reload", std::string(100 * 1024, 'x'), 10s);
  EXPECT_TRUE(!big_body || big_body->status == 413);  // or it hung up while we were sending
  const auto big_head = AskAdmin(address, std::string(20 * 1024, 'x'), "GET", "/livez", "", 10s);
  EXPECT_TRUE(!big_head || big_head->status >= 400);
  EXPECT_THAT(server_.done_, IsEmpty());
  EXPECT_EQ(AskAdmin(address, "", "GET", "/livez", "", 10s)->status, 200);
}

TEST_F(CtlTest, HeadIsAnsweredWithoutABody) {
  Serve("127.0.0.1:0");
  const auto answer =
      AskAdmin(*ParseSocketAddress(admin_->address(), true), "", "HEAD", "/livez", "", 10s);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200);
  EXPECT_THAT(answer->body, IsEmpty());
}

TEST(MakeAdminGuard, WithoutATokenOnlyLoopbackAndUnixSocketsAreAllowed) {
  AdminConfig config;
  config.address = *ParseSocketAddress("0.0.0.0:9901", true);
  EXPECT_FALSE(MakeAdminGuard(config));
  config.address = *ParseSocketAddress(":9901", true);
  EXPECT_FALSE(MakeAdminGuard(config));
  config.address = *ParseSocketAddress("[::1]:9901", true);
  EXPECT_TRUE(MakeAdminGuard(config));
  config.address = *ParseSocketAddress("unix:/run/x.sock", true);
  EXPECT_TRUE(MakeAdminGuard(config));
}

}  // namespace
}  // namespace spillway
