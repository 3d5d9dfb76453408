// SPDX-License-Identifier: MIT
// A relay that knows nothing of HTTP: the floor that a proxy's cost is measured against.
// Each client's connection has one connection to the upstream for as long as it lives. What can be read of
// one side is written to the other at once: one read and one write for each hop. One thread, one epoll.
//
//   relay UPSTREAM_PORT     listens on a free port of 127.0.0.1, and prints it
//
// What a side does not take at once is held, and no more is read of the other side until it is gone: at most
// kChunk for each direction. When one side ends, both are closed: good enough for what is measured with it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {

// Two segments of the loopback interface, and not a few bytes more: a short third one would cost as much as
// a full one.
constexpr std::size_t kChunk = 120 * 1024;
constexpr int kOne = 1;

struct Side {
  int fd = -1;
  Side* other = nullptr;
  std::string held;  // read of the other side, and not taken by this one yet
};

struct Pair {
  Side client, upstream;
};

sockaddr_in Loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::exit(1);
}

class Relay {
 public:
  explicit Relay(std::uint16_t upstream) : upstream_(Loopback(upstream)) {
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (listener_ < 0 || bind(listener_, generic, size) < 0 || listen(listener_, 4096) < 0 ||
        getsockname(listener_, generic, &size) < 0) {
      Die("cannot listen");
    }
    Watch(EPOLL_CTL_ADD, listener_, nullptr, EPOLLIN);
    std::printf("%d\n", ntohs(address.sin_port));
    std::fflush(stdout);
  }

  void Run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.ptr == nullptr) {
          Accept();
        } else {
          On(static_cast<Side*>(event.data.ptr), event.events);
        }
      }
      ended_.clear();  // not before: other events of the same turn may point to them
    }
  }

 private:
  void Watch(int what, int fd, Side* side, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.ptr = side;
    if (epoll_ctl(epoll_, what, fd, &event) < 0) Die("epoll_ctl");
  }

  void Accept() {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
    if (client < 0) return;
    // The other end is this machine: connecting takes no time that would be worth a state of its own.
    const int upstream = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(upstream, reinterpret_cast<const sockaddr*>(&upstream_), sizeof upstream_) < 0) {
      Die("cannot connect to the upstream");
    }
    for (const int fd : {client, upstream}) {
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &kOne, sizeof kOne);
    }
    auto pair = std::make_unique<Pair>();
    pair->client = {client, &pair->upstream, {}};
    pair->upstream = {upstream, &pair->client, {}};
    Watch(EPOLL_CTL_ADD, client, &pair->client, EPOLLIN);
    Watch(EPOLL_CTL_ADD, upstream, &pair->upstream, EPOLLIN);
    pairs_.emplace(client, std::move(pair));
  }

  void On(Side* side, std::uint32_t events) {
    if (side->fd < 0) return;
    if ((events & EPOLLOUT) != 0 && !Write(side, side->held)) return End(side);
    if ((events & EPOLLIN) != 0) {
      const ssize_t size = recv(side->fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (size < 0 && errno == EAGAIN) return;
      if (size <= 0) return End(side);
      const std::string_view read(buffer_.data(), static_cast<std::size_t>(size));
      if (!Write(side->other, read)) return End(side);
    } else if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
      End(side);
    }
  }

  // Writes what is held or was just read; keeps the rest. False when the side takes no more for good.
  bool Write(Side* side, std::string_view bytes) const {
    const ssize_t sent = send(side->fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    const bool full = !side->held.empty();
    std::string rest(bytes.substr(sent < 0 ? 0 : static_cast<std::size_t>(sent)));
    if (full != !rest.empty()) Hold(side, !rest.empty());
    side->held = std::move(rest);
    return true;
  }

  // A side that holds something waits to write it, and its other side is not read meanwhile. Each side's own
  // events depend on both directions.
  void Hold(Side* side, bool holds) const {
    const bool other_holds = !side->other->held.empty();
    Watch(EPOLL_CTL_MOD, side->fd, side, (holds ? EPOLLOUT : 0U) | (other_holds ? 0U : EPOLLIN));
    Watch(EPOLL_CTL_MOD, side->other->fd, side->other,
          (other_holds ? EPOLLOUT : 0U) | (holds ? 0U : EPOLLIN));
  }

  void End(Side* side) {
    for (Side* each : {side, side->other}) {
      close(each->fd);
      if (auto found = pairs_.find(each->fd);
          found != pairs_.end() && &found->second->client == each) {
        ended_.push_back(std::move(found->second));
        pairs_.erase(found);
      }
      each->fd = -1;
    }
  }

  sockaddr_in upstream_;
  int listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int epoll_ = epoll_create1(0);
  std::array<char, kChunk> buffer_;
  std::unordered_map<int, std::unique_ptr<Pair>> pairs_;  // by the client's descriptor
  std::vector<std::unique_ptr<Pair>> ended_;
};

}  // namespace

int main(int argc, char** argv) {
  const int port = argc == 2 ? std::atoi(argv[1]) : 0;
  if (port <= 0 || port > 65535) {
    std::fprintf(stderr, "usage: relay UPSTREAM_PORT\n");
    return 2;
  }
  Relay(static_cast<std::uint16_t>(port)).Run();
}
