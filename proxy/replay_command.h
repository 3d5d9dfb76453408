// SPDX-License-Identifier: MIT
// `spillway replay`, from what was typed to what is printed.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "spillway/config.h"

namespace spillway {

struct ReplayOrder {
  std::string config = {};                // empty: the environment alone
  std::string against = {};               // empty: nothing is compared
  std::vector<std::string> logs = {};     // "-": standard input
  std::vector<std::string> toggles = {};  // "NAME=on", "NAME=off"
  std::string passes = {};                // "none", "all"; empty: not known
  std::string host = {};                  // of logs that do not hold it; empty: not known
  bool json = false;
};

// The exit code: 0; 1 when something cannot be loaded or read; 2 for what is typed wrongly.
int RunReplay(const ReplayOrder& order, const Environment& environment, std::ostream& out,
              std::ostream& err);

}  // namespace spillway
