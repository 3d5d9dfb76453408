// SPDX-License-Identifier: MIT
#include "proxy/table.h"

#include <algorithm>

#include "spillway/printable.h"

namespace spillway {

std::string FormatTable(std::vector<std::vector<std::string>> rows) {
  std::vector<std::size_t> widths;
  // Cells may hold what clients said, and go to a terminal.
  for (auto& row : rows) {
    for (std::string& cell : row) cell = Printable(cell);
  }
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      line.append(widths[i] - row[i].size() + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace spillway
