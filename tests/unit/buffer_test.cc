// SPDX-License-Identifier: MIT
#include "proxy/buffer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

namespace spillway {
namespace {

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    near.emplace(Fd(fds[0]));
    far = Fd(fds[1]);
  }
  std::string ReadAll() {
    std::string all;
    char bytes[65536];
    for (;;) {
      const ssize_t got = ::read(far.get(), bytes, sizeof bytes);
      if (got <= 0) return all;
      all.append(bytes, static_cast<std::size_t>(got));
    }
  }
  std::optional<Stream> near;
  Fd far;
};

TEST(BlockPool, GivesBackTheBlockItWasGiven) {
  BlockPool pool;
  Block block = pool.Take(100);
  EXPECT_EQ(block.size, kSmallBlock);
  char* data = block.data.get();
  pool.Give(std::move(block));
  EXPECT_EQ(pool.Take(kSmallBlock).data.get(), data);
}

TEST(BlockPool, ServesAnySizeAndForgetsOddOnes) {
  BlockPool pool;
  Block odd = pool.Take(kLargeBlock + 1);
  EXPECT_GE(odd.size, kLargeBlock + 1);
  pool.Give(std::move(odd));
  EXPECT_EQ(pool.Take(kSmallBlock + 1).size, kLargeBlock);
}

TEST(InputBuffer, KeepsItsBytesWhenItGrowsAndWhenTheFrontIsDropped) {
  BlockPool pool;
  InputBuffer in(pool);
  in.Reserve(10);
  const std::string text = "GET / HTTP/1.1";
  std::copy(text.begin(), text.end(), in.room().begin());
  in.Added(text.size());
  in.Reserve(kLargeBlock + 5);
  EXPECT_EQ(std::string_view(in.data(), in.end()), text);
  in.DropFront(4);
  EXPECT_EQ(std::string_view(in.data(), in.end()), "/ HTTP/1.1");
}

TEST(InputBuffer, HoldsNoBlockOnceReleased) {
  BlockPool pool;
  InputBuffer in(pool);
  in.Reserve(1);
  in.Added(1);
  in.Release();
  EXPECT_EQ(in.capacity(), 0u);
  EXPECT_EQ(in.end(), 0u);
}

TEST(Output, DeliversEveryByteInOrderThroughASocketThatTakesFewAtATime) {
  Pair pair;
  Output out;
  std::string expected, received;
  for (int i = 0; i < 200; ++i) {
    const std::string head = "<" + std::to_string(i) + ">",
                      body(5000, static_cast<char>('a' + i % 26));
    expected += head + body;
    iovec vectors[] = {ToVector(head), ToVector(body)};
    ASSERT_EQ(out.Write(*pair.near, vectors), IoStatus::kOk);
  }
  EXPECT_FALSE(out.empty()) << "the socket was meant to be too small";
  while (!out.empty()) {
    received += pair.ReadAll();
    ASSERT_EQ(out.Flush(*pair.near), IoStatus::kOk);
  }
  received += pair.ReadAll();
  EXPECT_EQ(received, expected);
}

TEST(Output, IsBrokenWhenThePeerIsGone) {
  Pair pair;
  pair.far.Reset();
  Output out;
  iovec vector = ToVector("x");
  EXPECT_EQ(out.Write(*pair.near, {&vector, 1}), IoStatus::kBroken);
}

}  // namespace
}  // namespace spillway
