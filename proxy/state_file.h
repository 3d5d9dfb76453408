// SPDX-License-Identifier: MIT
// The small file that outlives a restart: the toggles' states, as JSON that a person can read.
// Replaced as a whole (written aside, synced, renamed), so that a crash leaves the old one or the
// new.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/toggles.h"
#include "spillway/result.h"

namespace spillway {

struct State {
  std::vector<SavedToggle> toggles;
};

std::string FormatState(const State& state);
// Strict about what it knows, silent about keys that it does not (a newer version may have written
// them).
Result<State> ParseState(std::string_view text);

// No file: an empty state. At most 1 MiB is read.
Result<State> ReadStateFile(const std::string& path);
// May wait for the disk: a change of a toggle is rare.
Result<void> WriteStateFile(const std::string& path, const State& state);

}  // namespace spillway
