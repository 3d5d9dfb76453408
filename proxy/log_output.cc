// SPDX-License-Identifier: MIT
// The standard output is shared with whoever started us, so it is not made non-blocking. Instead,
// where a reader may be slow, poll() first and then write no more than PIPE_BUF bytes: a pipe that
// polls writable takes so many without blocking.
#include "proxy/log_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace spillway {
namespace {

// The pieces' bytes up to PIPE_BUF in one place, cut after the last whole line if there is one:
// such a write is atomic, and what others write to the same pipe falls between lines.
std::size_t Gather(std::span<const iovec> pieces, std::span<char, PIPE_BUF> room) {
  std::size_t filled = 0;
  for (const iovec& piece : pieces) {
    const std::size_t take = std::min(piece.iov_len, room.size() - filled);
    if (take == 0) continue;
    std::memcpy(room.data() + filled, piece.iov_base, take);
    filled += take;
  }
  const void* newline = memrchr(room.data(), '\n', filled);
  if (newline == nullptr) return filled;
  return static_cast<std::size_t>(static_cast<const char*>(newline) - room.data()) + 1;
}

}  // namespace

Result<LogOutput> LogOutput::Open(const std::string& path) {
  LogOutput output;
  // O_NONBLOCK: a named pipe without a reader is an error rather than a wait; a file does not care.
  output.fd_.Reset(
      path == "-"
          ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
          : open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640));
  struct stat status;
  if (!output.fd_ || fstat(output.fd_.get(), &status) != 0) {
    return Fail(fmt::format("cannot open access log '{}': {}", path,
                            std::generic_category().message(errno)));
  }
  const bool device = S_ISCHR(status.st_mode) && !isatty(output.fd_.get());  // such as /dev/null
  output.may_block_ = !S_ISREG(status.st_mode) && !device;
  return output;
}

LogOutput::Progress LogOutput::Write(std::span<const iovec> pieces,
                                     std::chrono::milliseconds patience) {
  char room[PIPE_BUF];
  iovec gathered{room, 0};
  if (may_block_) {
    pollfd entry{fd_.get(), POLLOUT, 0};
    if (poll(&entry, 1, static_cast<int>(patience.count())) <= 0) return {Status::kBlocked, 0, 0};
    gathered.iov_len = Gather(pieces, room);
    pieces = std::span(&gathered, 1);
  }
  for (;;) {
    const ssize_t put = writev(fd_.get(), pieces.data(), static_cast<int>(pieces.size()));
    if (put >= 0) return {Status::kWritten, static_cast<std::size_t>(put), 0};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Status::kBlocked, 0, 0};
    return {Status::kFailed, 0, errno};
  }
}

}  // namespace spillway
