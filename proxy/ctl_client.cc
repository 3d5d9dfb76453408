// SPDX-License-Identifier: MIT
#include "proxy/ctl_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "proxy/http1.h"
#include "proxy/socket.h"

namespace spillway {
namespace {

constexpr std::size_t kMostAnswer = 64 * 1024 * 1024;

Result<KernelAddress> FindAddress(const SocketAddress& admin) {
  switch (admin.form) {
    case SocketAddress::Form::kUnix:
      return KernelAddress::FromUnixPath(admin.name);
    case SocketAddress::Form::kIp: {
      IpAddress ip = admin.ip;
      const bool wildcard = ip == IpAddress() || ip == IpAddress::FromV4(0);
      if (wildcard) ip = *IpAddress::Parse("127.0.0.1");
      return KernelAddress::FromIp(ip, admin.port);
    }
    case SocketAddress::Form::kName:
      if (admin.name == "localhost") {
        return KernelAddress::FromIp(*IpAddress::Parse("127.0.0.1"), admin.port);
      }
      break;
  }
  return Fail(admin.text + ": an IP address or unix:/path is needed");
}

// Waits for `events`; false when the time is over. This is a command-line client: it may read a
// clock.
class Waiter {
 public:
  Waiter(int fd, Duration timeout) : fd_(fd), end_(std::chrono::steady_clock::now() + timeout) {}
  bool Wait(short events) const {
    for (;;) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now());
      if (left.count() <= 0) return false;
      pollfd poll{fd_, events, 0};
      const int ready = ::poll(&poll, 1, static_cast<int>(left.count()));
      if (ready > 0) return true;
      if (ready < 0 && errno != EINTR) return false;
    }
  }

 private:
  const int fd_;
  const std::chrono::steady_clock::time_point end_;
};

Result<void> SendAll(int fd, std::string_view bytes, const Waiter& waiter) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno != EAGAIN && errno != EINTR) {
      return Fail(std::strerror(errno));
    } else if (!waiter.Wait(POLLOUT)) {
      return Fail("no answer in time");
    }
  }
  return {};
}

Result<CtlAnswer> ReadAnswer(int fd, std::string_view method, const Waiter& waiter) {
  ResponseParser parser(MessageLimits{.head = 64 * 1024});
  parser.Reset(method);
  std::string received;
  CtlAnswer answer;
  std::size_t taken = 0;
  for (;;) {
    ParseStep step = parser.Feed(received.data(), taken, received.size());
    while (step == ParseStep::kHead || step == ParseStep::kBody) {
      if (step == ParseStep::kBody) answer.body += parser.body();
      if (step == ParseStep::kHead) answer.status = parser.head().status;
      taken = parser.taken();
      step = parser.Feed(received.data(), taken, received.size());
    }
    taken = parser.taken();
    if (step == ParseStep::kEnd) return answer;
    if (step == ParseStep::kFailed) return Fail("not an HTTP answer");
    if (received.size() > kMostAnswer) return Fail("the answer is too long");
    char buffer[16 * 1024];
    const ssize_t size = ::recv(fd, buffer, sizeof(buffer), 0);
    if (size > 0) {
      received.append(buffer, static_cast<std::size_t>(size));
    } else if (size == 0) {
      if (parser.FeedEnd() == ParseStep::kEnd) return answer;
      return Fail("the answer broke off");
    } else if (errno != EAGAIN && errno != EINTR) {
      return Fail(std::strerror(errno));
    } else if (!waiter.Wait(POLLIN)) {
      return Fail("no answer in time");
    }
  }
}

}  // namespace

Result<CtlAnswer> AskAdmin(const SocketAddress& admin, const std::string& token,
                           const std::string& method, const std::string& target,
                           const std::string& json_body, Duration timeout) {
  const Result<KernelAddress> address = FindAddress(admin);
  if (!address) return Fail(address.error().message);
  const auto fail = [&](const std::string& why) { return Fail(address->ToString() + ": " + why); };
  const auto fd = StartConnect(*address);
  if (!fd) return fail(std::strerror(fd.error()));
  const Waiter waiter(fd->get(), timeout);
  if (!waiter.Wait(POLLOUT)) return fail("no connection in time");
  if (const int error = ConnectError(fd->get()); error != 0) return fail(std::strerror(error));

  const bool is_unix = address->family() == AF_UNIX;
  std::string request = method + " " + target +
                        " HTTP/1.1\r\nHost: " + (is_unix ? "localhost" : address->ToString()) +
                        "\r\nUser-Agent: spillway-ctl\r\nConnection: close\r\n";
  if (!token.empty()) request += "Authorization: Bearer " + token + "\r\n";
  if (method != "GET") {
    request +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(json_body.size()) +
        "\r\n";
  }
  request += "\r\n" + json_body;
  if (const Result<void> sent = SendAll(fd->get(), request, waiter); !sent) {
    return fail(sent.error().message);
  }
  Result<CtlAnswer> answer = ReadAnswer(fd->get(), method, waiter);
  if (!answer) return fail(answer.error().message);
  return answer;
}

}  // namespace spillway
