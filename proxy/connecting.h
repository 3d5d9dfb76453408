// SPDX-License-Identifier: MIT
// A connect to a server that is under way, and the TLS handshake behind it where there is one.
//
// Thread rule: one loop thread.
#pragma once

#include <string_view>

#include "proxy/loop.h"
#include "proxy/stream.h"

namespace spillway {

class Connecting {
 public:
  enum class Step : std::uint8_t { kWaits, kDone, kFailed };
  // Each time the socket is ready, either way. On kWaits the watch wants what is waited for.
  Step GoOn(Stream& stream, IoWatch& watch);
  // Why it failed; empty: it has not.
  std::string_view fault() const { return fault_; }
  void Fail(const char* fault) { fault_ = fault; }

 private:
  bool reached_ = false;  // the server has taken the connection: what fails now is TLS
  const char* fault_ = "";
};

}  // namespace spillway
