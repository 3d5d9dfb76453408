// SPDX-License-Identifier: MIT
// Where access log lines go: a file, a pipe, a terminal, the standard output. Writes whole lines
// together where the system allows it, and waits for a slow reader only as long as it is told to.
#pragma once

#include <sys/uio.h>

#include <span>
#include <string>

#include "proxy/socket.h"
#include "spillway/result.h"
#include "spillway/units.h"

namespace spillway {

class LogOutput {
 public:
  LogOutput() = default;  // closed
  // "-" is the standard output; a file is created (mode 0640) and appended to.
  static Result<LogOutput> Open(const std::string& path);

  enum class Status { kWritten, kBlocked, kFailed };
  struct Progress {
    Status status = Status::kWritten;
    std::size_t bytes = 0;  // may be fewer than asked
    int error = 0;          // kFailed: errno
  };
  // Writes at least one byte, or says within `patience` why not. REQUIRES: a byte to write.
  Progress Write(std::span<const iovec> pieces, std::chrono::milliseconds patience);

  explicit operator bool() const { return static_cast<bool>(fd_); }

 private:
  Fd fd_;
  bool may_block_ = false;  // a pipe, socket or terminal whose reader may be slow
};

}  // namespace spillway
