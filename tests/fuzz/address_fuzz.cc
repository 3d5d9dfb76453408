// SPDX-License-Identifier: MIT
// Any text as an address or a range: what is read is written so that it reads the same, and the
// system's own reader agrees about what is an address.
#include <arpa/inet.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "spillway/address.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using spillway::IpAddress;
  using spillway::IpRange;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto address = IpAddress::Parse(text);
  if (text.find('\0') == text.npos) {
    in6_addr out;
    const std::string copy(text);
    const bool theirs =
        inet_pton(AF_INET, copy.c_str(), &out) == 1 || inet_pton(AF_INET6, copy.c_str(), &out) == 1;
    if (theirs != address.has_value()) std::abort();
  } else if (address) {
    std::abort();
  }
  if (address && IpAddress::Parse(address->ToString()) != address) std::abort();
  if (const auto range = IpRange::Parse(text)) {
    if (IpRange::Parse(range->ToString()) != range || !range->Contains(range->base)) std::abort();
  }
  return 0;
}
