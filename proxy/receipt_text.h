// SPDX-License-Identifier: MIT
// How a text gets into a receipt. Apart from receipts.h, so that the compiler can fold it where every
// refusal pays for it (exchange_receipt.cc): a dozen calls of memcpy for a few bytes each cost twice
// what the rest of a receipt does.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "proxy/receipts.h"

namespace spillway {

// The most bytes of each text. Together they may be more than there is room for.
inline constexpr std::array<std::uint16_t, Receipt::kTexts> kMostOfText = {
    128,  // id, as long as one may be that is taken from a trusted proxy
    48,   // client
    64,   // rule
    80,   // place
    48,   // limit
    16,   // method
    80,   // host
    160,  // path
    240,  // user agent
    120,  // referer
    64,   // accept-language
    36,   // ja4
    120,  // query
};

// Two pieces of `Piece`'s size that may overlap. REQUIRES: size is one to two times that.
template <class Piece>
inline void CopyTwo(char* to, const char* from, std::size_t size) {
  Piece first, last;
  std::memcpy(&first, from, sizeof(Piece));
  std::memcpy(&last, from + size - sizeof(Piece), sizeof(Piece));
  std::memcpy(to, &first, sizeof(Piece));
  std::memcpy(to + size - sizeof(Piece), &last, sizeof(Piece));
}

inline void CopyShort(char* to, const char* from, std::size_t size) {
  using Two = std::array<std::uint64_t, 2>;
  if (size > 32) {
    std::memcpy(to, from, size);
  } else if (size >= 16) {
    CopyTwo<Two>(to, from, size);
  } else if (size >= 8) {
    CopyTwo<std::uint64_t>(to, from, size);
  } else if (size >= 4) {
    CopyTwo<std::uint32_t>(to, from, size);
  } else if (size >= 2) {
    CopyTwo<std::uint16_t>(to, from, size);
  } else if (size == 1) {
    *to = *from;
  }
}

inline void SetText(Receipt& receipt, Receipt::Text text, std::string_view value) {
  const auto at = static_cast<std::size_t>(text);
  const std::size_t used = receipt.used;
  std::size_t size = value.size();
  if (const std::size_t most = std::min<std::size_t>(kMostOfText[at], Receipt::kRoom - used);
      size > most) [[unlikely]] {
    size = most;
    receipt.cut_texts |= Receipt::Bit(text);
  }
  receipt.set_texts |= Receipt::Bit(text);
  receipt.begins[at] = receipt.used;
  receipt.sizes[at] = static_cast<std::uint16_t>(size);
  CopyShort(receipt.texts.data() + used, value.data(), size);
  receipt.used = static_cast<std::uint16_t>(used + size);
}

}  // namespace spillway
