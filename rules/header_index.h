// SPDX-License-Identifier: MIT
// Where in a request's header fields a name may stand: made once for a request, so that each of the
// names that rules ask for is not compared with all of them. Who knows beforehand which names will be
// asked for says so, and the many others are passed over. Thread rule: a plain value.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "spillway/request.h"

namespace spillway {

// Names by what they are told apart by at a glance: their sizes, and a key of six bits.
struct HeaderNames {
  std::uint64_t sizes = 0, keys = 0;  // bit: some name has it

  static constexpr HeaderNames All() { return {~std::uint64_t{0}, ~std::uint64_t{0}}; }
  void Add(std::string_view name) {
    sizes |= std::uint64_t{1} << SizeOf(name);
    keys |= std::uint64_t{1} << KeyOf(name);
  }
  static std::size_t SizeOf(std::string_view name) {
    return std::min<std::size_t>(name.size(), 63);
  }
  // The factors keep the names that browsers send apart.
  static std::size_t KeyOf(std::string_view name) {
    if (name.empty()) return 0;
    // Bit 5 is all that capitals differ by.
    const auto first = static_cast<unsigned char>(name.front()) | 0x20U;
    const auto middle = static_cast<unsigned char>(name[name.size() / 2]) | 0x20U;
    const auto last = static_cast<unsigned char>(name.back()) | 0x20U;
    return (name.size() * 5 + first * 8 + last * 8 + middle * 3) & 63;
  }
};

class HeaderIndex {
 public:
  // Forgets the request. REQUIRED before the first Find of the next one, of which these names are
  // likely to be asked for, and no others; one of the others costs another look at all fields.
  void Reset(const HeaderNames& expected = HeaderNames::All()) {
    expected_ = expected;
    ready_ = 0;
  }

  struct Places {
    std::size_t first = 0, end = 0;
  };
  // No field outside of these has that name.
  Places Find(std::span<const HeaderField> headers, std::string_view name) {
    const std::size_t key = HeaderNames::KeyOf(name);
    const bool ready =
        (ready_ >> key & 1) != 0 && (expected_.sizes >> HeaderNames::SizeOf(name) & 1) != 0;
    if (!ready) Make(headers, name);
    if ((present_ >> key & 1) == 0) return {};
    return {first_[key], end_[key]};
  }

 private:
  void Make(std::span<const HeaderField> headers, std::string_view asked) {
    expected_.Add(asked);
    const HeaderNames wanted = expected_;
    ready_ = wanted.keys;
    std::uint64_t present = 0;
    for (std::uint32_t i = 0; i < headers.size(); ++i) {
      const std::string_view name = headers[i].name;
      if ((wanted.sizes >> HeaderNames::SizeOf(name) & 1) == 0) continue;
      const std::size_t key = HeaderNames::KeyOf(name);
      const std::uint64_t bit = std::uint64_t{1} << key;
      if ((wanted.keys & bit) == 0) continue;
      if ((present & bit) == 0) first_[key] = i;
      present |= bit;
      end_[key] = i + 1;
    }
    present_ = present;
  }

  HeaderNames expected_ = HeaderNames::All();
  std::uint64_t ready_ = 0;                    // keys that the rest says something of
  std::uint64_t present_ = 0;                  // keys that some name has; the rest holds then
  std::array<std::uint32_t, 64> first_, end_;  // by key
};

}  // namespace spillway
