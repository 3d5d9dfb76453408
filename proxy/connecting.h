// SPDX-License-Identifier: MIT
// A connect to a server that is under way, and the TLS handshake behind it where there is one.
//
// Thread rule: one loop thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/loop.h"
#include "proxy/stream.h"

namespace spillway {

class Connecting {
 public:
  enum class Step : std::uint8_t { kWaits, kDone, kFailed };
  // Each time the socket is ready, either way; one object for each connect. On kWaits the watch wants
  // what is waited for, on kFailed fault() says why.
  Step GoOn(Stream& stream, IoWatch& watch);
  // Why it failed; empty: it has not. Not ours to free: a literal, the system's or the stream's, and
  // so good for as long as the stream is.
  std::string_view fault() const { return fault_; }
  // The server has taken the connection: what fails then is TLS.
  bool reached() const { return reached_; }
  // It failed by what the caller knows. REQUIRES: a literal.
  void Fail(const char* fault) { fault_ = fault; }

 private:
  bool reached_ = false;
  const char* fault_ = "";
};

}  // namespace spillway
