// SPDX-License-Identifier: MIT
// Sockets: descriptors that close themselves, addresses as the kernel wants them, non-blocking
// listen, accept and connect. All descriptors are non-blocking and close-on-exec; TCP ones have
// TCP_NODELAY.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

#include "spillway/address.h"
#include "spillway/config.h"
#include "spillway/result.h"

namespace spillway {

// Owns a descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { Reset(); }
  Fd(Fd&& other) noexcept : fd_(other.Release()) {}
  Fd& operator=(Fd&& other) noexcept;
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int Release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

// A socket address in the kernel's form.
struct KernelAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family() const { return storage.ss_family; }
  static KernelAddress FromIp(const IpAddress& ip, std::uint16_t port);
  static Result<KernelAddress> FromUnixPath(const std::string& path);  // at most 107 bytes
  std::optional<IpAddress> ip() const;                                 // nullopt for unix sockets
  std::uint16_t port() const;
  std::string ToString() const;  // "192.0.2.1:80", "[2001:db8::1]:80", "unix:/run/app.sock"
};

// A listening socket. `share_port`: SO_REUSEPORT, so that each worker has its own (TCP only). A
// unix path that nobody listens on any more is removed first. The error names the address and the
// reason.
Result<Fd> Listen(const KernelAddress& address, bool share_port, int backlog = 4096);
// That nobody listens on this TCP address: the kernel lets two processes of one user share a port that both open
// with `share_port`, and tells neither. The error is as Listen's.
Result<void> ExpectFree(const KernelAddress& address);

struct Accepted {
  Fd fd;
  KernelAddress peer;
};
// nullopt with errno when there is none (EAGAIN) or it failed (EMFILE, ...).
std::optional<Accepted> Accept(int listener);

// Starts to connect: the descriptor is writable when it is done. Fails only when it cannot even
// begin, with the errno of that.
tl::expected<Fd, int> StartConnect(const KernelAddress& address);
// A connect that failed for want of something on this machine: it says nothing of the server.
bool IsOurShortage(int error);
// One that failed since nobody takes connections there. A unix socket whose backlog is full says nothing of that.
bool NobodyListens(int error);
// After writability: 0, or the errno of the connect.
int ConnectError(int fd);

// Another descriptor of the same socket.
Result<Fd> Duplicate(int fd);

// The address a listening socket really has (for port 0).
KernelAddress LocalAddress(int fd);

// Raises RLIMIT_NOFILE to the hard limit; the limit now in force.
std::uint64_t RaiseDescriptorLimit();

}  // namespace spillway
