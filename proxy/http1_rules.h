// SPDX-License-Identifier: MIT
// What a complete head means, or why it is refused: where its body ends, whether the connection is
// kept. Everything that a tolerant reader could take in two ways is refused (RFC 9112 6 and 11.2).
#pragma once

#include <string_view>

#include "proxy/http1.h"

namespace spillway {

struct Refusal {
  int status = 0;           // what to answer a client; 0: not refused
  std::string_view reason;  // a literal
  explicit operator bool() const { return status != 0; }
};

// Fills in body, content_length, keep_alive, expect_continue and upgrade.
// REQUIRES: method, target, minor, headers and fields are set, and fit the wire's grammar.
Refusal JudgeRequest(RequestHead* head);
// Fills in body, content_length, keep_alive and upgrade. `to_head`: the request was HEAD.
Refusal JudgeResponse(ResponseHead* head, bool to_head);
// There are protocols in a 101's Upgrade, and the request's Upgrade offered all of them.
bool WereOffered(std::string_view protocols, std::string_view offers);

}  // namespace spillway
