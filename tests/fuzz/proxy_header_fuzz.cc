// SPDX-License-Identifier: MIT
// Any bytes where a PROXY header is expected: however they are cut, the answer only goes from
// "more" to one final answer, and never waits beyond the longest header.
#include <cstdint>
#include <cstdlib>

#include "spillway/proxy_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using spillway::ProxyHeader;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ProxyHeader whole = spillway::ParseProxyHeader(bytes);
  bool final_answer = false;
  for (std::size_t cut = 0; cut <= bytes.size() && cut <= spillway::kMaxProxyHeader; ++cut) {
    const ProxyHeader part = spillway::ParseProxyHeader(bytes.substr(0, cut));
    if (part.outcome == ProxyHeader::Outcome::kIncomplete) {
      if (final_answer || cut == spillway::kMaxProxyHeader) std::abort();
      continue;
    }
    if (!final_answer && part.outcome == ProxyHeader::Outcome::kDone && part.size != cut)
      std::abort();
    final_answer = true;
    if (part.outcome != whole.outcome || part.size != whole.size || part.client != whole.client ||
        part.client_port != whole.client_port) {
      std::abort();
    }
  }
  return 0;
}
