// SPDX-License-Identifier: MIT
// What each command does, once it is known what was typed. They know nothing of CLI11, and give the
// exit code (proxy/cli.h says which).
#pragma once

#include <string>
#include <vector>

#include "proxy/cli.h"
#include "proxy/ctl.h"
#include "proxy/explain.h"
#include "proxy/replay_command.h"

namespace spillway {

inline constexpr int kExitDone = 0, kExitFailed = 1, kExitUsage = 2;

// What was typed, and what the environment says where nothing was.
struct CliOptions {
  std::string config, run_file;
  std::vector<std::string> check_files, test_files;
  std::string admin, token_file;
  CtlOrder order;
  ExplainOrder explain;
  std::string wanted_state;
  bool readiness = false;
  bool kinds_json = false, kinds_tsv = false;
  bool included = false;
  ReplayOrder replay;
};

int RunServer(const CliOptions& options, const CliWorld& world);
int CheckFiles(const CliOptions& options, const CliWorld& world);
int TestFiles(const CliOptions& options, const CliWorld& world);
int ExplainRequest(const CliOptions& options, const CliWorld& world);
int ReplayLogs(const CliOptions& options, const CliWorld& world);
int AskRunning(const CliOptions& options, const CliWorld& world);  // ctl
int CheckHealth(const CliOptions& options, const CliWorld& world);
int PrintKinds(const CliOptions& options, const CliWorld& world);
int PrintSchema(const CliOptions& options, const CliWorld& world);

}  // namespace spillway
