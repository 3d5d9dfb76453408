// SPDX-License-Identifier: MIT
// c-ares on our loop: its sockets become watches as it opens and closes them, its timeouts one
// deadline.
#include "proxy/resolver.h"

#include <ares.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "proxy/socket.h"

namespace spillway {
namespace {

constexpr Duration kShortest = 1s, kLongest = 1h, kHosts = 30s;
constexpr std::size_t kMost = 64;
// A server is asked three times, for 2, 4 and 8 s, before the next is.
constexpr int kTimeoutMs = 2000, kTries = 3;

void InitLibrary() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
      throw std::runtime_error("cannot set up c-ares");
  });
}

std::optional<IpAddress> ToIp(const sockaddr* address) {
  KernelAddress kernel;
  if (address->sa_family == AF_INET) {
    std::memcpy(&kernel.storage, address, sizeof(sockaddr_in));
  } else if (address->sa_family == AF_INET6) {
    std::memcpy(&kernel.storage, address, sizeof(sockaddr_in6));
  }
  return kernel.ip();
}

// `from_hosts`: the answer needed no packet, and its records have no time to live.
Result<Resolved> ToResolved(const ares_addrinfo& info, bool from_hosts) {
  Resolved resolved;
  int ttl = INT_MAX;
  for (const auto* node = info.nodes; node != nullptr; node = node->ai_next) {
    if (const auto ip = ToIp(node->ai_addr)) resolved.addresses.push_back(*ip);
    ttl = std::min(ttl, node->ai_ttl);
  }
  for (const auto* alias = info.cnames; alias != nullptr; alias = alias->next)
    ttl = std::min(ttl, alias->ttl);
  auto& addresses = resolved.addresses;
  if (addresses.empty()) return Fail("the name has no address");
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  if (addresses.size() > kMost) addresses.resize(kMost);
  resolved.ttl =
      from_hosts ? kHosts : std::clamp<Duration>(std::chrono::seconds(ttl), kShortest, kLongest);
  return resolved;
}

}  // namespace

struct Resolver::Impl {
  struct Query {
    Impl& impl;
    std::function<void(Result<Resolved>)> done;
  };
  struct Socket {
    Socket(Impl& owner, int number)
        : impl(owner), fd(number), watch(owner.loop, number, this, &OnReadable, &OnWritable) {}
    static void OnReadable(void* self) {
      auto* socket = static_cast<Socket*>(self);
      socket->impl.Process(socket->fd, ARES_SOCKET_BAD);  // may destroy the socket
    }
    static void OnWritable(void* self) {
      auto* socket = static_cast<Socket*>(self);
      socket->impl.Process(ARES_SOCKET_BAD, socket->fd);
    }
    Impl& impl;
    const int fd;
    IoWatch watch;
  };

  Impl(Loop& owner, const std::string& servers) : loop(owner), timeout(owner, this, &OnTimeout) {
    InitLibrary();
    ares_options options{};
    options.sock_state_cb = &OnSocketState;
    options.sock_state_cb_data = this;
    options.timeout = kTimeoutMs;
    options.tries = kTries;
    int status = ares_init_options(&channel, &options,
                                   ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    if (status == ARES_SUCCESS && !servers.empty()) {
      status = ares_set_servers_ports_csv(channel, servers.c_str());
      if (status != ARES_SUCCESS) ares_destroy(channel);
    }
    if (status != ARES_SUCCESS) throw std::runtime_error(ares_strerror(status));
  }

  ~Impl() {
    ares_destroy(channel);
  }  // calls OnAnswer with ARES_EDESTRUCTION, and closes its sockets

  void Start(const std::string& name, std::function<void(Result<Resolved>)> done) {
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_flags = ARES_AI_NOSORT;  // sorting would connect a socket to every address
    hints.ai_socktype = SOCK_STREAM;
    asking = true;
    ares_getaddrinfo(channel, name.c_str(), nullptr, &hints, &OnAnswer,
                     new Query{*this, std::move(done)});
    asking = false;
    SetTimeout();
  }

  static void OnAnswer(void* self, int status, int, ares_addrinfo* info) {
    const std::unique_ptr<Query> query(static_cast<Query*>(self));
    const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owned(info,
                                                                             &ares_freeaddrinfo);
    if (status == ARES_EDESTRUCTION) return;
    Impl& impl = query->impl;
    Result<Resolved> result = status == ARES_SUCCESS
                                  ? ToResolved(*info, impl.asking)
                                  : Result<Resolved>(Fail(ares_strerror(status)));
    // Not from within c-ares, which must not be destroyed by its own callback.
    impl.loop.Post([alive = std::weak_ptr<Impl*>(impl.alive), done = std::move(query->done),
                    result = std::move(result)]() mutable {
      if (!alive.expired()) done(std::move(result));
    });
  }

  static void OnSocketState(void* self, ares_socket_t fd, int readable, int writable) {
    auto* impl = static_cast<Impl*>(self);
    if (readable == 0 && writable == 0) {
      impl->sockets.erase(fd);
      return;
    }
    auto& socket = impl->sockets[fd];
    if (!socket) socket = std::make_unique<Socket>(*impl, fd);
    socket->watch.WantRead(readable != 0);
    socket->watch.WantWrite(writable != 0);
  }

  static void OnTimeout(void* self) {
    static_cast<Impl*>(self)->Process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  }

  void Process(ares_socket_t readable, ares_socket_t writable) {
    ares_process_fd(channel, readable, writable);
    SetTimeout();
  }

  void SetTimeout() {
    timeval after;
    if (ares_timeout(channel, nullptr, &after) == nullptr) return timeout.Clear();
    timeout.SetAfter(std::chrono::seconds(after.tv_sec) + std::chrono::microseconds(after.tv_usec));
  }

  Loop& loop;
  Deadline timeout;
  ares_channel channel = nullptr;
  bool asking = false;  // inside ares_getaddrinfo: an answer now comes from /etc/hosts
  std::unordered_map<int, std::unique_ptr<Socket>> sockets;
  std::shared_ptr<Impl*> alive = std::make_shared<Impl*>(this);  // for answers that are posted
};

Resolver::Resolver(Loop& loop, const std::string& servers)
    : impl_(std::make_unique<Impl>(loop, servers)) {}
Resolver::~Resolver() = default;

void Resolver::Resolve(const std::string& name, std::function<void(Result<Resolved>)> done) {
  if (const auto literal = IpAddress::Parse(name)) return done(Resolved{{*literal}, kLongest});
  impl_->Start(name, std::move(done));
}

}  // namespace spillway
