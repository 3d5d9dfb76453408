// SPDX-License-Identifier: MIT
#include "spillway/route.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "spillway/hash.h"

namespace spillway {
namespace {

constexpr int kMostSegments = 5;
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

// Gives the route's text in pieces.
template <class Take>
void EachPiece(std::string_view path, Take take) {
  for (int segments = 0; !path.empty(); ++segments) {
    if (segments == kMostSegments) return take("/*");
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
}

}  // namespace

void AppendRoute(std::string_view path, std::string* out) {
  EachPiece(path, [out](std::string_view piece) { out->append(piece); });
}

std::uint64_t HashRoute(std::string_view method, std::string_view path, std::uint64_t seed) {
  // Five segments of 32 bytes, in pieces of one byte at the least: what does not fit is not told
  // apart.
  std::array<char, 192> text;
  std::size_t used = std::min<std::size_t>(method.size(), 16);
  std::copy_n(method.data(), used, text.data());
  EachPiece(path, [&](std::string_view piece) {
    const std::size_t size = std::min(piece.size(), text.size() - used);
    std::copy_n(piece.data(), size, text.data() + used);
    used += size;
  });
  const std::uint64_t hash = HashBytes({text.data(), used}, seed);
  return hash == 0 ? 1 : hash;
}

}  // namespace spillway
