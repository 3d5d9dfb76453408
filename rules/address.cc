// SPDX-License-Identifier: MIT
// Text forms of addresses. The readers below accept one spelling set and nothing near it, because
// what two programs read differently is how rules on addresses are walked around: no leading zeros
// in a quad (010 is 8 to some), no missing parts, no zone, no white space.
#include "spillway/address.h"

#include <algorithm>
#include <charconv>

namespace spillway {
namespace {

constexpr std::array<std::uint8_t, 12> kV4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::array<std::uint8_t, 12> kNat64Prefix = {0, 0x64, 0xff, 0x9b};

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// A decimal number of at most `digits` digits, without leading zeros, up to `max`.
std::optional<unsigned> ParseDecimal(std::string_view text, std::size_t digits, unsigned max) {
  if (text.empty() || text.size() > digits || (text.size() > 1 && text[0] == '0')) return {};
  if (!std::all_of(text.begin(), text.end(), IsDigit)) return {};
  unsigned value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  if (value > max) return {};
  return value;
}

// In one pass: it is read of every request that a trusted proxy sends.
bool ParseQuad(std::string_view text, std::uint8_t* out) {
  const char* at = text.data();
  const char* const end = at + text.size();
  for (int i = 0; i < 4; ++i) {
    if (i > 0 && (at == end || *at++ != '.')) return false;
    if (at == end || !IsDigit(*at)) return false;
    auto value = static_cast<unsigned>(*at++ - '0');
    // Behind a leading zero no digit may follow.
    for (; value != 0 && at != end && IsDigit(*at); ++at) {
      value = value * 10 + static_cast<unsigned>(*at - '0');
      if (value > 255) return false;
    }
    out[i] = static_cast<std::uint8_t>(value);
  }
  return at == end;
}

char* WriteOctet(unsigned value, char* out) {
  if (value >= 100) *out++ = static_cast<char>('0' + value / 100);
  if (value >= 10) *out++ = static_cast<char>('0' + value / 10 % 10);
  *out++ = static_cast<char>('0' + value % 10);
  return out;
}

std::optional<unsigned> ParseGroup(std::string_view text) {
  unsigned value = 0;
  if (text.empty() || text.size() > 4) return {};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

// RFC 4291 2.2. "::" stands for one group or more, as everywhere else that matters.
bool ParseGroups(std::string_view text, std::array<std::uint8_t, 16>* out) {
  std::array<std::uint8_t, 16> bytes{};
  std::size_t size = 0;  // bytes written
  std::optional<std::size_t> gap;
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(':'), text.size());
    const std::string_view part = text.substr(0, end);
    if (end == text.size() && part.find('.') != std::string_view::npos) {
      if (size > 12 || !ParseQuad(part, bytes.data() + size)) return false;
      size += 4;
      break;
    }
    const auto group = ParseGroup(part);
    if (!group || size > 14) return false;
    bytes[size++] = static_cast<std::uint8_t>(*group >> 8);
    bytes[size++] = static_cast<std::uint8_t>(*group & 0xff);
    text.remove_prefix(end);
    if (text.empty()) break;
    if (text.starts_with("::")) {
      if (gap) return false;
      gap = size;
      text.remove_prefix(2);
    } else {
      text.remove_prefix(1);
      if (text.empty()) return false;  // a lone ':' at the end
    }
  }
  if (gap ? size > 14 : size != 16) return false;
  if (gap) {
    std::move_backward(bytes.begin() + static_cast<std::ptrdiff_t>(*gap),
                       bytes.begin() + static_cast<std::ptrdiff_t>(size), bytes.end());
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(*gap),
              bytes.end() - static_cast<std::ptrdiff_t>(size - *gap), std::uint8_t{0});
  }
  *out = bytes;
  return true;
}

void ClearFrom(int bits, std::array<std::uint8_t, 16>* bytes) {
  // Most are cut short at their end or not at all: what is before is not touched.
  for (int i = bits / 8; i < 16; ++i) {
    const int kept = std::clamp(bits - 8 * i, 0, 8);
    auto& byte = (*bytes)[static_cast<std::size_t>(i)];
    byte = static_cast<std::uint8_t>(byte & (0xff00 >> kept));
  }
}

}  // namespace

