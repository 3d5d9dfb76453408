// SPDX-License-Identifier: MIT
// The PROXY protocol header, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt). Pure parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "spillway/address.h"

namespace spillway {

struct ProxyHeader {
  enum class Outcome : std::uint8_t {
    kIncomplete,
    kDone,
    kMalformed
  } outcome = Outcome::kIncomplete;
  std::size_t size = 0;             // kDone: how many bytes the header takes
  std::optional<IpAddress> client;  // kDone: who connected; nullopt for UNKNOWN and LOCAL
  std::uint16_t client_port = 0;
};

// The longest header that is accepted: longer ones are malformed.
inline constexpr std::size_t kMaxProxyHeader = 536;

// Reads the header at the start of `bytes`. kIncomplete is only said while a valid header could
// follow.
ProxyHeader ParseProxyHeader(std::string_view bytes);

}  // namespace spillway
