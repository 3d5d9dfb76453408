// SPDX-License-Identifier: MIT
// Who is asking: the peer, or what proxies that we trust say of it. Pure; malformed is never
// believed.
#pragma once

#include <span>
#include <string_view>

#include "spillway/address.h"
#include "spillway/request.h"

namespace spillway {

// The client's address for a connection from `peer`.
// When the peer is in `trusted`, the header named `header` is walked from the right, over all its
// lines: trusted hops are skipped, the first untrusted one is the client. A malformed hop ends the
// walk at the last good one. "forwarded" is read as RFC 7239; any other name as a list of
// addresses, each with an optional port ("192.0.2.1:443", "[2001:db8::1]:443").
IpAddress IdentifyClient(const IpAddress& peer, std::span<const HeaderField> headers,
                         std::span<const IpRange> trusted, std::string_view header);

bool Contains(std::span<const IpRange> ranges, const IpAddress& address);

}  // namespace spillway
