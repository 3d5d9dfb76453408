// SPDX-License-Identifier: MIT
// The resolver against a small DNS server on the same loop. What is tested of /etc/hosts is
// "localhost".
#include "proxy/resolver.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <map>
#include <optional>
#include <stdexcept>

#include "proxy/socket.h"

namespace spillway {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

IpAddress Ip(std::string_view text) {
  return IpAddress::Parse(text).value();
}

// Answers A and AAAA questions from a table; names it does not hold do not exist. Answers that are
// too long for a datagram are given over TCP.
class DnsServer {
 public:
  struct Record {
    std::string address;
    std::uint32_t ttl;
  };
  explicit DnsServer(Loop& loop) : loop_(loop) {
    // Both protocols on one port: a free one for TCP may be taken for UDP.
    for (int attempt = 0; attempt < 100 && !datagrams_; ++attempt) {
      listener_ = Listen(KernelAddress::FromIp(Ip("127.0.0.1"), 0), false).value();
      const KernelAddress same = LocalAddress(listener_.get());
      Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&same.storage), same.size) == 0) {
        datagrams_ = std::move(fd);
      }
    }
    on_datagram_.emplace(loop, datagrams_.get(), this, &OnDatagram, nullptr);
    on_connection_.emplace(loop, listener_.get(), this, &OnConnection, nullptr);
    on_datagram_->WantRead(true);
    on_connection_->WantRead(true);
  }
  std::string address() const { return LocalAddress(datagrams_.get()).ToString(); }

  std::multimap<std::string, Record> records;
  bool silent = false;
  int asked = 0, asked_over_tcp = 0;

 private:
  static void OnDatagram(void* self) { static_cast<DnsServer*>(self)->AnswerDatagram(); }
  static void OnConnection(void* self) { static_cast<DnsServer*>(self)->Accept(); }
  static void OnStream(void* self) { static_cast<DnsServer*>(self)->AnswerStream(); }

  void AnswerDatagram() {
    char packet[512];
    KernelAddress from;
    from.size = sizeof(from.storage);
    const ssize_t size = recvfrom(datagrams_.get(), packet, sizeof(packet), 0,
                                  reinterpret_cast<sockaddr*>(&from.storage), &from.size);
    if (size < 12) return;
    ++asked;
    if (silent) return;
    std::string reply = Reply(std::string(packet, static_cast<std::size_t>(size)));
    if (reply.size() > 512) {
      reply.resize(512);
      reply[2] = static_cast<char>(reply[2] | 2);  // truncated
    }
    sendto(datagrams_.get(), reply.data(), reply.size(), 0,
           reinterpret_cast<const sockaddr*>(&from.storage), from.size);
  }

  void Accept() {
    on_stream_.reset();
    stream_ = std::move(spillway::Accept(listener_.get())->fd);
    on_stream_.emplace(loop_, stream_.get(), this, &OnStream, nullptr);
    on_stream_->WantRead(true);
  }

  // A query comes in one piece over loopback; several may come together.
  void AnswerStream() {
    char packets[4096];
    const ssize_t size = recv(stream_.get(), packets, sizeof(packets), 0);
    if (size <= 0) return on_stream_.reset();
    std::string_view rest(packets, static_cast<std::size_t>(size));
    while (rest.size() > 2) {
      const auto length = static_cast<std::size_t>(rest[0] << 8 | rest[1]);
      ++asked_over_tcp;
      const std::string reply = Reply(std::string(rest.substr(2, length)));
      const std::string framed = std::string(1, static_cast<char>(reply.size() >> 8)) +
                                 static_cast<char>(reply.size() & 255) + reply;
      EXPECT_EQ(send(stream_.get(), framed.data(), framed.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(framed.size()));
      rest.remove_prefix(length + 2);
    }
  }

  std::string Reply(const std::string& query) const {
    std::string name;
    std::size_t at = 12;
    while (query[at] != 0) {
      const auto length = static_cast<std::size_t>(query[at]);
      name += query.substr(at + 1, length) + ".";
      at += length + 1;
    }
    const int type = query[at + 2];  // 1: A, 28: AAAA
    const std::string question = query.substr(12, at + 5 - 12);

    std::string answers;
    int count = 0;
    const auto [begin, end] = records.equal_range(name);
    for (auto record = begin; record != end; ++record) {
      const IpAddress ip = Ip(record->second.address);
      if (ip.is_v4() != (type == 1)) continue;
      const std::size_t bytes = ip.is_v4() ? 4 : 16;
      answers += std::string("\xc0\x0c\0", 3) + static_cast<char>(type) + std::string("\0\1", 2);
      const std::uint32_t ttl = htonl(record->second.ttl);
      answers.append(reinterpret_cast<const char*>(&ttl), 4);
      answers += std::string(1, '\0') + static_cast<char>(bytes);
      answers.append(reinterpret_cast<const char*>(ip.bytes().data()) + 16 - bytes, bytes);
      ++count;
    }
    const char code = begin == end ? 3 : 0;  // NXDOMAIN
    return query.substr(0, 2) + "\x81" + static_cast<char>(0x80 | code) + std::string("\0\1\0", 3) +
           static_cast<char>(count) + std::string(4, '\0') + question + answers;
  }

  Loop& loop_;
  Fd datagrams_, listener_, stream_;
  std::optional<IoWatch> on_datagram_, on_connection_, on_stream_;
};

