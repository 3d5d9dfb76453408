// SPDX-License-Identifier: MIT
// IP addresses and ranges as values. IPv4 is kept in its v4-mapped IPv6 form, so that one type and
// one comparison serve both families. No host names, no ports, no zone identifiers.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spillway {

class IpAddress {
 public:
  constexpr IpAddress() = default;  // "::"
  static constexpr IpAddress FromBytes(const std::array<std::uint8_t, 16>& bytes) {
    IpAddress address;
    address.bytes_ = bytes;
    return address;
  }
  static IpAddress FromV4(std::uint32_t host_order);

  // Strict: dotted quad without leading zeros, or RFC 4291 text; nothing before, after or around
  // it.
  static std::optional<IpAddress> Parse(std::string_view text);

  bool is_v4() const;
  bool is_loopback() const;
  // RFC 5952 for IPv6, dotted quad for IPv4 (v4-mapped addresses are IPv4 here).
  std::string ToString() const;
  // The address with all but its first bits cleared. REQUIRES: v4_bits <= 32, v6_bits <= 128.
  IpAddress Masked(int v4_bits, int v6_bits) const;
  // The IPv4 address that NAT64 (64:ff9b::/96) and 6to4 (2002::/16) carry; otherwise itself.
  // Limits are keyed by this, so that one household is one client whichever way it came.
  IpAddress Unwrapped() const;
  // What counts as one client: an unwrapped IPv4 address, or so many bits of an IPv6 one.
  IpAddress AsClient(int ipv6_prefix) const { return Unwrapped().Masked(32, ipv6_prefix); }

  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  // The same, for hashes. Borrowed from the address.
  std::string_view byte_view() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

// A range of addresses: a base and how many of its leading bits count.
struct IpRange {
  IpAddress base;  // bits beyond `bits` are zero
  int bits = 128;  // 0..128, counted in the IPv6 form: an IPv4 /24 has 96 + 24
  bool Contains(const IpAddress& address) const;
  // "10.0.0.0/8", "2001:db8::/32" or a single address. Fails on host bits beyond the prefix.
  static std::optional<IpRange> Parse(std::string_view text);
  // The same with host bits cleared: what 10.0.0.5/8 was perhaps meant to be.
  static std::optional<IpRange> ParseCut(std::string_view text);
  std::string ToString() const;
  friend constexpr bool operator==(const IpRange&, const IpRange&) = default;
};

}  // namespace spillway
