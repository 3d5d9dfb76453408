// SPDX-License-Identifier: MIT
// The stream over plain sockets; tls_test.cc has the encrypted one.
#include "proxy/stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <string>
#include <string_view>
#include <vector>

namespace spillway {
namespace {

class PlainStream : public testing::Test {
 protected:
  void SetUp() override {
    const Fd listener =
        Listen(KernelAddress::FromIp(IpAddress::FromV4(0x7f000001), 0), false).value();
    peer_ = StartConnect(LocalAddress(listener.get())).value();
    stream_ =
        std::make_unique<Stream>(Fd(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK)));
    ASSERT_EQ(fcntl(peer_.get(), F_SETFL, 0), 0);  // the peer may block
  }
  IoResult Write(std::initializer_list<std::string_view> parts) {
    std::vector<iovec> vectors;
    for (const auto part : parts) vectors.push_back({const_cast<char*>(part.data()), part.size()});
    return stream_->Write(vectors);
  }
  std::string PeerReads(std::size_t size) {
    std::string got(size, 0);
    EXPECT_EQ(recv(peer_.get(), got.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
    return got;
  }
  void PeerResets() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(peer_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    peer_.Reset();
  }
  void WaitReadable() {
    pollfd entry{stream_->fd(), POLLIN, 0};
    ASSERT_EQ(poll(&entry, 1, 10000), 1);
  }
  IoStatus Read() { return stream_->Read(room_).status; }

  Fd peer_;
  std::unique_ptr<Stream> stream_;
  char room_[64];
};

TEST_F(PlainStream, ReadsAtMostWhatItIsGivenRoomFor) {
  EXPECT_EQ(Read(), IoStatus::kWouldBlock);
  ASSERT_EQ(send(peer_.get(), "hello", 5, 0), 5);
  WaitReadable();
  const IoResult got = stream_->Read(std::span(room_, 3));
  EXPECT_EQ(got.status, IoStatus::kOk);
  EXPECT_EQ(std::string_view(room_, got.bytes), "hel");
  EXPECT_EQ(stream_->Read(std::span(room_, 0)).status, IoStatus::kWouldBlock);
  EXPECT_EQ(stream_->Read(room_).bytes, 2u);
  EXPECT_FALSE(stream_->has_pending());
  EXPECT_EQ(stream_->Handshake(), IoStatus::kOk);
}

TEST_F(PlainStream, WritesVectorsInOrder) {
  const IoResult put = Write({"one ", "", "two ", "three"});
  EXPECT_EQ(put.status, IoStatus::kOk);
  EXPECT_EQ(put.bytes, 13u);
  EXPECT_EQ(PeerReads(13), "one two three");
}

TEST_F(PlainStream, WritesAtMostTheKernelsNumberOfVectorsAtOnce) {
  char byte = 'x';
  const std::vector<iovec> vectors(3000, iovec{&byte, 1});
  const IoResult put = stream_->Write(vectors);
  EXPECT_EQ(put.status, IoStatus::kOk);
  EXPECT_EQ(put.bytes, 1024u);
}

TEST_F(PlainStream, BlocksWhenThePeerDoesNotRead) {
  const std::string block(1 << 20, 'x');
  std::size_t total = 0;
  IoResult put;
  while ((put = Write({block})).status == IoStatus::kOk) total += put.bytes;
  EXPECT_EQ(put.status, IoStatus::kWouldBlock);
  EXPECT_EQ(PeerReads(total).size(), total);
}

TEST_F(PlainStream, EndOfThePeersSideIsAnEndAndWritesGoOn) {
  shutdown(peer_.get(), SHUT_WR);
  WaitReadable();
  EXPECT_EQ(Read(), IoStatus::kEnd);
  EXPECT_EQ(Write({"late"}).status, IoStatus::kOk);
  EXPECT_EQ(PeerReads(4), "late");
}

TEST_F(PlainStream, AResetIsBrokenForBothDirectionsAndRaisesNoSignal) {
  PeerResets();
  WaitReadable();
  EXPECT_EQ(Read(), IoStatus::kBroken);
  EXPECT_EQ(Write({"late"}).status, IoStatus::kBroken);  // EPIPE; SIGPIPE would end the test
}

TEST_F(PlainStream, ShutdownWriteEndsOnlyOurSide) {
  stream_->ShutdownWrite();
  char byte;
  EXPECT_EQ(recv(peer_.get(), &byte, 1, 0), 0);
  ASSERT_EQ(send(peer_.get(), "a", 1, 0), 1);
  WaitReadable();
  EXPECT_EQ(Read(), IoStatus::kOk);
}

TEST_F(PlainStream, ResetOnCloseIsSeenAsAReset) {
  stream_->ResetOnClose();
  stream_.reset();
  char byte;
  EXPECT_EQ(recv(peer_.get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

}  // namespace
}  // namespace spillway
