// SPDX-License-Identifier: MIT
// What a request asks for, in the form that rules match: the same for one that came over a socket,
// stands in a test or was read from a log. Thread rule: pure.
#pragma once

#include <string>
#include <string_view>

#include "spillway/request.h"
#include "spillway/result.h"

namespace spillway {

// The bytes that a request's views borrow; kept by the caller for as long as the request, and for the
// next: what `host` holds is not read again if the next has the same. REQUIRES that nobody else writes it.
struct TargetTexts {
  std::string path, host, target;
};

// What is forwarded; borrows from the arguments of IdentifyTarget.
struct TargetToSend {
  std::string_view host;    // as received; empty: there was none
  std::string_view target;  // as received, in origin form
};

// Reads request->target and the Host field, and sets the request's path, query and host. In the
// absolute form the target's own authority counts, whatever Host says (RFC 9112 3.2.2). The error
// says what is wrong with either.
Result<TargetToSend> IdentifyTarget(std::string_view host_field, Request* request,
                                    TargetTexts* texts);

}  // namespace spillway
