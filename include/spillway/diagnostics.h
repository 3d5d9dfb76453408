// SPDX-License-Identifier: MIT
// What is wrong with a configuration: every error found, each with its place and a lesson.
// Thread rule: plain values and pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace spillway {

struct Diagnostic {
  std::string file;     // as given on the command line or by include; empty: not about a file
  int line = 0;         // 1-based; 0: not about a line
  int column = 0;       // 1-based, in bytes
  int length = 1;       // how much of the line the marker underlines
  std::string path;     // "rules[2].match.method"; may be empty
  std::string message;  // "unknown method 'GTE'; expected one of GET, HEAD (did you mean 'GET'?)"
  std::string source;   // the text of the line, for the marker; may be empty
};

using Diagnostics = std::vector<Diagnostic>;

// "file:14:15: rules[2].match.method: unknown ...\n  14 |  method: GTE\n     |          ^~~\n"
std::string Format(const Diagnostic& diagnostic);
// All of them, in order of file, line, column.
std::string Format(const Diagnostics& diagnostics);

// What was found, for a message: in single quotes, no longer than a line can bear, control characters
// as escapes.
std::string Quote(std::string_view found);

// "; expected one of a, b, c (did you mean 'b'?)": the second part only for a near miss.
std::string ExpectedOneOf(std::string_view found, const std::vector<std::string>& legal);

}  // namespace spillway
