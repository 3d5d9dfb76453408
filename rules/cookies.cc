// SPDX-License-Identifier: MIT
// The Cookie field (RFC 6265 4.2.1): "name=value; name=value". Names are compared as they stand; a
// value is given as it stands, quotes included. What has no '=' is no cookie.
#include "rules/cookies.h"

#include <algorithm>

#include "spillway/challenge.h"
#include "spillway/text.h"

namespace spillway {

std::optional<std::string_view> TakeCookie(std::string_view* rest, std::string_view name) {
  while (!rest->empty()) {
    const std::size_t end = rest->find(';');
    const std::string_view pair = rest->substr(0, end);
    rest->remove_prefix(end == std::string_view::npos ? rest->size() : end + 1);
    // Most have another name, which is seen without looking for its end.
    const std::size_t begin = std::min(pair.find_first_not_of(" \t"), pair.size());
    if (begin < pair.size() && !name.empty() && pair[begin] != name[0]) continue;
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos && TrimSpace(pair.substr(0, equals)) == name) {
      return TrimSpace(pair.substr(equals + 1));
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> FindCookie(std::string_view cookie_header, std::string_view name) {
  return TakeCookie(&cookie_header, name);
}

}  // namespace spillway
