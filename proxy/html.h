// SPDX-License-Identifier: MIT
// Text in HTML: what has a meaning there is written so that it has none. Good for content and for
// attribute values in either kind of quotes. Pure.
#pragma once

#include <string>
#include <string_view>

namespace spillway {

inline void AppendHtml(std::string_view text, std::string* out) {
  for (const char c : text) {
    switch (c) {
      case '&':
        *out += "&amp;";
        break;
      case '<':
        *out += "&lt;";
        break;
      case '>':
        *out += "&gt;";
        break;
      case '"':
        *out += "&quot;";
        break;
      case '\'':
        *out += "&#39;";
        break;
      default:
        *out += c;
    }
  }
}

inline std::string EscapeHtml(std::string_view text) {
  std::string out;
  AppendHtml(text, &out);
  return out;
}

}  // namespace spillway
