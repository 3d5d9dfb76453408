// SPDX-License-Identifier: MIT
// The JA4 fingerprint of a TLS client: what its first message says of the program that made it, in
// 36 characters, the same whatever order a browser shuffles its lists into.
//
//   t13d1516h2_8daaf6152771_e5627efa2ab1
//   |||| | |   '- suites     '- extensions and signature algorithms
//   |||| | '- first and last character of the first ALPN protocol, 00: none
//   |||| '- how many extensions
//   |||'- how many cipher suites ("15", then "16")
//   ||'- d: a name is asked for; i: none
//   |'- TLS 1.3
//   '- over TCP
#pragma once

#include <array>
#include <optional>
#include <span>

namespace spillway {

using Ja4Text = std::array<char, 36>;

// `hello` is a ClientHello, with the four bytes of its handshake header. Nothing for what is none,
// and for one with a list of more than 512 entries, which no program sends that means well: the
// cost stays small against that of the handshake.
std::optional<Ja4Text> Ja4(std::span<const unsigned char> hello);

}  // namespace spillway
