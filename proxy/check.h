// SPDX-License-Identifier: MIT
// `spillway check`: the same loading as at the start, which looks at every file that is opened
// later.
#pragma once

#include <string>

#include "spillway/config.h"
#include "spillway/result.h"

namespace spillway {

struct Checked {
  std::string summary;   // "12 rules, 2 pools, 1 limit, 3 toggles, 1 listener"
  std::string warnings;  // a line or more each; empty: none
  bool has_tests = false;
};

// The error is everything that is wrong, a line or more each.
Result<Checked> CheckConfig(const std::string& path, const Environment& environment);

// Loads it as those who will serve by it do, and runs its tests: one that fails is an error.
tl::expected<Config, Diagnostics> LoadTested(const std::string& path,
                                             const Environment& environment);
// `spillway check` of what a reload would take, its tests included.
Result<Checked> CheckReload(const std::string& path, const Environment& environment);

struct Tested {
  std::size_t tests = 0;
  Diagnostics failures;
};
// `spillway test`. The error is everything that is wrong with the file otherwise.
Result<Tested> TestConfig(const std::string& path, const Environment& environment);

std::string Summarise(const Config& config);

}  // namespace spillway
