// SPDX-License-Identifier: MIT
// What systemd, or another manager that speaks its ways, gives a service and hears from it: the
// variables of sd_listen_fds(3) and sd_notify(3), spoken without its library.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/socket.h"

namespace spillway {

struct ServiceManager {
  std::string listen_pid, listen_fds;  // LISTEN_PID, LISTEN_FDS
  std::string notify_socket;           // NOTIFY_SOCKET; empty: nobody wants to hear

  // The listening sockets that it passes; none when they are another process's.
  std::vector<Fd> TakeSockets() const;
  // "READY=1\nMAINPID=7". What cannot be told is not worth failing for.
  void Tell(std::string_view state) const;
};

}  // namespace spillway
