// SPDX-License-Identifier: MIT
#include "proxy/socket.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "tests/unit/temp_directory.h"

namespace spillway {
namespace {

const IpAddress kLoopback = IpAddress::FromV4(0x7f000001);

void WaitFor(int fd, short what) {
  pollfd entry{fd, what, 0};
  ASSERT_EQ(poll(&entry, 1, 10000), 1);
}

int Option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  EXPECT_EQ(getsockopt(fd, level, name, &value, &size), 0);
  return value;
}

TEST(Fd, ClosesWhatItOwnsAndNothingElse) {
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  {
    Fd one(fds[0]);
    Fd two(std::move(one));
    EXPECT_FALSE(one);
    one = std::move(two);
    EXPECT_EQ(one.get(), fds[0]);
    one = std::move(*&one);  // itself
    EXPECT_EQ(one.get(), fds[0]);
  }
  EXPECT_EQ(fcntl(fds[0], F_GETFD), -1);
  Fd three(fds[1]);
  EXPECT_EQ(three.Release(), fds[1]);
  EXPECT_EQ(close(fds[1]), 0);
}

TEST(KernelAddress, KeepsFamilyAddressAndPort) {
  const auto v4 = KernelAddress::FromIp(IpAddress::FromV4(0xc0000201), 80);
  EXPECT_EQ(v4.family(), AF_INET);
  EXPECT_EQ(v4.ip(), IpAddress::FromV4(0xc0000201));
  EXPECT_EQ(v4.port(), 80);
  EXPECT_EQ(v4.ToString(), "192.0.2.1:80");

  const IpAddress six =
      IpAddress::FromBytes({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  const auto v6 = KernelAddress::FromIp(six, 65535);
  EXPECT_EQ(v6.family(), AF_INET6);
  EXPECT_EQ(v6.ip(), six);
  EXPECT_EQ(v6.port(), 65535);
  EXPECT_EQ(v6.ToString(), "[2001:db8::1]:65535");

  const auto unix_path = KernelAddress::FromUnixPath("/run/app.sock").value();
  EXPECT_EQ(unix_path.family(), AF_UNIX);
  EXPECT_EQ(unix_path.ip(), std::nullopt);
  EXPECT_EQ(unix_path.ToString(), "unix:/run/app.sock");
}

TEST(KernelAddress, AUnixPathHasOneTo107Bytes) {
  EXPECT_TRUE(KernelAddress::FromUnixPath(std::string(107, 'a')));
  EXPECT_FALSE(KernelAddress::FromUnixPath(std::string(108, 'a')));
  EXPECT_FALSE(KernelAddress::FromUnixPath(""));
  EXPECT_FALSE(KernelAddress::FromUnixPath(std::string("a\0b", 3)));
}

TEST(Listen, AcceptsNonBlockingConnectionsWithoutDelayThatHoldLittle) {
  const Fd listener = Listen(KernelAddress::FromIp(kLoopback, 0), false).value();
  EXPECT_EQ(Accept(listener.get()), std::nullopt);
  EXPECT_EQ(errno, EAGAIN);
  const KernelAddress address = LocalAddress(listener.get());
  EXPECT_NE(address.port(), 0);

  const Fd client = StartConnect(address).value();
  WaitFor(client.get(), POLLOUT);
  EXPECT_EQ(ConnectError(client.get()), 0);
  WaitFor(listener.get(), POLLIN);
  const auto accepted = Accept(listener.get());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->peer.ip(), kLoopback);
  EXPECT_EQ(accepted->peer.port(), LocalAddress(client.get()).port());
  for (const int fd : {client.get(), accepted->fd.get()}) {
    EXPECT_EQ(Option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_TRUE(fcntl(fd, F_GETFL) & O_NONBLOCK);
    EXPECT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  }
  // What the kernel keeps for a client that takes nothing.
  EXPECT_EQ(Option(accepted->fd.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT), 128 * 1024);
}

TEST(Listen, WildcardHearsIpv4) {
  const Fd listener = Listen(KernelAddress::FromIp(IpAddress(), 0), false).value();
  const std::uint16_t port = LocalAddress(listener.get()).port();
  const Fd client = StartConnect(KernelAddress::FromIp(kLoopback, port)).value();
  WaitFor(listener.get(), POLLIN);
  const auto accepted = Accept(listener.get());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->peer.ip(), kLoopback);  // not ::ffff:127.0.0.1 as another address
}

TEST(Listen, SharesAPortOnlyWhenAsked) {
  const Fd one = Listen(KernelAddress::FromIp(kLoopback, 0), true).value();
  const KernelAddress address = LocalAddress(one.get());
  EXPECT_TRUE(Listen(address, true));
  const auto refused = Listen(address, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "cannot listen on " + address.ToString() + ": Address already in use");
}

TEST(Listen, SaysWhyAnAddressIsNotPossible) {
  const auto refused = Listen(KernelAddress::FromIp(IpAddress::FromV4(0xc0000201), 1), false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "cannot listen on 192.0.2.1:1: Cannot assign requested address");
}

TEST(ListenUnix, IsOpenToOwnerAndGroup) {
  const TempDirectory dir;
  const auto address = KernelAddress::FromUnixPath(dir / "s").value();
  const Fd listener = Listen(address, true).value();
  struct stat status;
  ASSERT_EQ(stat((dir / "s").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0660u);
  const Fd client = StartConnect(address).value();
  const auto accepted = Accept(listener.get());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->peer.ToString(), "unix:");
}

TEST(ListenUnix, ReplacesASocketThatNobodyAnswers) {
  const TempDirectory dir;
  const auto address = KernelAddress::FromUnixPath(dir / "s").value();
  Listen(address, false).value().Reset();  // the file stays
  EXPECT_TRUE(Listen(address, false));
}

TEST(ListenUnix, LeavesASocketThatSomebodyAnswers) {
  const TempDirectory dir;
  const auto address = KernelAddress::FromUnixPath(dir / "s").value();
  const Fd alive = Listen(address, false).value();
  const auto refused = Listen(address, false);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::EndsWith("/s: Address already in use"));
  EXPECT_TRUE(StartConnect(address));
}

TEST(ListenUnix, LeavesAFileThatIsNoSocket) {
  const TempDirectory dir;
  Fd file(open((dir / "s").c_str(), O_CREAT | O_WRONLY, 0600));
  EXPECT_FALSE(Listen(KernelAddress::FromUnixPath(dir / "s").value(), false));
  EXPECT_TRUE(std::filesystem::exists(dir / "s"));
}

TEST(StartConnect, ReportsARefusalThroughConnectError) {
  Fd listener = Listen(KernelAddress::FromIp(kLoopback, 0), false).value();
  const KernelAddress address = LocalAddress(listener.get());
  listener.Reset();
  const auto client = StartConnect(address);
  if (!client) return;  // refused at once: said so already
  WaitFor(client->get(), POLLOUT);
  EXPECT_EQ(ConnectError(client->get()), ECONNREFUSED);
}

TEST(StartConnect, SaysThatAUnixSocketIsMissing) {
  const auto client = StartConnect(KernelAddress::FromUnixPath("/nonexistent/s").value());
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error(), ENOENT);
}

TEST(RaiseDescriptorLimit, ReachesTheHardLimit) {
  const std::uint64_t now = RaiseDescriptorLimit();
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(limit.rlim_cur, limit.rlim_max);
  EXPECT_EQ(now, limit.rlim_cur);
}

}  // namespace
}  // namespace spillway
