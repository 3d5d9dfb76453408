// SPDX-License-Identifier: MIT
// Where to listen or connect, from text. To listen: ":8080", "0.0.0.0:8080", "[::1]:8443",
// "unix:/path". To connect: "app:3000", "10.0.0.5:3000", "[2001:db8::1]:3000", "unix:/path". Common
// slips (a URL, a bare port, IPv6 without brackets) get a sentence of their own.
#include "rules/scalars.h"

namespace spillway {
namespace {

// What fits sockaddr_un beside its final NUL.
constexpr std::size_t kMaxUnixPath = 107;

std::string_view Forms(bool listening) {
  return listening ? "expected ':8080', '127.0.0.1:8080', '[::1]:8080' or 'unix:/path'"
                   : "expected 'host:port', '10.0.0.5:3000', '[2001:db8::1]:3000' or 'unix:/path'";
}

tl::unexpected<Error> Refuse(std::string_view text, std::string_view why, bool listening) {
  return Fail(yaml::Quote(text) + " " + std::string(why) + "; " + std::string(Forms(listening)));
}

Result<SocketAddress> ParseUnix(std::string_view text, std::string_view path, bool listening) {
  if (path.empty() || path[0] != '/') return Refuse(text, "has no absolute path", listening);
  if (path.size() > kMaxUnixPath) {
    return Fail("the path of a unix socket has at most 107 bytes, this one " +
                std::to_string(path.size()));
  }
  for (char c : path) {
    if (static_cast<unsigned char>(c) < 0x20)
      return Refuse(text, "has a control character", listening);
  }
  SocketAddress address;
  address.form = SocketAddress::Form::kUnix;
  address.name = path;
  address.text = text;
  return address;
}

Result<std::uint16_t> ParsePort(std::string_view text, std::string_view digits, bool listening) {
  Result<std::uint64_t> port = ParseInteger(digits);
  if (!port) return Refuse(text, "has no port", listening);
  std::uint64_t low = listening ? 0 : 1;
  if (*port < low || *port > 65535) {
    return Fail("port " + std::string(yaml::Quote(digits)) + " is out of range; expected " +
                std::to_string(low) + " to 65535");
  }
  return static_cast<std::uint16_t>(*port);
}

// `host` into *address: an IP, or a name where one is legal.
Result<void> SetHost(std::string_view text, std::string_view host, bool bracketed, bool listening,
                     SocketAddress* address) {
  if (host.empty() && !bracketed) {
    if (!listening) return Refuse(text, "has no host", listening);
    return {};  // the wildcard, which IpAddress begins as
  }
  std::optional<IpAddress> ip = IpAddress::Parse(host);
  bool colons = host.find(':') != std::string_view::npos;
  if (ip && colons == bracketed) {
    address->ip = *ip;
    return {};
  }
  if (bracketed) return Refuse(text, "has no IPv6 address between its brackets", listening);
  if (colons) return Refuse(text, "is an IPv6 address without brackets", listening);
  // "10.0.0.256" and "10.1" are slips, not names.
  bool numeric = host.find_first_not_of("0123456789.") == std::string_view::npos;
  if (numeric || !IsHostName(host)) return Refuse(text, "has no valid host", listening);
  if (listening) return Refuse(text, "has a name where only an IP address can be", listening);
  address->form = SocketAddress::Form::kName;
  address->name = host;
  return {};
}

}  // namespace

Result<SocketAddress> ParseSocketAddress(std::string_view text, bool listening) {
  if (text.substr(0, 5) == "unix:") return ParseUnix(text, text.substr(5), listening);
  if (text.find("://") != std::string_view::npos) {
    tl::unexpected<Error> refused = Refuse(text, "is a URL, not an address", listening);
    if (text.starts_with("https:")) {
      refused.value().message +=
          listening ? "; for https the listener takes the key tls with a certificate and its key"
                    : "; for https the pool takes the key tls, such as tls: { verify: true }";
    }
    return refused;
  }
  std::string_view host, digits;
  bool bracketed = !text.empty() && text[0] == '[';
  if (bracketed) {
    std::size_t end = text.find("]:");
    if (end == std::string_view::npos) return Refuse(text, "has no ']:' and port", listening);
    host = text.substr(1, end - 1);
    digits = text.substr(end + 2);
  } else {
    std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return Refuse(text, "has no ':' and port", listening);
    host = text.substr(0, colon);
    digits = text.substr(colon + 1);
  }
  SocketAddress address;
  address.text = text;
  Result<void> hosted = SetHost(text, host, bracketed, listening, &address);
  if (!hosted) return tl::unexpected<Error>(hosted.error());
  Result<std::uint16_t> port = ParsePort(text, digits, listening);
  if (!port) return tl::unexpected<Error>(port.error());
  address.port = *port;
  return address;
}

}  // namespace spillway
