// SPDX-License-Identifier: MIT
// Readiness, by levels and by edges, over socket pairs. A test that fails to be woken hangs until the
// runner's limit.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "proxy/loop.h"
#include "tests/unit/watched.h"

namespace spillway {
namespace {

class IoWatchTest : public testing::Test {
 protected:
  Loop loop;
  Pair pair;
  Watched watched{loop, pair.ours.get()};
  std::string got;  // by it
};

TEST_F(IoWatchTest, CallsReadableOnlyWhileReadIsWanted) {
  int reads = 0;
  pair.Send('a');
  watched.read = [&] {
    if (++reads == 3) {  // level-triggered: the byte is never taken
      watched.watch->WantRead(false);
      loop.Post([&] { loop.Stop(); });
    }
  };
  watched.watch->WantRead(true);
  watched.watch->WantRead(true);
  loop.Run();
  EXPECT_EQ(reads, 3);
  EXPECT_FALSE(watched.watch->wants_read());
}

TEST_F(IoWatchTest, CallsWritableOnlyWhileWriteIsWanted) {
  int writes = 0;
  watched.write = [&] {
    ++writes;
    watched.watch->WantWrite(false);
    loop.Post([&] { loop.Stop(); });
  };
  watched.watch->WantWrite(true);
  EXPECT_TRUE(watched.watch->wants_write());
  loop.Run();
  EXPECT_EQ(writes, 1);
}

TEST(IoWatch, MayBeDestroyedByItsOwnCallback) {
  Loop loop;
  Pair pair;
  auto watched = std::make_unique<Watched>(loop, pair.ours.get());
  watched->read = [&] {
    loop.Stop();
    watched.reset();
  };
  pair.Send('a');
  watched->watch->WantRead(true);
  watched->watch->WantWrite(false);
  loop.Run();
  EXPECT_EQ(watched, nullptr);
}

TEST(IoWatch, DestroyedByAnotherReadyWatchIsNotCalled) {
  Loop loop;
  Pair one, two;
  std::unique_ptr<Watched> a = std::make_unique<Watched>(loop, one.ours.get());
  std::unique_ptr<Watched> b = std::make_unique<Watched>(loop, two.ours.get());
  int calls = 0;
  a->read = [&] { ++calls, b.reset(), a->watch->WantRead(false), loop.Stop(); };
  b->read = [&] { ++calls, a.reset(), b->watch->WantRead(false), loop.Stop(); };
  one.Send('a');
  two.Send('b');
  a->watch->WantRead(true);
  b->watch->WantRead(true);
  loop.Run();
  EXPECT_EQ(calls, 1);
}

// Reads of at most `size` bytes, as a connection makes them.
bool ReadSome(const Pair& pair, std::size_t size, std::string* got) {
  std::string into(size, '\0');
  const ssize_t read = ::read(pair.ours.get(), into.data(), size);
  if (read > 0) got->append(into, 0, static_cast<std::size_t>(read));
  return read < static_cast<ssize_t>(size);
}

TEST_F(IoWatchTest, WithEdgesTellsOnceOfWhatCame) {
  int reads = 0;
  watched.read = [&] {
    ++reads;
    if (ReadSome(pair, 8, &got)) watched.watch->NoteEmpty();
    if (got.size() < 3) return pair.Send('b');
    loop.Post([&] { loop.Stop(); });
  };
  watched.watch->UseEdges();
  watched.watch->WantRead(true);
  pair.Send('a');
  loop.Run();
  EXPECT_EQ(got, "abb");
  EXPECT_EQ(reads, 3);
  EXPECT_TRUE(watched.watch->uses_edges());
}

// The second byte comes with the first one, so no edge would tell of it.
TEST_F(IoWatchTest, WithEdgesTellsOfWhatTheReaderHasLeft) {
  watched.read = [&] {
    if (ReadSome(pair, 1, &got)) watched.watch->NoteEmpty();
    if (got.size() == 2) loop.Stop();
  };
  pair.Send('a');
  pair.Send('b');
  watched.watch->UseEdges();
  watched.watch->WantRead(true);
  loop.Run();
  EXPECT_EQ(got, "ab");
  EXPECT_FALSE(watched.watch->uses_edges());
}

TEST_F(IoWatchTest, WithEdgesTellsAgainAReaderThatDidNotRead) {
  int reads = 0;
  watched.read = [&] {
    if (++reads == 3) loop.Stop();
  };
  pair.Send('a');
  watched.watch->UseEdges();
  watched.watch->WantRead(true);
  loop.Run();
  EXPECT_GE(reads, 3);
}

TEST_F(IoWatchTest, WithEdgesTellsOfAnEndThatCameWithTheLastBytes) {
  bool ended = false;
  watched.read = [&] {
    char byte[8];
    const ssize_t read = ::read(pair.ours.get(), byte, sizeof byte);
    ended = read == 0;
    if (read > 0) got.append(byte, static_cast<std::size_t>(read));
    watched.watch->NoteEmpty();
    if (ended) loop.Stop();
  };
  pair.Send('a');
  shutdown(pair.theirs.get(), SHUT_WR);
  watched.watch->UseEdges();
  watched.watch->WantRead(true);
  loop.Run();
  EXPECT_EQ(got, "a");
  EXPECT_TRUE(ended);
}

// What it has not read resets the connection that it closes; libevent tells only that there is something.
TEST_F(IoWatchTest, WithEdgesTellsOfAResetBehindBytesToWhoAsksForLevels) {
  EXPECT_EQ(write(pair.ours.get(), "x", 1), 1);
  watched.read = [&] {
    char bytes[8];
    const ssize_t read = ::read(pair.ours.get(), bytes, sizeof bytes);
    if (read > 0) got.append(bytes, static_cast<std::size_t>(read));
    watched.watch->NoteEmpty();
    watched.watch->UseLevels();
    if (read <= 0) loop.Stop();  // as a reset or, by some kernels, as an end
  };
  pair.Send('a');
  pair.theirs.Reset();
  watched.watch->UseEdges();
  watched.watch->WantRead(true);
  loop.Run();
  EXPECT_EQ(got, "a");
}

TEST_F(IoWatchTest, WithEdgesTellsOfWhatCameWhileNothingWasWanted) {
  watched.read = [&] {
    ReadSome(pair, 1, &got);
    watched.watch->WantRead(false);
    got.size() == 2 ? loop.Stop() : loop.Post([&] { watched.watch->WantRead(true); });
  };
  pair.Send('a');
  pair.Send('b');
  watched.watch->UseEdges();
  watched.watch->WantRead(true);
  loop.Run();
  EXPECT_EQ(got, "ab");
}

TEST(IoWatch, WithEdgesMayWantToWriteAndMayBeDestroyedByItsOwnCallback) {
  Loop loop;
  Pair pair;
  auto watched = std::make_unique<Watched>(loop, pair.ours.get());
  int writes = 0;
  watched->write = [&] {
    ++writes;
    watched->watch->WantWrite(false);
    pair.Send('a');
  };
  watched->read = [&] {
    loop.Stop();
    watched.reset();
  };
  watched->watch->UseEdges();
  watched->watch->WantRead(true);
  watched->watch->WantWrite(true);
  EXPECT_FALSE(watched->watch->uses_edges());
  loop.Run();
  EXPECT_EQ(writes, 1);

  watched = std::make_unique<Watched>(loop, pair.ours.get());
  watched->read = [&] {
    loop.Stop();
    watched.reset();
  };
  watched->watch->UseEdges();
  watched->watch->WantRead(true);  // the byte is there still
  loop.Run();
  EXPECT_EQ(watched, nullptr);
}

TEST(IoWatch, TellsInTheSameTurnThatItsCallbackIsStillToCome) {
  Loop loop;
  Pair one, two;
  Watched a(loop, one.ours.get()), b(loop, two.ours.get());
  std::vector<bool> due;
  const auto ready = [&] {
    due.push_back(a.watch->read_is_due() || b.watch->read_is_due());
    if (due.size() == 2) loop.Stop();
  };
  a.read = [&] { ready(), a.watch->WantRead(false); };
  b.read = [&] { ready(), b.watch->WantRead(false); };
  one.Send('a');
  two.Send('b');
  a.watch->WantRead(true);
  b.watch->WantRead(true);
  EXPECT_FALSE(a.watch->read_is_due());
  loop.Run();
  EXPECT_EQ(due, (std::vector<bool>{true, false}));
}

}  // namespace
}  // namespace spillway
