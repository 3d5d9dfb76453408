// SPDX-License-Identifier: MIT
// c-ares on our loop: its sockets become watches as it opens and closes them, its timeouts one
// deadline.
#include "proxy/resolver.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
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

// DNS itself said that there is nothing.
bool SaysNone(int status) {
  return status == ARES_ENOTFOUND || status == ARES_ENODATA;
}

// The name under which DNS has those of the address (RFC 1035 3.5, RFC 3596 2.5).
std::string PointerName(const IpAddress& address) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string name;
  const auto& bytes = address.bytes();
  for (std::size_t i = bytes.size(); i > (address.is_v4() ? 12 : 0); --i) {
    const unsigned byte = bytes[i - 1];
    if (address.is_v4()) {
      name += std::to_string(byte) + ".";
    } else {
      name += {kDigits[byte & 15], '.', kDigits[byte >> 4], '.'};
    }
  }
  return name + (address.is_v4() ? "in-addr.arpa." : "ip6.arpa.");
}

Result<std::vector<std::string>> ToNames(const IpAddress& address, const unsigned char* reply,
                                         int size) {
  const std::size_t first = address.is_v4() ? 12 : 0;
  hostent* parsed = nullptr;
  const int status = ares_parse_ptr_reply(reply, size, address.bytes().data() + first,
                                          static_cast<int>(address.bytes().size() - first),
                                          address.is_v4() ? AF_INET : AF_INET6, &parsed);
  if (SaysNone(status)) return std::vector<std::string>();
  if (status != ARES_SUCCESS) return Fail(ares_strerror(status));
  const std::unique_ptr<hostent, decltype(&ares_free_hostent)> host(parsed, &ares_free_hostent);
  std::vector<std::string> names;
  if (host->h_name != nullptr) names.emplace_back(host->h_name);
  for (char** alias = host->h_aliases; alias != nullptr && *alias != nullptr; ++alias) {
    const bool known = std::find(names.begin(), names.end(), *alias) != names.end();
    if (!known && names.size() < kMost) names.emplace_back(*alias);
  }
  return names;
}

}  // namespace

struct Resolver::Impl {
  struct Query {
    Impl& impl;
    std::function<void(Result<Resolved>)> done;
    bool none_is_an_answer = false;
  };
  struct NamesQuery {
    Impl& impl;
    IpAddress address;
    std::function<void(Result<std::vector<std::string>>)> done;
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

  void Start(const std::string& name, int family, bool none_is_an_answer,
             std::function<void(Result<Resolved>)> done) {
    ares_addrinfo_hints hints{};
    hints.ai_family = family;
    hints.ai_flags = ARES_AI_NOSORT;  // sorting would connect a socket to every address
    hints.ai_socktype = SOCK_STREAM;
    asking = true;
    ares_getaddrinfo(channel, name.c_str(), nullptr, &hints, &OnAnswer,
                     new Query{*this, std::move(done), none_is_an_answer});
    asking = false;
    SetTimeout();
  }

  static void OnAnswer(void* self, int status, int, ares_addrinfo* info) {
    const std::unique_ptr<Query> query(static_cast<Query*>(self));
    const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owned(info,
                                                                             &ares_freeaddrinfo);
    if (status == ARES_EDESTRUCTION) return;
    Impl& impl = query->impl;
    Result<Resolved> result = Fail(ares_strerror(status));
    if (status == ARES_SUCCESS) result = ToResolved(*info, impl.asking);
    if (SaysNone(status) && query->none_is_an_answer) result = Resolved{};
    impl.Answer(std::move(query->done), std::move(result));
  }

  void StartNames(const IpAddress& address,
                  std::function<void(Result<std::vector<std::string>>)> done) {
    constexpr int kInternet = 1, kPointer = 12;  // class and type
    // Not ares_gethostbyaddr, for which a server that fails is like a name that does not exist.
    ares_query(channel, PointerName(address).c_str(), kInternet, kPointer, &OnNames,
               new NamesQuery{*this, address, std::move(done)});
    SetTimeout();
  }

  static void OnNames(void* self, int status, int, unsigned char* reply, int size) {
    const std::unique_ptr<NamesQuery> query(static_cast<NamesQuery*>(self));
    if (status == ARES_EDESTRUCTION) return;
    Result<std::vector<std::string>> result = Fail(ares_strerror(status));
    if (status == ARES_SUCCESS) result = ToNames(query->address, reply, size);
    if (SaysNone(status)) result = std::vector<std::string>();
    query->impl.Answer(std::move(query->done), std::move(result));
  }

  // Not from within c-ares, which must not be destroyed by its own callback.
  template <class T>
  void Answer(std::function<void(Result<T>)> done, Result<T> result) {
    loop.Post([here = std::weak_ptr<Impl*>(alive), done = std::move(done),
               result = std::move(result)]() mutable {
      if (!here.expired()) done(std::move(result));
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
  impl_->Start(name, AF_UNSPEC, /*none_is_an_answer=*/false, std::move(done));
}

void Resolver::ResolveFull(const std::string& name, const IpAddress& like,
                           std::function<void(Result<Resolved>)> done) {
  impl_->Start(name.ends_with('.') ? name : name + ".", like.is_v4() ? AF_INET : AF_INET6,
               /*none_is_an_answer=*/true, std::move(done));
}

void Resolver::FindNames(const IpAddress& address,
                         std::function<void(Result<std::vector<std::string>>)> done) {
  impl_->StartNames(address, std::move(done));
}

}  // namespace spillway
