// SPDX-License-Identifier: MIT
// Is it text? UTF-8 without control characters, but for tab and line ends.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace spillway {

struct TextFault {
  int line = 1;         // 1-based
  int column = 1;       // 1-based, in bytes
  std::string message;  // what is wrong there, and what to do
};

// The first byte that is not text, if there is one.
std::optional<TextFault> FindTextFault(std::string_view text);

}  // namespace spillway
