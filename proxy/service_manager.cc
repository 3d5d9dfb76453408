// SPDX-License-Identifier: MIT
#include "proxy/service_manager.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace spillway {

std::vector<Fd> ServiceManager::TakeSockets() const {
  constexpr int kFirst = 3;  // SD_LISTEN_FDS_START
  constexpr int kMost = 64;
  std::vector<Fd> sockets;
  if (listen_pid != std::to_string(::getpid())) return sockets;
  int count = 0;
  std::from_chars(listen_fds.data(), listen_fds.data() + listen_fds.size(), count);
  for (int fd = kFirst; fd < kFirst + std::min(count, kMost); ++fd) {
    int listens = 0;
    socklen_t size = sizeof listens;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) continue;
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    sockets.emplace_back(fd);
  }
  return sockets;
}

void ServiceManager::Tell(std::string_view state) const {
  if (notify_socket.empty()) return;
  std::string path = notify_socket;
  const bool abstract = path.front() == '@';
  Result<KernelAddress> address = KernelAddress::FromUnixPath(path);
  if (!address) return;
  if (abstract) {  // the name begins with a NUL, and ends where it ends
    reinterpret_cast<char*>(&address->storage)[sizeof(sa_family_t)] = '\0';
    --address->size;
  }
  const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return;
  static_cast<void>(::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&address->storage), address->size));
}

}  // namespace spillway