IpAddress IpAddress::FromV4(std::uint32_t host_order) {
  IpAddress address;
  std::copy(kV4Prefix.begin(), kV4Prefix.end(), address.bytes_.begin());
  for (std::size_t i = 0; i < 4; ++i) {
    address.bytes_[12 + i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
  }
  return address;
}

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  IpAddress address = FromV4(0);
  if (text.find(':') == std::string_view::npos) {
    if (!ParseQuad(text, address.bytes_.data() + 12)) return {};
  } else if (!ParseGroups(text, &address.bytes_)) {
    return {};
  }
  return address;
}

bool IpAddress::is_v4() const {
  return std::equal(kV4Prefix.begin(), kV4Prefix.end(), bytes_.begin());
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[12] == 127;
  return std::all_of(bytes_.begin(), bytes_.end() - 1, [](auto b) { return b == 0; }) &&
         bytes_[15] == 1;
}

std::string IpAddress::ToString() const {
  char text[48];
  char* out = text;
  if (is_v4()) {
    for (std::size_t i = 12; i < 16; ++i) {
      if (i > 12) *out++ = '.';
      out = WriteOctet(bytes_[i], out);
    }
    return std::string(text, out);
  }
  std::array<unsigned, 8> groups;
  for (std::size_t i = 0; i < 8; ++i) groups[i] = bytes_[2 * i] * 256U + bytes_[2 * i + 1];
  // RFC 5952 4.2: the longest run of zero groups is shortened, the first of equals, never a single
  // one.
  std::size_t best = 8, best_size = 1;
  for (std::size_t i = 0, run = 0; i < 8; ++i) {
    run = groups[i] == 0 ? run + 1 : 0;
    if (run > best_size) {
      best_size = run;
      best = i + 1 - run;
    }
  }
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == best) {
      *out++ = ':';
      *out++ = ':';
      i += best_size - 1;
      continue;
    }
    if (i > 0 && out[-1] != ':') *out++ = ':';
    out = std::to_chars(out, text + sizeof text, groups[i], 16).ptr;
  }
  return std::string(text, out);
}

IpAddress IpAddress::Masked(int v4_bits, int v6_bits) const {
  IpAddress address = *this;
  ClearFrom(is_v4() ? 96 + v4_bits : v6_bits, &address.bytes_);
  return address;
}

IpAddress IpAddress::Unwrapped() const {
  std::size_t at = 0;
  if (std::equal(kNat64Prefix.begin(), kNat64Prefix.end(), bytes_.begin())) at = 12;
  if (bytes_[0] == 0x20 && bytes_[1] == 0x02) at = 2;
  if (at == 0) return *this;
  IpAddress address = FromV4(0);
  std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at), 4, address.bytes_.begin() + 12);
  return address;
}

bool IpRange::Contains(const IpAddress& address) const {
  const auto whole = static_cast<std::size_t>(bits / 8);
  const auto& a = base.bytes();
  const auto& b = address.bytes();
  if (!std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(whole), b.begin())) {
    return false;
  }
  if (bits % 8 == 0) return true;
  return ((a[whole] ^ b[whole]) >> (8 - bits % 8)) == 0;
}

std::optional<IpRange> IpRange::Parse(std::string_view text) {
  const auto range = ParseCut(text);
  if (!range || IpAddress::Parse(text.substr(0, text.find('/'))) != range->base) return {};
  return range;
}

std::optional<IpRange> IpRange::ParseCut(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  const auto base = IpAddress::Parse(host);
  if (!base) return {};
  if (slash == std::string_view::npos) return IpRange{*base, 128};
  // The length counts in the family that was written: "::ffff:10.0.0.0/104" is 10.0.0.0/8.
  const bool quad = host.find(':') == std::string_view::npos;
  const auto length = ParseDecimal(text.substr(slash + 1), 3, quad ? 32 : 128);
  if (!length) return {};
  const int bits = static_cast<int>(*length) + (quad ? 96 : 0);
  auto cut = base->bytes();
  ClearFrom(bits, &cut);
  return IpRange{IpAddress::FromBytes(cut), bits};
}

std::string IpRange::ToString() const {
  if (bits == 128) return base.ToString();
  const bool quad = base.is_v4() && bits >= 96;
  return base.ToString() + "/" + std::to_string(quad ? bits - 96 : bits);
}

}  // namespace spillway
