// SPDX-License-Identifier: MIT
// Diagnostics as text, the way a compiler shows them: place, path, lesson, line, marker.
#include "spillway/diagnostics.h"

#include <algorithm>
#include <string_view>
#include <tuple>

#include "spillway/printable.h"

namespace spillway {
namespace {

bool Continues(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

// Lessons have several lines, and lines of files tabs.
std::string Shown(std::string_view text) {
  return Printable(text, "\t\n");
}

// Columns count bytes, a screen shows characters: tabs are kept, and a character's later bytes take
// no room.
std::string Marker(std::string_view source, std::size_t column, std::size_t length) {
  std::string out;
  for (std::size_t i = 0; i < column; ++i) {
    char c = i < source.size() ? source[i] : ' ';
    if (!Continues(c)) out += c == '\t' ? '\t' : ' ';
  }
  out += '^';
  std::size_t end = std::min(column + length, source.size());
  for (std::size_t i = column + 1; i < end; ++i) {
    if (!Continues(source[i])) out += '~';
  }
  return out;
}

}  // namespace

std::string Format(const Diagnostic& diagnostic) {
  std::string out = Shown(diagnostic.file);
  if (diagnostic.line > 0) {
    out += ":" + std::to_string(diagnostic.line) + ":" + std::to_string(diagnostic.column);
  }
  if (!out.empty()) out += ": ";
  if (!diagnostic.path.empty()) out += Shown(diagnostic.path) + ": ";
  out += Shown(diagnostic.message) + "\n";
  if (diagnostic.source.empty() || diagnostic.line < 1 || diagnostic.column < 1) return out;
  std::string number = std::to_string(diagnostic.line);
  out += "  " + number + " | " + Shown(diagnostic.source) + "\n";
  out += "  " + std::string(number.size(), ' ') + " | " +
         Marker(diagnostic.source, static_cast<std::size_t>(diagnostic.column) - 1,
                static_cast<std::size_t>(std::max(diagnostic.length, 1))) +
         "\n";
  return out;
}

std::string Format(const Diagnostics& diagnostics) {
  std::vector<const Diagnostic*> order;
  for (const Diagnostic& diagnostic : diagnostics) order.push_back(&diagnostic);
  std::stable_sort(order.begin(), order.end(), [](const Diagnostic* a, const Diagnostic* b) {
    return std::tie(a->file, a->line, a->column) < std::tie(b->file, b->line, b->column);
  });
  std::string out;
  for (const Diagnostic* diagnostic : order) out += Format(*diagnostic);
  return out;
}

}  // namespace spillway
