// SPDX-License-Identifier: MIT
// How a text gets into a receipt. Apart from receipts.h, so that the compiler can fold it where every
// refusal pays for it (exchange_receipt.cc): a dozen calls of memcpy for a few bytes each cost twice
// what the rest of a receipt does.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "proxy/copy_short.h"
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

// Writes texts into a receipt, behind those that are there; what it has written is in it once the pen
// is gone. It counts in registers: a byte written to a receipt could be any of the receipt's own
// counts, which the compiler would else load and store anew for each text.
class ReceiptPen {
 public:
  explicit ReceiptPen(Receipt& receipt)
      : receipt_(receipt), set_(receipt.set_texts), used_(receipt.used) {}
  ~ReceiptPen() {
    receipt_.set_texts = static_cast<std::uint16_t>(set_);
    receipt_.used = static_cast<std::uint16_t>(used_);
  }
  ReceiptPen(const ReceiptPen&) = delete;
  ReceiptPen& operator=(const ReceiptPen&) = delete;

  // Each text at most once.
  void Set(Receipt::Text text, std::string_view value) {
    const auto at = static_cast<std::size_t>(text);
    std::size_t size = value.size();
    if (size > kMostOfText[at] || size > Receipt::kRoom - used_) [[unlikely]] {
      size = std::min<std::size_t>(kMostOfText[at], Receipt::kRoom - used_);
      receipt_.cut_texts |= Receipt::Bit(text);
    }
    set_ |= Receipt::Bit(text);
    receipt_.begins[at] = static_cast<std::uint16_t>(used_);
    receipt_.sizes[at] = static_cast<std::uint16_t>(size);
    CopyShort(receipt_.texts.data() + used_, value.data(), size);
    used_ += static_cast<std::uint32_t>(size);
  }

  // Of a field that comes twice the first; that it is not whole is said as of one that is cut.
  void SetFirst(Receipt::Text text, std::string_view value) {
    if ((set_ & Receipt::Bit(text)) != 0) {
      receipt_.cut_texts |= Receipt::Bit(text);
    } else {
      Set(text, value);
    }
  }

 private:
  Receipt& receipt_;
  std::uint32_t set_, used_;
};

}  // namespace spillway
