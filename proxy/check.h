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
};

// The error is everything that is wrong, a line or more each.
Result<Checked> CheckConfig(const std::string& path, const Environment& environment);

std::string Summarise(const Config& config);

}  // namespace spillway
