// SPDX-License-Identifier: MIT
// Where in a request's header fields a name may stand: made once for a request, so that each of the
// names that rules ask for is not compared with all of them. Thread rule: a plain value.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "spillway/request.h"

namespace spillway {

class HeaderIndex {
 public:
  // Forgets the request. REQUIRED before the first Find of the next one.
  void Reset() { ready_ = false; }

  struct Places {
    std::size_t first = 0, end = 0;
  };
  // No field outside of these has that name.
  Places Find(std::span<const HeaderField> headers, std::string_view name) {
    if (!ready_) Make(headers);
    const std::size_t key = Key(name);
    if ((present_ >> key & 1) == 0) return {};
    return {first_[key], end_[key]};
  }

 private:
  static std::size_t Key(std::string_view name) {
    if (name.empty()) return 0;
    // Bit 5 is all that capitals differ by.
    const auto first = static_cast<unsigned char>(name.front()) | 0x20U;
    const auto last = static_cast<unsigned char>(name.back()) | 0x20U;
    return (name.size() * 5 + first + last * 3) & 63;
  }

  void Make(std::span<const HeaderField> headers) {
    ready_ = true;
    present_ = 0;
    for (std::size_t i = 0; i < headers.size(); ++i) {
      const std::size_t key = Key(headers[i].name);
      const std::uint64_t bit = std::uint64_t{1} << key;
      if ((present_ & bit) == 0) first_[key] = static_cast<std::uint32_t>(i);
      present_ |= bit;
      end_[key] = static_cast<std::uint32_t>(i + 1);
    }
  }

  bool ready_ = false;
  std::uint64_t present_ = 0;                  // bit: some name has this key; the rest holds then
  std::array<std::uint32_t, 64> first_, end_;  // by key
};

}  // namespace spillway
