// SPDX-License-Identifier: MIT
// Who is asking and how long we wait for them: `clients`.
#include <algorithm>
#include <cctype>

#include "rules/draft.h"

namespace spillway {
namespace {

using Timeouts = ClientConfig::Timeouts;
using Sizes = ClientConfig::Sizes;

constexpr KeyRow<Timeouts> kTimeoutRows[] = {
    {"handshake", "duration 100ms..5m", "10s",
     "from accepting a connection until the PROXY header and the TLS handshake are done",
     &Set<&Timeouts::handshake>},
    {"head", "duration 100ms..5m", "15s", "from the first byte of a request's head to its last",
     &Set<&Timeouts::head>},
    {"body", "duration 100ms..1h", "30s", "the longest silence inside a request's body",
     &Set<&Timeouts::body>},
    {"write", "duration 100ms..1h", "30s", "the longest time in which a client takes no byte",
     &Set<&Timeouts::write>},
    {"idle", "duration 100ms..1h", "65s",
     "how long a connection may wait for the first byte of a request: the first or the next",
     &Set<&Timeouts::idle>},
    {"tunnel", "duration 1s..7d", "1h", "the longest silence in an upgraded connection (WebSocket)",
     &Set<&Timeouts::tunnel>},
};

// Whether it fits the head is known once both can be read: who must write it anew is told before.
void ReadTarget(const Slot& slot, Sizes* out) {
  const std::size_t errors = slot.node.diagnostics().size();
  ReadValue(slot, &out->target);
  if (slot.node.diagnostics().size() > errors) {
    slot.node.diagnostics().back().message += "; it is part of the head, and not above sizes.head";
  }
}

constexpr KeyRow<Sizes> kSizeRows[] = {
    {"head", "size 1KiB..1MiB", "32KiB", "request line and header fields together",
     &Set<&Sizes::head>},
    {"headers", "integer 1..1000", "100", "how many header fields", &Set<&Sizes::headers>},
    {"target", "size 64B..64KiB", "8KiB", "the request target: path and query", &ReadTarget},
    {"user_agent", "size 64B..64KiB", "1KiB",
     "a User-Agent, which rules look at with all their words and expressions",
     &Set<&Sizes::user_agent>},
    {"body", "size 0B..1TiB", "0B", "a request's body; 0B: any size", &Set<&Sizes::body>},
};

constexpr KeyRow<ClientConfig::MinRate> kMinRateRows[] = {
    {"body", "size 0B..1GiB", "250B",
     "a request's body, in bytes a second; each earns the time it may take, up to timeouts.body; "
     "0B: only silence counts, as it does once the answer has begun",
     &Set<&ClientConfig::MinRate::body>},
    {"answer", "size 0B..1GiB", "250B",
     "how fast a client must take what it is sent, in the same way, up to timeouts.write",
     &Set<&ClientConfig::MinRate::answer>},
};

constexpr KeyRow<ClientConfig::Http2> kHttp2Rows[] = {
    {"streams", "integer 1..1000", "100", "requests under way at once on one connection",
     &Set<&ClientConfig::Http2::streams>},
};

void ReadTrustedProxies(const Slot& slot, ClientConfig* out) {
  std::vector<std::string> texts;
  out->trusted_proxies.clear();
  for (const yaml::Node& node : slot.node.Items()) {
    if (!ExpectScalar(node, "an address range such as 10.0.0.0/8")) continue;
    for (const IpRange& range : ReadRanges(node, {std::string(node.text())})) {
      out->trusted_proxies.push_back(range);
    }
  }
}

void ReadAddressHeader(const Slot& slot, ClientConfig* out) {
  auto text = ReadText(slot.node);
  if (!text) return;
  if (!IsToken(*text)) {
    slot.node.Fail("expected the name of a header field, found " + yaml::Quote(*text));
    return;
  }
  std::transform(text->begin(), text->end(), text->begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  out->address_header = *std::move(text);
}

constexpr KeyRow<ClientConfig> kClientRows[] = {
    {"trusted_proxies", "address range, list of these, or nothing", "[]",
     "proxies whose forwarding headers are believed", &ReadTrustedProxies},
    {"address_header", "header name", "x-forwarded-for",
     "the header field in which trusted proxies name the client", &ReadAddressHeader},
    {"ipv6_prefix", "integer 32..128", "64", "how many bits of an IPv6 address make one client",
     &Set<&ClientConfig::ipv6_prefix>},
    {"timeouts", "map", "", "how long to wait for clients",
     &Section<&ClientConfig::timeouts, kTimeoutRows>, &ListSection<kTimeoutRows>},
    {"sizes", "map", "", "how much of a request is accepted",
     &Section<&ClientConfig::sizes, kSizeRows>, &ListSection<kSizeRows>},
    {"min_rate", "map", "", "how slowly a client may send and take, in bytes a second",
     &Section<&ClientConfig::min_rate, kMinRateRows>, &ListSection<kMinRateRows>},
    {"http2", "map", "", "what clients of HTTP/2 may do",
     &Section<&ClientConfig::http2, kHttp2Rows>, &ListSection<kHttp2Rows>},
    {"ambiguous_paths", "pass | refuse", "pass",
     "paths that a server may read otherwise than rules do, such as /a%2F..%2Fb; refuse: answer "
     "400",
     &Set<&ClientConfig::ambiguous_paths>},
    {"connections_per_client", "integer 0..1000000", "0",
     "connections at once from one address (IPv6: one prefix) over all workers, more are reset; "
     "0: any number; trusted proxies are not counted",
     &Set<&ClientConfig::connections_per_client>},
    {"max_connections", "integer 0..10000000", "0",
     "connections at once over all workers, others wait; 0: half of what the descriptor limit "
     "allows",
     &Set<&ClientConfig::max_connections>},
    {"max_requests", "integer 1..1000000000", "10000",
     "requests on one connection, which is then closed gracefully",
     &Set<&ClientConfig::max_requests>},
};

}  // namespace

std::vector<IpRange> ReadRanges(const yaml::Node& node, const std::vector<std::string>& texts) {
  std::vector<IpRange> ranges;
  for (const std::string& text : texts) {
    if (auto range = IpRange::Parse(text)) {
      ranges.push_back(*range);
    } else {
      node.Fail(yaml::Quote(text) + " is not a range of addresses" +
                MeantRange(text, "; expected one such as 10.0.0.0/8 or 2001:db8::/32"));
    }
  }
  return ranges;
}

void ReadClients(const Slot& slot, Draft* draft) {
  ReadKeys(slot.node, kClientRows, slot.loader, &draft->config.clients);
}

void ListClientKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListSection<kClientRows>(name, kinds);
}

}  // namespace spillway
