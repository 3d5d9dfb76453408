// SPDX-License-Identifier: MIT
// How a target is read, so that each thing has one spelling by the time a rule sees it:
//
//   /a%2Fb      -> /a/b        every octet decoded, once, the slash too: some servers do so
//   /a/%2e%2e/b -> /b          and dot segments only then
//   \a\b  //a   -> /a/b  /a    servers differ on these; rules should not
//   /a;x=1      -> /a;x=1      parameters stay: what they mean is the server's to say
//   /%c0%af     -> the bytes   not UTF-8, so neither "/" nor an error
//   /100%       -> /100%       a "%" that begins no octet is itself
//   /a%00b      -> refused     text ends there for some servers
//
// What is forwarded is the target as it came. For a server with other ideas a rule says `regex`, or
// `clients.ambiguous_paths: refuse` keeps away what most such ideas live on.
#include "spillway/target.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "rules/text_index.h"
#include "spillway/address.h"
#include "spillway/request.h"
#include "spillway/text.h"

namespace spillway {
namespace {

constexpr std::size_t kMaxHost = 255;  // as long as a name in the DNS

// The octet that "%XX" at `at` stands for; -1 when that is none.
int EncodedOctet(std::string_view path, std::size_t at) {
  if (path[at] != '%' || at + 2 >= path.size()) return -1;
  const int high = HexDigit(path[at + 1]), low = HexDigit(path[at + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// Takes the last segment off "/a/b/": "/a/". The root stays.
void DropSegment(std::string* path) {
  path->pop_back();
  path->resize(path->rfind('/') + 1);
}

// Called when a segment is complete: what stands after the last slash. True when it was a dot
// segment, which is gone then, and the path ends in a slash again.
bool ResolveDots(std::string* path) {
  const std::size_t slash = path->rfind('/');
  const std::string_view segment = std::string_view(*path).substr(slash + 1);
  if (segment != "." && segment != "..") return false;
  const bool up = segment == "..";
  path->resize(slash + 1);
  if (up && path->size() > 1) DropSegment(path);
  return true;
}

// What of a segment shows that servers read it in different ways, as its bytes come, decoded.
struct Segment {
  std::size_t size = 0, dots = 0;
  int digits = -1;  // hex digits since a '%'; -1: it is none that they stand behind

  bool is_dots() const { return size > 0 && size <= 2 && dots == size; }
  void Take(char c) {
    digits = c == '%' ? 0 : digits >= 0 && HexDigit(c) >= 0 ? digits + 1 : -1;
    ++size;
    if (c == '.') ++dots;
  }
};

// Whether a path is its only spelling already, as most are. May say no where it is: "/.well-known".
bool IsNormal(std::string_view path) {
  if (path.empty() || path.front() != '/') return false;
  char before = 0;
  for (const char c : path) {
    if (c == '%' || c == '\\' || c == '\0') return false;
    if (before == '/' && (c == '/' || c == '.')) return false;
    before = c;
  }
  return true;
}

bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

// What may stand in a reg-name, in lower case; 0: what may not. Percent-encoded octets are legal in
// one but in no name that resolves; they would only be another way to spell a host.
constexpr auto kRegNameChars = [] {
  std::array<char, 256> table{};
  for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = c;
  for (char c = 'a'; c <= 'z'; ++c) {
    table[static_cast<unsigned char>(c)] = table[static_cast<unsigned char>(c - 32)] = c;
  }
  for (char c : std::string_view("-._~!$&'()*+,;=")) table[static_cast<unsigned char>(c)] = c;
  return table;
}();

// Writes `name` to `out`, of its size, in lower case. False: it is not a reg-name.
bool LowerRegName(std::string_view name, char* out) {
  char before = '.';
  for (const char each : name) {
    const char c = kRegNameChars[static_cast<unsigned char>(each)];
    if (c == 0 || (c == '.' && before == '.')) return false;  // the latter: an empty label
    *out++ = before = c;
  }
  return !name.empty() && before != '.';
}

bool IsPort(std::string_view port) {
  if (port.empty()) return true;  // "host:" is legal
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return port.size() <= 5 && error == std::errc() && end == port.data() + port.size();
}

}  // namespace

Result<Target> ParseTarget(std::string_view target) {
  if (target.empty()) return Fail("the target is empty");
  for (const char c : target) {
    if (c == '#') return Fail("the target has a fragment ('#')");
    if (c <= ' ' || c >= 0x7f)
      return Fail("the target has white space, a control or an 8-bit byte");
  }
  Target parts;
  if (target == "*") {
    parts.raw_path = target;
    return parts;
  }
  if (target.front() != '/') {
    const std::size_t colon = target.find("://");
    if (colon == std::string_view::npos) {
      return Fail("the target is neither a path nor an absolute URL");
    }
    parts.scheme = target.substr(0, colon);
    if (!EqualsIgnoreCase(parts.scheme, "http") && !EqualsIgnoreCase(parts.scheme, "https")) {
      return Fail("the target's scheme is neither http nor https");
    }
    target.remove_prefix(colon + 3);
    parts.authority = target.substr(0, target.find_first_of("/?\\"));
    if (parts.authority.empty() || parts.authority.find('@') != std::string_view::npos) {
      return Fail("the target's authority is not a host with an optional port");
    }
    target.remove_prefix(parts.authority.size());
  }
  const std::size_t question = target.find('?');
  parts.raw_path = target.substr(0, question);
  if (parts.raw_path.empty()) parts.raw_path = "/";  // "http://host?x"
  if (question != std::string_view::npos) parts.query = target.substr(question + 1);
  return parts;
}

Result<void> NormalisePath(std::string_view raw_path, std::string* out) {
  out->clear();
  if (IsNormal(raw_path)) {
    out->append(raw_path);
    return {};
  }
  if (raw_path == "*") {
    *out = raw_path;
    return {};
  }
  for (std::size_t i = 0; i < raw_path.size(); ++i) {
    char c = raw_path[i];
    if (const int octet = EncodedOctet(raw_path, i); octet >= 0) {
      c = static_cast<char>(octet);
      i += 2;
    }
    if (c == '\0') {
      out->clear();
      return Fail("the path has a NUL byte");
    }
    if (c == '\\') c = '/';
    if (out->empty() && c != '/') return Fail("the path does not begin with '/'");
    if (c != '/' || out->empty()) {
      *out += c;
    } else if (out->back() != '/' && !ResolveDots(out)) {
      *out += '/';
    }
  }
  if (out->empty()) return Fail("the path is empty");
  ResolveDots(out);
  return {};
}

Result<void> RequireOneReading(std::string_view raw_path) {
  if (raw_path == "*") return {};
  Segment segment;
  for (std::size_t i = raw_path.starts_with('/') ? 1 : 0; i <= raw_path.size(); ++i) {
    const bool last = i == raw_path.size();
    if (last || raw_path[i] == '/') {
      // An empty one at the end only says that the path ends in a slash.
      if (segment.size == 0 && !last) return Fail("the path has a doubled slash");
      if (segment.is_dots()) return Fail("the path has a dot segment");
      segment = {};
      continue;
    }
    char c = raw_path[i];
    if (c == '%') {
      const int octet = EncodedOctet(raw_path, i);
      if (octet < 0) return Fail("the path has a '%' that begins no encoded octet");
      c = static_cast<char>(octet);
      i += 2;
    }
    if (c == '/') return Fail("the path has an encoded slash");
    if (c == '\\') return Fail("the path has a backslash");
    // To some "/admin;x" is "/admin", and "/..;/" a dot segment.
    if (c == ';') return Fail("the path has a parameter, which ';' begins");
    // "^/admin$" of PCRE, as servers have it in their routes, matches "/admin\n" too.
    if (IsControl(c)) return Fail("the path has a control character");
    segment.Take(c);
    if (segment.digits == 2) return Fail("the path has an octet that is encoded twice");
  }
  return {};
}

Result<void> NormaliseHost(std::string_view host, std::string* out) {
  out->clear();
  std::string_view name = host;
  std::string_view port;
  if (host.starts_with('[')) {
    const std::size_t close = host.find(']');
    if (close == std::string_view::npos) return Fail("the host has '[' without ']'");
    name = host.substr(1, close - 1);
    const std::string_view after = host.substr(close + 1);
    if (!after.empty() && after.front() != ':') return Fail("the host goes on after ']'");
    port = after.substr(after.empty() ? 0 : 1);
    const std::optional<IpAddress> address = IpAddress::Parse(name);
    if (!address || name.find(':') == std::string_view::npos) {
      return Fail("the host in brackets is not an IPv6 address");
    }
    if (!IsPort(port)) return Fail("the host's port is not 0 to 65535");
    *out = address->ToString();
    return {};
  }
  if (const std::size_t colon = host.find(':'); colon != std::string_view::npos) {
    name = host.substr(0, colon);
    port = host.substr(colon + 1);
  }
  if (!IsPort(port)) return Fail("the host's port is not 0 to 65535");
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.size() > kMaxHost) return Fail("the host is longer than 255 bytes");
  out->resize(name.size());
  if (!LowerRegName(name, out->data())) {
    out->clear();
    return Fail("the host is not a host name or address");
  }
  return {};
}

}  // namespace spillway
