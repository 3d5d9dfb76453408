// SPDX-License-Identifier: MIT
// The stream over a plain socket, and the fork to the TLS halves in tls.cc.
#include "proxy/stream.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace spillway {
namespace {

IoStatus StatusOfErrno() {
  return errno == EAGAIN || errno == EWOULDBLOCK ? IoStatus::kWouldBlock : IoStatus::kBroken;
}

// recv and send themselves. The library's would make each a point where a thread may be cancelled, which
// nobody does here and which takes four locked instructions for each request.
ssize_t Receive(int fd, std::span<char> into) {
  return syscall(SYS_recvfrom, fd, into.data(), into.size(), 0, nullptr, nullptr);
}

ssize_t SendPiece(int fd, const iovec& piece) {
  return syscall(SYS_sendto, fd, piece.iov_base, piece.iov_len, MSG_NOSIGNAL, nullptr, 0);
}

ssize_t SendVectors(int fd, std::span<const iovec> vectors) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(vectors.data());  // only read by sendmsg
  message.msg_iovlen = std::min<std::size_t>(vectors.size(), IOV_MAX);
  return sendmsg(fd, &message, MSG_NOSIGNAL);
}

}  // namespace

Stream::~Stream() {
  if (ssl_ != nullptr) FreeTls();
}

void Stream::Close() {
  if (ssl_ != nullptr) FreeTls();
  ssl_ = nullptr;
  fd_.Reset();
}

IoResult Stream::Read(std::span<char> into) {
  // A read of no bytes would return 0, which means the end.
  if (into.empty()) return {IoStatus::kWouldBlock, 0};
  if (ssl_ != nullptr) return ReadTls(into);
  ssize_t got;
  do {
    got = Receive(fd_.get(), into);
  } while (got < 0 && errno == EINTR);
  if (got > 0) return {IoStatus::kOk, static_cast<std::size_t>(got)};
  return {got == 0 ? IoStatus::kEnd : StatusOfErrno(), 0};
}

IoResult Stream::Write(std::span<const iovec> vectors) {
  if (ssl_ != nullptr) return WriteTls(vectors);
  ssize_t put;
  do {
    // One piece needs no list, which the kernel would have to fetch and check.
    put = vectors.size() == 1 ? SendPiece(fd_.get(), vectors[0]) : SendVectors(fd_.get(), vectors);
  } while (put < 0 && errno == EINTR);
  if (put >= 0) return {IoStatus::kOk, static_cast<std::size_t>(put)};
  return {StatusOfErrno(), 0};
}

bool Stream::has_pending() const {
  return ssl_ != nullptr && has_pending_tls();
}

void Stream::ShutdownWrite() {
  if (ssl_ != nullptr) ShutdownTls();
  shutdown(fd_.get(), SHUT_WR);
}

void Stream::ResetOnClose() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

}  // namespace spillway
