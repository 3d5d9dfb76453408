// SPDX-License-Identifier: MIT
// Sockets on Linux. TCP_NODELAY is set on the listener: accepted sockets inherit it, which saves a
// system call for each connection.
#include "proxy/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <system_error>

namespace spillway {
namespace {

std::string Reason(int error) {
  return std::generic_category().message(error);
}

const sockaddr* AsSockaddr(const KernelAddress& address) {
  return reinterpret_cast<const sockaddr*>(&address.storage);
}
sockaddr* AsSockaddr(KernelAddress& address) {
  return reinterpret_cast<sockaddr*>(&address.storage);
}
const sockaddr_in& AsV4(const KernelAddress& a) {
  return reinterpret_cast<const sockaddr_in&>(a.storage);
}
const sockaddr_in6& AsV6(const KernelAddress& a) {
  return reinterpret_cast<const sockaddr_in6&>(a.storage);
}
const sockaddr_un& AsUnix(const KernelAddress& a) {
  return reinterpret_cast<const sockaddr_un&>(a.storage);
}

void SetOption(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof(value));
}

// What the kernel keeps for a client that takes nothing, beside what is on its way. Left alone it
// keeps megabytes, of memory that all connections of the machine share: a few thousand slow readers
// would use it up. Accepted sockets have it from their listener.
constexpr int kMostUnsent = 128 * 1024;

Fd NewSocket(int family) {
  return Fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

bool IsWildcardV6(const KernelAddress& address) {
  return address.family() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&AsV6(address).sin6_addr);
}

// These are 0, or the errno of the step that failed.
int BindTcp(const KernelAddress& address, bool share_port, Fd* out);

// Where the kernel is without IPv6, or in a container where it is switched off, "::" is all of IPv4.
int BindOr4(int error, const KernelAddress& address, bool share_port, Fd* out) {
  if ((error != EAFNOSUPPORT && error != EADDRNOTAVAIL) || !IsWildcardV6(address)) return error;
  return BindTcp(KernelAddress::FromIp(IpAddress::FromV4(0), address.port()), share_port, out);
}

int BindTcp(const KernelAddress& address, bool share_port, Fd* out) {
  Fd fd = NewSocket(address.family());
  if (!fd) return BindOr4(errno, address, share_port, out);
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, kMostUnsent);
  if (share_port) SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
  // "::" listens for both families, a definite IPv6 address for its own.
  if (address.family() == AF_INET6) {
    SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, IsWildcardV6(address) ? 0 : 1);
  }
  if (bind(fd.get(), AsSockaddr(address), address.size) != 0)
    return BindOr4(errno, address, share_port, out);
  *out = std::move(fd);
  return 0;
}

int ListenTcp(const KernelAddress& address, bool share_port, int backlog, Fd* out) {
  if (const int error = BindTcp(address, share_port, out); error != 0) return error;
  return listen(out->get(), backlog) != 0 ? errno : 0;
}

std::string CannotListen(const KernelAddress& address, int error) {
  return fmt::format("cannot listen on {}: {}", address.ToString(), Reason(error));
}

// Nobody listens there any more: what is left of a process that was killed.
bool IsStale(const KernelAddress& address) {
  struct stat status;
  if (lstat(AsUnix(address).sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const Fd probe = NewSocket(AF_UNIX);
  return probe && connect(probe.get(), AsSockaddr(address), address.size) != 0 &&
         errno == ECONNREFUSED;
}

int ListenUnix(const KernelAddress& address, int backlog, Fd* out) {
  Fd fd = NewSocket(AF_UNIX);
  if (!fd) return errno;
  const char* path = AsUnix(address).sun_path;
  if (bind(fd.get(), AsSockaddr(address), address.size) != 0) {
    const int error = errno;
    if (error != EADDRINUSE || !IsStale(address)) return error;
    if (unlink(path) != 0) return errno;
    if (bind(fd.get(), AsSockaddr(address), address.size) != 0) return errno;
  }
  // Before listen(): until then nobody gets in whatever the mode is.
  if (chmod(path, 0660) != 0) return errno;
  if (listen(fd.get(), backlog) != 0) return errno;
  *out = std::move(fd);
  return 0;
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) Reset(other.Release());
  return *this;
}

void Fd::Reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

KernelAddress KernelAddress::FromIp(const IpAddress& ip, std::uint16_t port) {
  KernelAddress address;
  if (ip.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, ip.bytes().data() + 12, 4);
    address.size = sizeof(v4);
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, ip.bytes().data(), 16);
    address.size = sizeof(v6);
  }
  return address;
}

