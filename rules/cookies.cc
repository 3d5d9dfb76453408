// SPDX-License-Identifier: MIT
// The Cookie field (RFC 6265 4.2.1): "name=value; name=value". Names are compared as they stand; a
// value is given as it stands, quotes included. What has no '=' is no cookie.
#include "spillway/challenge.h"

namespace spillway {
namespace {

std::string_view Trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") + 1 - first);
}

}  // namespace

std::optional<std::string_view> FindCookie(std::string_view cookie_header, std::string_view name) {
  while (!cookie_header.empty()) {
    const std::size_t end = cookie_header.find(';');
    const std::string_view pair = cookie_header.substr(0, end);
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos && Trimmed(pair.substr(0, equals)) == name) {
      return Trimmed(pair.substr(equals + 1));
    }
    if (end == std::string_view::npos) break;
    cookie_header.remove_prefix(end + 1);
  }
  return {};
}

}  // namespace spillway
