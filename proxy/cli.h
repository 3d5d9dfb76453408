// SPDX-License-Identifier: MIT
// The command line: the door of CLI11. Says what to do and hands it on.
//
// Exit codes: 0 done; 1 failed or refused (start, check, test, reload, healthcheck); 2 usage; 3 ctl
// cannot reach.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "proxy/service_manager.h"
#include "spillway/config.h"

namespace spillway {

// What the process brings along.
struct CliWorld {
  Environment environment;  // SPILLWAY_*
  std::uint64_t seed = 0;   // from the system's randomness
  std::ostream& out;
  std::ostream& err;
  std::string default_config = "/etc/spillway/spillway.yaml";
  ServiceManager manager = {};
  std::istream* in = nullptr;  // the standard input; null: there is none
};

// `arguments` without the program's name. `run` returns when the server has ended.
int RunCli(const std::vector<std::string>& arguments, const CliWorld& world);

}  // namespace spillway
