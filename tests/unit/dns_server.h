// SPDX-License-Identifier: MIT
// A small DNS server on the loop of whoever asks it, for tests.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/loop.h"
#include "proxy/socket.h"
#include "spillway/address.h"

namespace spillway {

inline IpAddress Ip(std::string_view text) {
  return IpAddress::Parse(text).value();
}

// Answers A, AAAA and PTR questions from tables; names they do not hold do not exist. Answers that are
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
  std::multimap<std::string, std::string> pointers;  // "1.2.0.192.in-addr.arpa." to a name
  bool silent = false;
  bool fails = false;  // it says so
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
    const auto [first, last] = pointers.equal_range(name);
    for (auto pointer = first; pointer != last && type == 12; ++pointer) {
      std::string encoded;
      for (std::string_view rest = pointer->second; !rest.empty();) {
        const std::string_view label = rest.substr(0, rest.find('.'));
        encoded.append(1, static_cast<char>(label.size())).append(label);
        rest.remove_prefix(std::min(rest.size(), label.size() + 1));
      }
      encoded += '\0';
      answers += std::string("\xc0\x0c\0\x0c\0\1\0\0\1\0\0", 11) +
                 static_cast<char>(encoded.size()) + encoded;
      ++count;
    }
    const bool known = begin != end || first != last;
    const char code = fails ? 2 : known ? 0 : 3;  // SERVFAIL, NXDOMAIN
    return query.substr(0, 2) + "\x81" + static_cast<char>(0x80 | code) + std::string("\0\1\0", 3) +
           static_cast<char>(count) + std::string(4, '\0') + question + answers;
  }

  Loop& loop_;
  Fd datagrams_, listener_, stream_;
  std::optional<IoWatch> on_datagram_, on_connection_, on_stream_;
};

}  // namespace spillway
