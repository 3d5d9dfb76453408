// SPDX-License-Identifier: MIT
// `spillway check`: the same loading as at the start, and a look at every file that is only opened
// then.
#pragma once

#include <string>

#include "spillway/config.h"
#include "spillway/result.h"

namespace spillway {

// "12 rules, 2 pools, 1 limit, 3 toggles, 1 listener", or everything that is wrong, a line or more
// each.
Result<std::string> CheckConfig(const std::string& path, const Environment& environment);

std::string Summarise(const Config& config);

}  // namespace spillway
