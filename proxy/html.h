// SPDX-License-Identifier: MIT
// Text in HTML: what has a meaning there is written so that it has none. Good for content and for
// attribute values in either kind of quotes. Pure.
#pragma once

#include <string>
#include <string_view>

namespace spillway {

inline void AppendHtml(std::string_view text, std::string* out) {
  std::size_t begin = 0;  // of what is not there yet, and goes as it is
  const auto replace = [&](std::size_t at, std::string_view by) {
    out->append(text.substr(begin, at - begin)).append(by);
    begin = at + 1;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
      case '&':
        replace(i, "&amp;");
        break;
      case '<':
        replace(i, "&lt;");
        break;
      case '>':
        replace(i, "&gt;");
        break;
      case '"':
        replace(i, "&quot;");
        break;
      case '\'':
        replace(i, "&#39;");
        break;
      default:
        break;
    }
  }
  out->append(text.substr(begin));
}

inline std::string EscapeHtml(std::string_view text) {
  std::string out;
  AppendHtml(text, &out);
  return out;
}

}  // namespace spillway
