// SPDX-License-Identifier: MIT
// A small blocking HTTP client for the admin address, over TCP or a unix socket: what `spillway
// ctl` and `spillway healthcheck` speak with. One request, one connection; at most 64 MiB of
// answer.
#pragma once

#include <string>

#include "spillway/config.h"
#include "spillway/result.h"
#include "spillway/units.h"

namespace spillway {

struct CtlAnswer {
  int status = 0;
  std::string body;
};

// The error means that no answer came. A wildcard address is asked at loopback. Names are refused.
Result<CtlAnswer> AskAdmin(const SocketAddress& admin, const std::string& token,
                           const std::string& method, const std::string& target,
                           const std::string& json_body, Duration timeout);

}  // namespace spillway
