// SPDX-License-Identifier: MIT
// A request as a user of the crowd sends it: by one of four browsers, from an address of his own.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace spillway::surge {

inline constexpr std::array<const char*, 4> kBrowsers = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 "
    "Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) "
    "Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Mobile Safari/537.36"};

// `what`: "GET /page/7". A POST carries a small form.
inline std::string RequestText(std::string_view what, std::uint32_t id,
                               const std::map<std::string, std::string>& cookies) {
  std::string text(what);
  text += " HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: ";
  text += kBrowsers[id % kBrowsers.size()];
  text += "\r\nAccept: text/html\r\nX-Forwarded-For: 10." + std::to_string(id >> 16 & 255) + "." +
          std::to_string(id >> 8 & 255) + "." + std::to_string(id & 255) + "\r\n";
  const char* before = "Cookie: ";
  for (const auto& [name, value] : cookies) {
    text += std::exchange(before, "; ") + name + "=" + value;
  }
  if (!cookies.empty()) text += "\r\n";
  text += what.starts_with("POST") ? "Content-Length: 11\r\n\r\nsku=1&qty=2" : "\r\n";
  return text;
}

}  // namespace spillway::surge
