// SPDX-License-Identifier: MIT
#include "spillway/request.h"

#include <algorithm>

#include "rules/text_index.h"

namespace spillway {

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return LowerAscii(x) == LowerAscii(y);
         });
}

const HeaderField* FindHeader(std::span<const HeaderField> headers, std::string_view name) {
  for (const HeaderField& header : headers) {
    if (EqualsIgnoreCase(header.name, name)) return &header;
  }
  return nullptr;
}

}  // namespace spillway
