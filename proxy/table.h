// SPDX-License-Identifier: MIT
// Text in aligned columns, for the command line.
#pragma once

#include <string>
#include <vector>

namespace spillway {

// Two spaces between columns, none at the end of a line. Widths are counted in bytes.
std::string FormatTable(std::vector<std::vector<std::string>> rows);

}  // namespace spillway