class ResolverTest : public testing::Test {
 protected:
  ResolverTest() : server_(loop_) { resolver_.emplace(loop_, server_.address()); }
  Result<Resolved> Resolve(const std::string& name) {
    std::optional<Result<Resolved>> answer;
    resolver_->Resolve(name, [&](Result<Resolved> result) {
      answer = std::move(result);
      loop_.Stop();
    });
    loop_.Run();
    return answer.value();
  }

  Loop loop_;
  DnsServer server_;
  std::optional<Resolver> resolver_;
};

TEST_F(ResolverTest, GathersBothFamiliesSortedWithoutDoubles) {
  server_.records = {{"app.test.", {"192.0.2.9", 300}},
                     {"app.test.", {"192.0.2.1", 60}},
                     {"app.test.", {"192.0.2.9", 300}},
                     {"app.test.", {"2001:db8::1", 120}}};
  const auto answer = Resolve("app.test.");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->addresses, ElementsAre(Ip("192.0.2.1"), Ip("192.0.2.9"), Ip("2001:db8::1")));
  EXPECT_EQ(answer->ttl, 60s);  // the shortest
  EXPECT_EQ(server_.asked, 2);
}

TEST_F(ResolverTest, HoldsTheTimeToLiveBetweenASecondAndAnHour) {
  server_.records = {{"short.test.", {"192.0.2.1", 0}}, {"long.test.", {"192.0.2.1", 86400}}};
  EXPECT_EQ(Resolve("short.test.")->ttl, 1s);
  EXPECT_EQ(Resolve("long.test.")->ttl, 1h);
}

TEST_F(ResolverTest, AsksOverTcpWhenADatagramIsTooShortAndKeepsAtMost64Addresses) {
  for (int i = 0; i < 100; ++i) {
    server_.records.insert({"many.test.", {"192.0.2." + std::to_string(i), 60}});
  }
  const auto answer = Resolve("many.test.");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(answer->addresses, SizeIs(64));
  EXPECT_GE(server_.asked_over_tcp, 1);
}

TEST_F(ResolverTest, SaysThatANameDoesNotExist) {
  const auto answer = Resolve("missing.test.");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message, "Domain name not found");
}

TEST_F(ResolverTest, AsksAgainAfterAnAnswer) {
  server_.records = {{"app.test.", {"192.0.2.1", 60}}};
  EXPECT_THAT(Resolve("app.test.")->addresses, ElementsAre(Ip("192.0.2.1")));
  server_.records = {{"app.test.", {"192.0.2.2", 60}}};
  EXPECT_THAT(Resolve("app.test.")->addresses,
              ElementsAre(Ip("192.0.2.2")));  // nothing is kept here
}

TEST_F(ResolverTest, ALiteralAddressIsAnsweredAtOnceWithoutAsking) {
  for (const char* text : {"192.0.2.7", "2001:db8::7", "::1"}) {
    bool called = false;
    resolver_->Resolve(text, [&](Result<Resolved> result) {
      called = true;
      EXPECT_THAT(result->addresses, ElementsAre(Ip(text)));
      EXPECT_EQ(result->ttl, 1h);
    });
    EXPECT_TRUE(called);
  }
  EXPECT_EQ(server_.asked, 0);
}

TEST_F(ResolverTest, TakesNamesFromTheHostsFile) {
  const auto answer = Resolve("localhost");
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->addresses, testing::Contains(testing::AnyOf(Ip("127.0.0.1"), Ip("::1"))));
  EXPECT_EQ(answer->ttl, 30s);
  EXPECT_EQ(server_.asked, 0);
}

TEST_F(ResolverTest, NamesAreAnsweredAfterTheCall) {
  bool called = false;
  resolver_->Resolve("localhost", [&](Result<Resolved>) {
    called = true;
    loop_.Stop();
  });
  EXPECT_FALSE(called);
  loop_.Run();
  EXPECT_TRUE(called);
}

TEST_F(ResolverTest, ManyAtOnceEachGetTheirOwnAnswer) {
  constexpr int kNames = 50;
  int answered = 0;
  for (int i = 0; i < kNames; ++i) {
    const std::string name = "n" + std::to_string(i) + ".test.",
                      address = "192.0.2." + std::to_string(i);
    server_.records.insert({name, {address, 60}});
    resolver_->Resolve(name, [&, address](Result<Resolved> result) {
      EXPECT_THAT(result->addresses, ElementsAre(Ip(address)));
      if (++answered == kNames) loop_.Stop();
    });
  }
  loop_.Run();
  EXPECT_EQ(answered, kNames);
}

TEST_F(ResolverTest, DestroyedWhileAskingCallsNobody) {
  server_.silent = true;
  resolver_->Resolve("app.test.", [](Result<Resolved>) { FAIL() << "called after the end"; });
  resolver_->Resolve("localhost",
                     [](Result<Resolved>) { FAIL() << "called after the end"; });  // posted already
  resolver_.reset();
  loop_.Stop();
  loop_.Run();
}

TEST_F(ResolverTest, MayBeDestroyedByItsCallback) {
  server_.records = {{"app.test.", {"192.0.2.1", 60}}};
  resolver_->Resolve("app.test.", [&](Result<Resolved>) {
    resolver_.reset();
    loop_.Stop();
  });
  loop_.Run();
  EXPECT_FALSE(resolver_);
}

TEST(Resolver, RefusesMalformedServers) {
  Loop loop;
  EXPECT_THROW(Resolver(loop, "not an address"), std::runtime_error);
}

}  // namespace
}  // namespace spillway
