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

#include "spillway/mix.h"
#include "tests/unit/watched.h"

namespace spillway {
namespace {

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
