// SPDX-License-Identifier: MIT
// The loop: readiness, deadlines, posting and signals, over socket pairs. A test that
// fails to be woken hangs until the runner's limit; none waits for longer than a few milliseconds
// on purpose.
#include "proxy/loop.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/socket.h"
#include "spillway/mix.h"

namespace spillway {
namespace {

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    ours.Reset(fds[0]);
    theirs.Reset(fds[1]);
  }
  void Send(char byte) { EXPECT_EQ(write(theirs.get(), &byte, 1), 1); }
  Fd ours, theirs;
};

// Callbacks as closures, for tests only.
struct Watched {
  Watched(Loop& loop, int fd) : watch(std::in_place, loop, fd, this, &OnRead, &OnWrite) {}
  static void OnRead(void* self) { static_cast<Watched*>(self)->read(); }
  static void OnWrite(void* self) { static_cast<Watched*>(self)->write(); }
  std::function<void()> read, write;
  std::optional<IoWatch> watch;
};

TEST(IoWatch, CallsReadableOnlyWhileReadIsWanted) {
  Loop loop;
  Pair pair;
  Watched watched(loop, pair.ours.get());
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

TEST(IoWatch, CallsWritableOnlyWhileWriteIsWanted) {
  Loop loop;
  Pair pair;
  Watched watched(loop, pair.ours.get());
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

TEST(IoWatch, WithEdgesTellsOnceOfWhatCame) {
  Loop loop;
  Pair pair;
  Watched watched(loop, pair.ours.get());
  std::string got;
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
TEST(IoWatch, WithEdgesTellsOfWhatTheReaderHasLeft) {
  Loop loop;
  Pair pair;
  Watched watched(loop, pair.ours.get());
  std::string got;
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

TEST(IoWatch, WithEdgesTellsAgainAReaderThatDidNotRead) {
  Loop loop;
  Pair pair;
  Watched watched(loop, pair.ours.get());
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

TEST(IoWatch, WithEdgesTellsOfAnEndThatCameWithTheLastBytes) {
  Loop loop;
  Pair pair;
  Watched watched(loop, pair.ours.get());
  std::string got;
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
TEST(IoWatch, WithEdgesTellsOfAResetBehindBytesToWhoAsksForLevels) {
  Loop loop;
  Pair pair;
  Watched watched(loop, pair.ours.get());
  EXPECT_EQ(write(pair.ours.get(), "x", 1), 1);
  std::string got;
  bool broken = false;
  watched.read = [&] {
    char bytes[8];
    const ssize_t read = ::read(pair.ours.get(), bytes, sizeof bytes);
    broken = read < 0 && errno == ECONNRESET;
    if (read > 0) got.append(bytes, static_cast<std::size_t>(read));
    watched.watch->NoteEmpty();
    watched.watch->UseLevels();
    if (read <= 0) loop.Stop();
  };
  pair.Send('a');
  pair.theirs.Reset();
  watched.watch->UseEdges();
  watched.watch->WantRead(true);
  loop.Run();
  EXPECT_TRUE(got == "a" || got.empty()) << got;  // a kernel may tell of the reset first
  EXPECT_TRUE(broken || got == "a");
}

TEST(IoWatch, WithEdgesTellsOfWhatCameWhileNothingWasWanted) {
  Loop loop;
  Pair pair;
  Watched watched(loop, pair.ours.get());
  std::string got;
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

struct Alarm {
  explicit Alarm(Loop& owner) : loop(owner), deadline(std::in_place, owner, this, &OnExpired) {}
  static void OnExpired(void* self) {
    auto* alarm = static_cast<Alarm*>(self);
    alarm->rang.push_back(alarm->loop.now());
    if (alarm->then) alarm->then();
  }
  Loop& loop;
  std::vector<TimePoint> rang;
  std::function<void()> then;
  std::optional<Deadline> deadline;
};

TEST(Deadline, IsNeverEarly) {
  Loop loop;
  Alarm alarm(loop);
  const TimePoint start = loop.now();
  alarm.then = [&] { loop.Stop(); };
  alarm.deadline->SetAfter(3ms);
  EXPECT_TRUE(alarm.deadline->armed());
  loop.Run();
  ASSERT_EQ(alarm.rang.size(), 1u);
  EXPECT_GE(alarm.rang[0], start + 3ms);
  EXPECT_FALSE(alarm.deadline->armed());
}

TEST(Deadline, MovedLaterRingsOnceAtTheLaterTime) {
  Loop loop;
  Alarm alarm(loop);
  const TimePoint start = loop.now();
  alarm.then = [&] { loop.Stop(); };
  alarm.deadline->SetAfter(2ms);
  alarm.deadline->Set(start + 9ms);
  loop.Run();
  ASSERT_EQ(alarm.rang.size(), 1u);
  EXPECT_GE(alarm.rang[0], start + 9ms);
}

TEST(Deadline, MovedEarlierRingsBeforeAnotherThatWasBetween) {
  Loop loop;
  Alarm alarm(loop), between(loop);
  alarm.deadline->SetAfter(1h);
  between.deadline->SetAfter(40ms);
  alarm.deadline->SetAfter(1ms);
  alarm.then = [&] { loop.Stop(); };
  loop.Run();
  EXPECT_EQ(alarm.rang.size(), 1u);
  EXPECT_TRUE(between.rang.empty());
}

TEST(Deadline, ClearedDoesNotRingAndCanBeSetAgain) {
  Loop loop;
  Alarm alarm(loop), stop(loop);
  alarm.deadline->SetAfter(1ms);
  alarm.deadline->Clear();
  EXPECT_FALSE(alarm.deadline->armed());
  stop.then = [&] { loop.Stop(); };
  stop.deadline->SetAfter(5ms);
  loop.Run();
  EXPECT_TRUE(alarm.rang.empty());
  alarm.then = stop.then;
  alarm.deadline->SetAfter(1ms);
  loop.Run();
  EXPECT_EQ(alarm.rang.size(), 1u);
}

TEST(Deadline, MayBeSetAgainOrDestroyedByItsCallback) {
  Loop loop;
  Alarm alarm(loop);
  alarm.then = [&] {
    if (alarm.rang.size() < 3) return alarm.deadline->SetAfter(1ms);
    alarm.deadline.reset();
    loop.Stop();
  };
  alarm.deadline->Set(loop.now() - 1s);  // one that is over rings on the next turn
  loop.Run();
  EXPECT_EQ(alarm.rang.size(), 3u);
}

TEST(Deadline, ManyRingInTheOrderOfTheirTimesHoweverTheyMoved) {
  Loop loop;
  const TimePoint start = loop.now();
  std::uint64_t draw = 7;
  const auto next = [&draw] { return Mix(draw++); };
  std::vector<std::unique_ptr<Alarm>> alarms;
  std::vector<std::pair<TimePoint, TimePoint>> rang;  // when it was due, when it rang
  std::vector<TimePoint> due(200);
  std::size_t left = 0;
  for (std::size_t i = 0; i < due.size(); ++i) {
    alarms.push_back(std::make_unique<Alarm>(loop));
    for (int moves = 0; moves < 3; ++moves) {
      due[i] = start + Duration(next() % 20'000'000);
      alarms[i]->deadline->Set(due[i]);
    }
    alarms[i]->then = [&, i] {
      rang.emplace_back(due[i], loop.now());
      if (--left == 0) loop.Stop();
    };
    if (i % 5 == 0) alarms[i]->deadline.reset();
    if (i % 5 == 1) alarms[i]->deadline->Clear();
    if (i % 5 > 1) ++left;
  }
  loop.Run();
  ASSERT_EQ(rang.size(), 120u);
  EXPECT_TRUE(std::is_sorted(rang.begin(), rang.end()));
  for (const auto& [due_at, rang_at] : rang) EXPECT_GE(rang_at, due_at);
}

TEST(Deadline, SetForNowByItsCallbackLeavesReadinessItsTurn) {
  Loop loop;
  Pair pair;
  Watched watched(loop, pair.ours.get());
  watched.read = [&] { loop.Stop(); };
  watched.watch->WantRead(true);
  Alarm alarm(loop);
  alarm.then = [&] { alarm.deadline->Set(loop.now()); };
  alarm.deadline->Set(loop.now());
  pair.Send('a');
  loop.Run();  // would not return
  EXPECT_GE(alarm.rang.size(), 1u);
}

// Two descriptors are ready at once: what both ask for is done once, after both.
TEST(TurnEnd, ComesOnceAfterAllThatIsReady) {
  Loop loop;
  Pair one, two;
  Watched a(loop, one.ours.get()), b(loop, two.ours.get());
  struct Ends {
    Loop& loop;
    std::string& log;
  };
  std::string log;
  Ends ends{loop, log};
  TurnEnd end(loop, &ends, [](void* self) {
    static_cast<Ends*>(self)->log += "end";
    static_cast<Ends*>(self)->loop.Stop();
  });
  a.read = [&] { log += "read ", a.watch->WantRead(false), end.Ask(); };
  b.read = [&] { log += "read ", b.watch->WantRead(false), end.Ask(); };
  one.Send('a');
  two.Send('b');
  a.watch->WantRead(true);
  b.watch->WantRead(true);
  loop.Run();
  EXPECT_EQ(log, "read read end");
}

TEST(TurnEnd, ForgottenOrDestroyedDoesNotCome) {
  Loop loop;
  bool came = false;
  const TurnEnd::Callback note = [](void* self) { *static_cast<bool*>(self) = true; };
  TurnEnd kept(loop, &came, note);
  auto gone = std::make_unique<TurnEnd>(loop, &came, note);
  kept.Ask();
  gone->Ask();
  kept.Forget();
  gone.reset();
  loop.Post([&loop] { loop.Stop(); });
  loop.Run();
  EXPECT_FALSE(came);
}

TEST(Loop, RunsPostedTasksInTheOrderOfPosting) {
  Loop loop;
  std::vector<int> order;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) loop.Post([&order, i] { order.push_back(i); });
    loop.Stop();
  });
  loop.Run();
  other.join();
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(Loop, RunsWhatATaskPosts) {
  Loop loop;
  int depth = 0;
  std::function<void()> again = [&] { ++depth < 10 ? loop.Post(again) : loop.Stop(); };
  loop.Post(again);
  loop.Run();
  EXPECT_EQ(depth, 10);
}

TEST(Loop, DropsTasksThatNeverRan) {
  auto token = std::make_shared<int>(1);
  {
    Loop loop;
    loop.Post([token] {});
    EXPECT_EQ(token.use_count(), 2);
  }
  EXPECT_EQ(token.use_count(), 1);
}

TEST(Loop, NowStaysWithinACallbackAndMovesByTick) {
  Loop loop;
  const TimePoint before = loop.now();
  while (loop.now() == before) loop.Tick();
  EXPECT_GT(loop.now(), before);
  EXPECT_GT(loop.wall_now().time_since_epoch(), 24h * 365 * 50);
}

TEST(SignalWatch, DeliversToTheLoop) {
  Loop loop;
  int delivered = 0;
  std::optional<SignalWatch> watch;
  watch.emplace(loop, SIGUSR1, [&] {
    ++delivered;
    watch.reset();
    loop.Stop();
  });
  raise(SIGUSR1);
  loop.Run();
  EXPECT_EQ(delivered, 1);
}

TEST(IgnoreSigpipe, MakesABrokenPipeAnError) {
  IgnoreSigpipe();
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  close(fds[0]);
  EXPECT_EQ(write(fds[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  close(fds[1]);
}

}  // namespace
}  // namespace spillway
