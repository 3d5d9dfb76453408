// SPDX-License-Identifier: MIT
// Version 1 is a line of text, "PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n"; version 2 is binary:
//
//   12 bytes  0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A
//    1 byte   version (2) << 4 | command (0 LOCAL, 1 PROXY)
//    1 byte   family (0 none, 1 IPv4, 2 IPv6, 3 unix) << 4
//             | transport (0 none, 1 stream, 2 datagram)
//    2 bytes  length of what follows, big endian: addresses, ports, then type-length-value fields
//
// A reader must be able to say "malformed" at the first byte that no valid header could have, so
// that a client which speaks HTTP to such a listener is told off instead of waited for.
#include "spillway/proxy_header.h"

#include <algorithm>
#include <array>

namespace spillway {
namespace {

constexpr std::string_view kLineStart = "PROXY ";
constexpr std::size_t kLongestLine = 107;  // with its CR LF, as the specification says
constexpr std::size_t kLongestAddress = 39;
constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kFixedPart = 16;

using Outcome = ProxyHeader::Outcome;

ProxyHeader Malformed() {
  return {Outcome::kMalformed, 0, {}, 0};
}
ProxyHeader Incomplete() {
  return {};
}

bool StartAgrees(std::string_view bytes, std::string_view expected) {
  const std::size_t size = std::min(bytes.size(), expected.size());
  return bytes.substr(0, size) == expected.substr(0, size);
}

std::optional<std::uint16_t> ParsePort(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return {};
  unsigned port = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return {};
    port = port * 10 + static_cast<unsigned>(c - '0');
  }
  if (port > 65535) return {};
  return static_cast<std::uint16_t>(port);
}

// An address in the notation that the line announced.
std::optional<IpAddress> ParseAddress(std::string_view text, bool six) {
  if (text.size() > kLongestAddress || six != (text.find(':') != text.npos)) return {};
  return IpAddress::Parse(text);
}

// Whether some address begins with `text`: then one of these completes it.
bool MayBecomeAddress(std::string_view text, bool six) {
  constexpr std::string_view kSix[] = {"",   ":",   "::",   "0",     ":0",
                                       ".0", "0.0", ".0.0", "0.0.0", ".0.0.0"};
  constexpr std::string_view kFour[] = {"", "0", ".0", "0.0", ".0.0", "0.0.0", ".0.0.0", "0.0.0.0"};
  std::array<char, kLongestAddress + 8> whole;
  if (text.size() > kLongestAddress) return false;
  const auto works = [&](std::string_view rest) {
    auto end = std::copy(text.begin(), text.end(), whole.begin());
    end = std::copy(rest.begin(), rest.end(), end);
    return ParseAddress({whole.data(), static_cast<std::size_t>(end - whole.begin())}, six)
        .has_value();
  };
  return six ? std::any_of(std::begin(kSix), std::end(kSix), works)
             : std::any_of(std::begin(kFour), std::end(kFour), works);
}

// Version 1, after "PROXY ". Reads word by word; the last one may be cut short.
class LineReader {
 public:
  explicit LineReader(std::string_view bytes) : bytes_(bytes), rest_(bytes) {
    rest_.remove_prefix(kLineStart.size());
  }

  ProxyHeader Read() {
    for (const std::string_view protocol : {"TCP4 ", "TCP6 "}) {
      if (!StartAgrees(rest_, protocol)) continue;
      if (rest_.size() < protocol.size()) return Incomplete();
      rest_.remove_prefix(protocol.size());
      return ReadAddresses(protocol == "TCP6 ");
    }
    constexpr std::string_view kUnknown = "UNKNOWN";
    if (!StartAgrees(rest_, kUnknown)) return Malformed();
    if (rest_.size() <= kUnknown.size()) return Incomplete();
    rest_.remove_prefix(kUnknown.size());
    if (rest_[0] != ' ' && rest_[0] != '\r') return Malformed();
    // Whatever else the line says is to be ignored.
    const std::size_t end = rest_.find_first_of("\r\n");
    const std::size_t used = bytes_.size() - rest_.size();
    if (used + std::min(end, rest_.size()) + 2 > kLongestLine) return Malformed();
    if (end == std::string_view::npos) return Incomplete();
    rest_.remove_prefix(end);
    return ReadEnd();
  }

