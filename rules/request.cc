// SPDX-License-Identifier: MIT
#include "spillway/request.h"

namespace spillway {

const HeaderField* FindHeader(std::span<const HeaderField> headers, std::string_view name) {
  for (const HeaderField& header : headers) {
    if (EqualsIgnoreCase(header.name, name)) return &header;
  }
  return nullptr;
}

}  // namespace spillway
