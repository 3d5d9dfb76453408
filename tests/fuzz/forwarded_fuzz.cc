// SPDX-License-Identifier: MIT
// Any text as forwarding headers (lines are header lines) from a trusted peer. What proxies append
// keeps its meaning whatever a client wrote before it: the client is then the appended address, or
// nothing was believed and it is the peer.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "spillway/client_address.h"

namespace {

using namespace spillway;

void Check(std::string_view input, std::string_view header, const std::string& appended) {
  static const std::vector<IpRange> trusted = {*IpRange::Parse("10.0.0.0/8")};
  static const IpAddress peer = *IpAddress::Parse("10.0.0.1");
  static const IpAddress client = *IpAddress::Parse("2001:db8::1");
  std::vector<HeaderField> fields;
  std::string_view rest = input;
  for (;;) {
    const std::size_t line = rest.find('\n');
    fields.push_back({header, rest.substr(0, line)});
    if (line == rest.npos) break;
    rest.remove_prefix(line + 1);
  }
  IdentifyClient(peer, fields, trusted, header);
  const std::string last = std::string(fields.back().value) + ", " + appended;
  fields.back().value = last;
  const IpAddress seen = IdentifyClient(peer, fields, trusted, header);
  if (seen != client && seen != peer) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  Check(input, "x-forwarded-for", "2001:db8::1");
  Check(input, "x-forwarded-for", "[2001:db8::1]:80");
  Check(input, "forwarded", "for=\"[2001:db8::1]\"");
  Check(input, "forwarded", "for=\"[2001:db8::1]:80\";proto=http;by=\"[2001:db8::2]\"");
  return 0;
}