Result<KernelAddress> KernelAddress::FromUnixPath(const std::string& path) {
  KernelAddress address;
  auto& un = reinterpret_cast<sockaddr_un&>(address.storage);
  constexpr std::size_t kMost = sizeof(un.sun_path) - 1;
  if (path.empty()) return Fail("the path of a unix socket is empty");
  if (path.size() > kMost) {
    return Fail(fmt::format("the path of a unix socket has {} bytes; at most {} are possible",
                            path.size(), kMost));
  }
  if (path.find('\0') != std::string::npos) return Fail("the path of a unix socket contains a NUL");
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, path.c_str(), path.size() + 1);
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

std::optional<IpAddress> KernelAddress::ip() const {
  if (family() == AF_INET) return IpAddress::FromV4(ntohl(AsV4(*this).sin_addr.s_addr));
  if (family() != AF_INET6) return std::nullopt;
  std::array<std::uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &AsV6(*this).sin6_addr, 16);
  return IpAddress::FromBytes(bytes);
}

std::uint16_t KernelAddress::port() const {
  if (family() == AF_INET) return ntohs(AsV4(*this).sin_port);
  if (family() == AF_INET6) return ntohs(AsV6(*this).sin6_port);
  return 0;
}

std::string KernelAddress::ToString() const {
  if (family() == AF_UNIX) {
    // A client of a unix socket has no name: its address ends before the path.
    const bool named = size > offsetof(sockaddr_un, sun_path);
    return fmt::format("unix:{}", named ? AsUnix(*this).sun_path : "");
  }
  const auto address = ip();
  if (!address) return "none";
  if (address->is_v4()) return fmt::format("{}:{}", address->ToString(), port());
  return fmt::format("[{}]:{}", address->ToString(), port());
}

Result<Fd> Listen(const KernelAddress& address, bool share_port, int backlog) {
  Fd fd;
  const int error = address.family() == AF_UNIX ? ListenUnix(address, backlog, &fd)
                                                : ListenTcp(address, share_port, backlog, &fd);
  if (error != 0) return Fail(CannotListen(address, error));
  return fd;
}

Result<void> ExpectFree(const KernelAddress& address) {
  Fd alone;
  if (BindTcp(address, false, &alone) == EADDRINUSE) return Fail(CannotListen(address, EADDRINUSE));
  return {};
}

std::optional<Accepted> Accept(int listener) {
  Accepted accepted;
  for (;;) {
    accepted.peer.size = sizeof(accepted.peer.storage);
    const int fd = accept4(listener, AsSockaddr(accepted.peer), &accepted.peer.size,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      accepted.fd.Reset(fd);
      return accepted;
    }
    // ECONNABORTED: that one left while it waited; the next may be there.
    if (errno != EINTR && errno != ECONNABORTED) return std::nullopt;
  }
}

tl::expected<Fd, int> StartConnect(const KernelAddress& address) {
  Fd fd = NewSocket(address.family());
  if (fd && address.family() != AF_UNIX) SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  // An interrupted connect goes on by itself, as one in progress does.
  if (!fd || (connect(fd.get(), AsSockaddr(address), address.size) != 0 && errno != EINPROGRESS &&
              errno != EINTR)) {
    return tl::unexpected(errno);
  }
  return fd;
}

bool IsOurShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
         error == EADDRNOTAVAIL;
}

bool NobodyListens(int error) {
  return error == ECONNREFUSED || error == ENOENT || error == EHOSTUNREACH ||
         error == ENETUNREACH || error == ECONNRESET || error == ETIMEDOUT;
}

int ConnectError(int fd) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

Result<Fd> Duplicate(int fd) {
  Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return Fail(Reason(errno));
  return copy;
}

KernelAddress LocalAddress(int fd) {
  KernelAddress address;
  address.size = sizeof(address.storage);
  if (getsockname(fd, AsSockaddr(address), &address.size) != 0) return {};
  return address;
}

std::uint64_t RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return before;
  return limit.rlim_cur;
}

}  // namespace spillway