 private:
  ProxyHeader ReadAddresses(bool six) {
    std::optional<IpAddress> addresses[2];
    for (auto& address : addresses) {
      const std::size_t space = rest_.find(' ');
      if (space == std::string_view::npos) {
        return MayBecomeAddress(rest_, six) ? Incomplete() : Malformed();
      }
      address = ParseAddress(rest_.substr(0, space), six);
      if (!address) return Malformed();
      rest_.remove_prefix(space + 1);
    }
    client_ = addresses[0];
    for (int i = 0; i < 2; ++i) {
      const std::size_t end = rest_.find(i == 0 ? ' ' : '\r');
      if (end == std::string_view::npos) {
        return rest_.empty() || ParsePort(rest_) ? Incomplete() : Malformed();
      }
      const auto port = ParsePort(rest_.substr(0, end));
      if (!port) return Malformed();
      if (i == 0) port_ = *port;
      rest_.remove_prefix(i == 0 ? end + 1 : end);
    }
    return ReadEnd();
  }

  ProxyHeader ReadEnd() {
    if (!StartAgrees(rest_, "\r\n")) return Malformed();
    if (rest_.size() < 2) return Incomplete();
    return {Outcome::kDone, bytes_.size() - rest_.size() + 2, client_, port_};
  }

  std::string_view bytes_, rest_;
  std::optional<IpAddress> client_;
  std::uint16_t port_ = 0;
};

std::uint8_t Byte(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

std::uint16_t Short(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(Byte(bytes, at) << 8 | Byte(bytes, at + 1));
}

// How many bytes of addresses a family has; nullopt for one that does not exist.
std::optional<std::size_t> AddressesSize(std::uint8_t family) {
  switch (family) {
    case 0x00:
      return 0;
    case 0x11:
    case 0x12:
      return 12;
    case 0x21:
    case 0x22:
      return 36;
    case 0x31:
    case 0x32:
      return 216;
    default:
      return {};
  }
}

ProxyHeader ReadBinary(std::string_view bytes) {
  if (bytes.size() <= kSignature.size()) return Incomplete();
  const std::uint8_t command = Byte(bytes, 12);
  if (command != 0x20 && command != 0x21) return Malformed();
  const bool local = command == 0x20;
  if (bytes.size() < 14) return Incomplete();
  const std::uint8_t family = Byte(bytes, 13);
  const auto needed = AddressesSize(family);
  if (!needed) return Malformed();
  // The length's first byte alone can already be too large.
  if (bytes.size() > 14 && kFixedPart + Byte(bytes, 14) * 256U > kMaxProxyHeader)
    return Malformed();
  if (bytes.size() < kFixedPart) return Incomplete();
  const std::size_t size = kFixedPart + Short(bytes, 14);
  // A LOCAL header speaks of the proxy itself, and its addresses are to be skipped, whatever they
  // are.
  if (size > kMaxProxyHeader || (!local && size < kFixedPart + *needed)) return Malformed();
  if (bytes.size() < size) return Incomplete();

  ProxyHeader header{Outcome::kDone, size, {}, 0};
  if (local) return header;
  if (family == 0x11) {
    header.client =
        IpAddress::FromV4(static_cast<std::uint32_t>(Short(bytes, 16)) << 16 | Short(bytes, 18));
    header.client_port = Short(bytes, 24);
  } else if (family == 0x21) {
    std::array<std::uint8_t, 16> address;
    for (std::size_t i = 0; i < 16; ++i) address[i] = Byte(bytes, 16 + i);
    header.client = IpAddress::FromBytes(address);
    header.client_port = Short(bytes, 48);
  }
  // Unix sockets have no address, and datagrams no connection: the peer is all that is known.
  return header;
}

}  // namespace

ProxyHeader ParseProxyHeader(std::string_view bytes) {
  if (StartAgrees(bytes, kSignature)) {
    return bytes.size() < kSignature.size() ? Incomplete() : ReadBinary(bytes);
  }
  if (!StartAgrees(bytes, kLineStart)) return Malformed();
  return bytes.size() < kLineStart.size() ? Incomplete() : LineReader(bytes).Read();
}

}  // namespace spillway
