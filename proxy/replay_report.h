// SPDX-License-Identifier: MIT
// What a replay found, for people (80 columns) and for programs.
#pragma once

#include <string>

#include "proxy/json.h"
#include "proxy/replay.h"
#include "proxy/replay_run.h"

namespace spillway {

std::string ReplayText(const Replay& replay, const Reading& reading);
Json ReplayJson(const Replay& replay, const Reading& reading);

// "replay:  45 % of 1.2 GB, 3,456,789 lines"
std::string ProgressText(const Progress& progress);

}  // namespace spillway
