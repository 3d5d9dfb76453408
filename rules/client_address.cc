// SPDX-License-Identifier: MIT
// The walk from the peer outwards. Each proxy appends the address it was asked by, so the last
// entry was written by our peer, the one before by the hop that the last entry names, and so on: an
// entry is worth what the hop to its right is worth. The walk stops at the first hop that is not
// trusted, or that cannot be read; everything to the left of it may have been made up by the
// client.
#include "spillway/client_address.h"

#include <array>
#include <optional>

#include "spillway/text.h"

namespace spillway {
namespace {

// Longer chains are no chains: the walk ends there. Bounds the work that a header can cause.
constexpr std::size_t kMostHops = 64;

bool IsPort(std::string_view text) {
  if (text.empty() || text.size() > 5) return false;
  unsigned port = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    port = port * 10 + static_cast<unsigned>(c - '0');
  }
  return port <= 65535;
}

// RFC 7239 6.3: a proxy may hide a port as "_name".
bool IsHiddenPort(std::string_view text) {
  return text.size() > 1 && text[0] == '_' && IsToken(text);
}

// An address with an optional port: "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]",
// "[2001:db8::1]:80", and, where no port can follow, "2001:db8::1".
std::optional<IpAddress> ParseHop(std::string_view text, bool forwarded) {
  std::string_view host = text, port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return {};
    host = text.substr(1, close - 1);
    if (host.find(':') == std::string_view::npos) return {};
    text.remove_prefix(close + 1);
    has_port = !text.empty();
    if (has_port && text[0] != ':') return {};
    if (has_port) port = text.substr(1);
  } else if (const std::size_t colon = text.find(':');
             colon != std::string_view::npos &&
             text.find(':', colon + 1) == std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    has_port = true;
  } else if (forwarded && colon != std::string_view::npos) {
    return {};  // RFC 7239 6: IPv6 only in brackets
  }
  if (has_port && !IsPort(port) && !(forwarded && IsHiddenPort(port))) return {};
  return IpAddress::Parse(host);
}

// The last entries of one Forwarded line, in order, oldest overwritten.
struct Hops {
  std::array<std::optional<IpAddress>, kMostHops> ring;  // nullopt: cannot be read
  std::size_t count = 0;
  void Add(std::optional<IpAddress> hop) { ring[count++ % kMostHops] = hop; }
};

// One Forwarded line (RFC 7239 4), read from the left because of its quoted strings. A syntax error
// anywhere makes the whole line unreadable: a quote that a client left open would otherwise
// swallow, or hide, what the proxies wrote after it.
class ForwardedReader {
 public:
  ForwardedReader(std::string_view line, Hops* hops) : line_(line), hops_(hops) {}

  bool Read() {
    do {
      if (!ReadElement()) return false;
    } while (Take(','));
    return line_.empty();
  }

 private:
  bool ReadElement() {
    std::optional<IpAddress> hop;
    bool seen = false;
    do {
      SkipSpace();
      const std::string_view name = TakeToken();
      if (name.empty() || !Take('=') || !TakeValue()) return false;
      SkipSpace();
      if (EqualsIgnoreCase(name, "for")) {
        if (seen) return false;
        seen = true;
        hop = ParseHop({value_.data(), size_}, true);  // "unknown" and "_hidden" are no addresses
      }
    } while (Take(';'));
    hops_->Add(hop);
    return true;
  }

  // A token or a quoted string into value_. What is longer than any address is cut: it is none.
  bool TakeValue() {
    size_ = 0;
    if (!Take('"')) {
      const std::string_view token = TakeToken();
      for (char c : token) Append(c);
      return !token.empty();
    }
    for (;;) {
      if (line_.empty()) return false;
      char c = line_.front();
      line_.remove_prefix(1);
      if (c == '"') return true;
      if (c == '\\') {
        if (line_.empty()) return false;
        c = line_.front();
        line_.remove_prefix(1);
      }
      Append(c);
    }
  }

  void Append(char c) {
    if (size_ < value_.size()) value_[size_++] = c;
  }
  bool Take(char c) {
    if (line_.empty() || line_.front() != c) return false;
    line_.remove_prefix(1);
    return true;
  }
  void SkipSpace() {
    while (!line_.empty() && (line_.front() == ' ' || line_.front() == '\t'))
      line_.remove_prefix(1);
  }
  std::string_view TakeToken() {
    std::size_t size = 0;
    while (size < line_.size() && IsTokenChar(line_[size])) ++size;
    const std::string_view token = line_.substr(0, size);
    line_.remove_prefix(size);
    return token;
  }

  std::string_view line_;
  Hops* hops_;
  std::array<char, 128> value_{};
  std::size_t size_ = 0;
};

class Walk {
 public:
  Walk(const IpAddress& peer, std::span<const IpRange> trusted)
      : client_(peer), trusted_(trusted) {}

  // Both walk over one line, and are false when the walk ends there.
  bool List(std::string_view line) {
    for (;;) {
      const std::size_t comma = line.rfind(',');
      const std::size_t entry = comma == std::string_view::npos ? 0 : comma + 1;
      if (!Step(ParseHop(TrimSpace(line.substr(entry)), false))) return false;
      if (entry == 0) return true;
      line = line.substr(0, comma);
    }
  }
  bool ForwardedLine(std::string_view line) {
    Hops hops;
    if (!ForwardedReader(line, &hops).Read()) return false;
    for (std::size_t left = hops.count; left-- > 0;) {
      if (!Step(hops.ring[left % kMostHops])) return false;
    }
    return true;
  }
  const IpAddress& client() const { return client_; }

 private:
  bool Step(const std::optional<IpAddress>& hop) {
    if (walked_++ == kMostHops || !hop) return false;
    client_ = *hop;
    return Contains(trusted_, client_);
  }

  IpAddress client_;
  std::span<const IpRange> trusted_;
  std::size_t walked_ = 0;
};

}  // namespace

bool Contains(std::span<const IpRange> ranges, const IpAddress& address) {
  for (const IpRange& range : ranges) {
    if (range.Contains(address)) return true;
  }
  return false;
}

IpAddress IdentifyClient(const IpAddress& peer, std::span<const HeaderField> headers,
                         std::span<const IpRange> trusted, std::string_view header) {
  Walk walk(peer, trusted);
  if (!Contains(trusted, peer)) return peer;
  const bool forwarded = EqualsIgnoreCase(header, "forwarded");
  for (std::size_t i = headers.size(); i-- > 0;) {
    if (!EqualsIgnoreCase(headers[i].name, header)) continue;
    const bool on = forwarded ? walk.ForwardedLine(headers[i].value) : walk.List(headers[i].value);
    if (!on) break;
  }
  return walk.client();
}

}  // namespace spillway
