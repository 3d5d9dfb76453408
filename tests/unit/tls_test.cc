// SPDX-License-Identifier: MIT
// Bytes over an encrypted stream, and its ends.
#include <gtest/gtest.h>
#include <poll.h>

#include <string>
#include <vector>

#include "tests/unit/tls_peer.h"

namespace spillway {
namespace {

using TlsStream = TlsTest;

TEST_F(TlsStream, GathersSmallVectorsIntoOneRecord) {
  const auto context = OneCertificate();
  OpensslClient client;
  Stream stream(client.TakeServerSide(), *context);
  ASSERT_TRUE(client.Handshake(stream));
  EXPECT_EQ(stream.Write(Vectors({"one ", "", "two ", "three"})).bytes, 13u);
  EXPECT_EQ(client.Read(), "one two three");
  EXPECT_EQ(stream.Write({}).status, IoStatus::kOk);
}

TEST_F(TlsStream, KeepsBytesInOrderOverBlockedWrites) {
  const auto context = OneCertificate();
  OpensslClient client;
  Stream stream(client.TakeServerSide(), *context);
  ASSERT_TRUE(client.Handshake(stream));
  std::string all;
  for (int i = 0; all.size() < 3'000'000; ++i) all += std::to_string(i) + ",";
  std::string got;
  std::size_t sent = 0, blocked = 0, size = 1;
  while (sent < all.size()) {
    // The rest in pieces of ever other sizes, and copied: a retry after a block is cut differently
    // and lies elsewhere.
    const std::string rest = all.substr(sent);
    std::vector<iovec> vectors;
    for (std::size_t at = 0; at < rest.size(); at += vectors.back().iov_len) {
      size = size * 7919 % 50021 + 1;
      vectors.push_back({const_cast<char*>(rest.data()) + at, std::min(size, rest.size() - at)});
    }
    const IoResult put = stream.Write(vectors);
    if (put.status == IoStatus::kOk) {
      sent += put.bytes;
      continue;
    }
    ASSERT_EQ(put.status, IoStatus::kWouldBlock);
    EXPECT_FALSE(stream.write_wants_read());
    ++blocked;
    for (std::string part; !(part = client.Read()).empty();) got += part;
  }
  for (std::string part; !(part = client.Read()).empty();) got += part;
  EXPECT_GT(blocked, 3u);
  EXPECT_TRUE(got == all);
}

TEST_F(TlsStream, TellsOfBytesThatTheDescriptorWillNotAnnounce) {
  const auto context = OneCertificate();
  OpensslClient client;
  Stream stream(client.TakeServerSide(), *context);
  ASSERT_TRUE(client.Handshake(stream));
  client.Send("0123456789");
  EXPECT_EQ(ReadFrom(stream, 4), "0123");
  EXPECT_TRUE(stream.has_pending());
  pollfd entry{stream.fd(), POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, 0), 0);
  EXPECT_EQ(ReadFrom(stream), "456789");
  EXPECT_FALSE(stream.has_pending());
}

TEST_F(TlsStream, CloseNotifyIsAnEndAndACutIsNot) {
  const auto context = OneCertificate();
  for (const bool orderly : {true, false}) {
    OpensslClient client;
    Stream stream(client.TakeServerSide(), *context);
    ASSERT_TRUE(client.Handshake(stream));
    if (orderly) SSL_shutdown(client.ssl());
    client.Leave();
    char byte;
    EXPECT_EQ(stream.Read(std::span(&byte, 1)).status,
              orderly ? IoStatus::kEnd : IoStatus::kBroken);
  }
}

TEST_F(TlsStream, ShutdownWriteSaysCloseNotifyAndReadsOn) {
  const auto context = OneCertificate();
  OpensslClient client;
  Stream stream(client.TakeServerSide(), *context);
  ASSERT_TRUE(client.Handshake(stream));
  stream.Write(Vectors({"last"}));
  stream.ShutdownWrite();
  EXPECT_EQ(client.Read(), "last");
  EXPECT_EQ(client.Read(), "");
  EXPECT_TRUE(client.ended());
  client.Send("late");
  EXPECT_EQ(ReadFrom(stream), "late");
}

TEST_F(TlsStream, PlainHttpIsBrokenAndDoesNotDisturbOtherSessions) {
  const auto context = OneCertificate();
  OpensslClient good, bad;
  Stream good_stream(good.TakeServerSide(), *context), bad_stream(bad.TakeServerSide(), *context);
  ASSERT_TRUE(good.Handshake(good_stream));
  bad.SendPlain("GET / HTTP/1.1\r\n\r\n");
  char byte;
  EXPECT_EQ(bad_stream.Read(std::span(&byte, 1)).status, IoStatus::kBroken);
  EXPECT_EQ(good_stream.Read(std::span(&byte, 1)).status, IoStatus::kWouldBlock);
  EXPECT_EQ(bad_stream.Read(std::span(&byte, 1)).status, IoStatus::kBroken);
  EXPECT_EQ(bad_stream.Write(Vectors({"x"})).status, IoStatus::kBroken);
  bad_stream.ShutdownWrite();
}

}  // namespace
}  // namespace spillway
