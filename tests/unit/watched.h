// SPDX-License-Identifier: MIT
// A socket pair, and a watch whose callbacks are closures, for tests of what the loop tells.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <utility>

#include "proxy/loop.h"
#include "proxy/socket.h"

namespace spillway {

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    ours.Reset(fds[0]);
    theirs.Reset(fds[1]);
  }
  void Send(char byte) { EXPECT_EQ(write(theirs.get(), &byte, 1), 1); }
  Fd ours, theirs;
};

// Callbacks as closures, for tests only.
struct Watched {
  Watched(Loop& loop, int fd) : watch(std::in_place, loop, fd, this, &OnRead, &OnWrite) {}
  static void OnRead(void* self) { static_cast<Watched*>(self)->read(); }
  static void OnWrite(void* self) { static_cast<Watched*>(self)->write(); }
  std::function<void()> read, write;
  std::optional<IoWatch> watch;
};

}  // namespace spillway
