// SPDX-License-Identifier: MIT
#include "spillway/route.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "spillway/hash.h"
#include "spillway/mix.h"

namespace spillway {
namespace {

constexpr std::size_t kLongestName = 32;
constexpr std::size_t kShortestHex = 8;
constexpr std::string_view kId = ":id";

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// Hexadecimal with or without dashes, and with a digit in it, which words such as "decade" lack.
bool IsHex(std::string_view segment) {
  return segment.size() >= kShortestHex && std::any_of(segment.begin(), segment.end(), IsDigit) &&
         std::all_of(segment.begin(), segment.end(),
                     [](unsigned char c) { return std::isxdigit(c) != 0 || c == '-'; });
}

bool IsId(std::string_view segment) {
  if (segment.size() > kLongestName) return true;
  return (!segment.empty() && std::all_of(segment.begin(), segment.end(), IsDigit)) ||
         IsHex(segment);
}

// Gives the route's text in pieces; returns how many segments it has, kMostRouteSegments for more.
template <class Take>
int EachPiece(std::string_view path, Take take) {
  int segments = 0;
  for (; !path.empty(); ++segments) {
    if (segments == kMostRouteSegments) {
      take("/*");
      break;
    }
    path.remove_prefix(path.front() == '/' ? 1 : 0);
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    take("/");
    if (IsId(segment)) {
      take(kId);
      continue;
    }
    for (std::size_t at = 0; at < segment.size();) {
      const bool digit = IsDigit(segment[at]);
      std::size_t end = at;
      while (end < segment.size() && IsDigit(segment[end]) == digit) ++end;
      take(digit ? std::string_view("0") : segment.substr(at, end - at));
      at = end;
    }
  }
  return segments;
}

}  // namespace

void AppendRoute(std::string_view path, std::string* out) {
  EachPiece(path, [out](std::string_view piece) { out->append(piece); });
}

RouteHash HashRoute(std::string_view method, std::string_view path, std::uint64_t seed) {
  // Five segments of 32 bytes, in pieces of one byte at the least: what does not fit is not told
  // apart.
  std::array<char, 192> text;
  std::size_t used = std::min<std::size_t>(method.size(), 16);
  std::copy_n(method.data(), used, text.data());
  const std::size_t method_size = used;
  std::size_t first = 0;  // where the first segment ends
  const int segments = EachPiece(path, [&](std::string_view piece) {
    if (first == 0 && used > method_size && piece.front() == '/') first = used;
    const std::size_t size = std::min(piece.size(), text.size() - used);
    std::copy_n(piece.data(), size, text.data() + used);
    used += size;
  });
  // A name in the root is a page or not, as one below it is.
  const std::string_view shared{text.data(), first == 0 ? method_size : first};
  const std::uint64_t route = HashBytes({text.data(), used}, seed);
  const std::uint64_t family = Mix(HashBytes(shared, seed) + static_cast<std::uint64_t>(segments));
  return {route == 0 ? 1 : route, family == 0 ? 1 : family};
}

}  // namespace spillway
