// SPDX-License-Identifier: MIT
#include "proxy/bot_checks.h"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "spillway/hash.h"

namespace spillway {
namespace {

constexpr std::size_t kMostShards = 64;
constexpr Duration kBetween = Duration(1s) / BotChecks::kPerSecond;

struct Entry {
  IpAddress client;
  std::uint64_t mark = 0;         // of the robot's domains
  TimePoint fresh_until, ends{};  // then it is asked for anew; then it is as if it were not there
  BotCheck check = BotCheck::kUnknown;
};

struct Shard {
  std::mutex mutex;
  std::vector<Entry> entries;  // empty until the first one comes
};

struct Task {
  IpAddress client;
  std::vector<std::string> domains;
  std::uint64_t mark = 0;
};

IpAddress NetworkOf(const IpAddress& client) {
  return client.Masked(24, 48);
}

}  // namespace

struct BotChecks::Impl : std::enable_shared_from_this<BotChecks::Impl> {
  Impl(Loop& owner, std::uint64_t random, LookUp by, std::size_t entries)
      : loop(owner),
        seed(random),
        look_up(std::move(by)),
        shards(std::min(kMostShards, entries / kWays)),
        entries_of_shard(entries / shards.size()),
        pace(owner, this, [](void* self) { static_cast<Impl*>(self)->Pump(); }) {}

  // ---- the table

  // Behind the lock of a sixty-fourth of the table, which only requests that claim to be a robot's take,
  // and only where a rule asks.
  template <class Function>
  auto WithSet(const IpAddress& client, std::uint64_t mark, Function function) {
    const std::uint64_t hash = HashBytes(client.byte_view(), seed ^ mark);
    Shard& shard = shards[hash % shards.size()];
    const std::lock_guard lock(shard.mutex);
    if (shard.entries.empty()) shard.entries.resize(entries_of_shard);
    const std::size_t sets = entries_of_shard / kWays;
    return function(std::span(shard.entries).subspan(hash / shards.size() % sets * kWays, kWays));
  }

  static Entry* Find(std::span<Entry> set, const IpAddress& client, std::uint64_t mark,
                     TimePoint now) {
    for (Entry& entry : set) {
      if (entry.client == client && entry.mark == mark && now < entry.ends) return &entry;
    }
    return nullptr;
  }

  // The place of a new one: of those that are known least, the one that ends first.
  static Entry& Worst(std::span<Entry> set, TimePoint now) {
    const auto worth = [&](const Entry& entry) {
      const int rank = now >= entry.ends                   ? 0
                       : entry.check == BotCheck::kUnknown ? 1
                       : entry.check == BotCheck::kForged  ? 2
                                                           : 3;
      return std::pair(rank, entry.ends);
    };
    return *std::min_element(set.begin(), set.end(),
                             [&](const Entry& a, const Entry& b) { return worth(a) < worth(b); });
  }

  BotCheck Ask(const IpAddress& client, const BotConfig& bot, TimePoint now) {
    bool wanted = false;
    const BotCheck check = WithSet(client, bot.mark, [&](std::span<Entry> set) {
      Entry* entry = Find(set, client, bot.mark, now);
      if (entry != nullptr && now < entry->fresh_until) return entry->check;
      if (!Reserve()) return entry == nullptr ? BotCheck::kUnknown : entry->check;
      wanted = true;
      if (entry == nullptr) {
        entry = &Worst(set, now);
        *entry = {client, bot.mark, now, now + kAskAgain, BotCheck::kUnknown};
      }
      entry->fresh_until = now + kAskAgain;  // meanwhile nobody else asks
      return entry->check;
    });
    if (!wanted) return check;
    // Allocates and takes the loop's lock, once for a new client that claims to be a robot.
    loop.Post([weak = weak_from_this(), task = Task{client, bot.domains, bot.mark}]() mutable {
      if (const auto self = weak.lock()) self->Take(std::move(task));
    });
    return check;
  }

  void Learn(const Task& task, const BotAnswer& answer) {
    const TimePoint now = loop.now();
    WithSet(task.client, task.mark, [&](std::span<Entry> set) {
      Entry* entry = Find(set, task.client, task.mark, now);
      if (answer.check == BotCheck::kUnknown) {
        // What was known before stays until it ends.
        if (entry == nullptr) entry = &Worst(set, now);
        if (entry->client != task.client || entry->mark != task.mark || now >= entry->ends)
          *entry = {task.client, task.mark, now, now, BotCheck::kUnknown};
        entry->fresh_until = now + kAskAgain;
        if (entry->check == BotCheck::kUnknown) entry->ends = entry->fresh_until;
        return;
      }
      const Duration holds = answer.check == BotCheck::kYes
                                 ? std::clamp<Duration>(answer.ttl, kShortestYes, kLongestYes)
                                 : kForgedHolds;
      if (entry == nullptr) entry = &Worst(set, now);
      *entry = {task.client, task.mark, now + holds, now + 2 * holds, answer.check};
    });
  }

  // ---- lookups

  bool Reserve() {
    if (reserved.fetch_add(1, std::memory_order_relaxed) < kMostWaiting) return true;
    reserved.fetch_sub(1, std::memory_order_relaxed);
    Count(BotCheck::kNone);
    return false;
  }

  void Count(BotCheck came_to) {
    counts[static_cast<std::size_t>(came_to)].fetch_add(1, std::memory_order_relaxed);
  }

  void Take(Task task) {
    std::uint32_t& of_network = networks[NetworkOf(task.client)];
    if (of_network >= kMostOfNetwork) {
      reserved.fetch_sub(1, std::memory_order_relaxed);
      return Count(BotCheck::kNone);
    }
    ++of_network;
    waiting.push_back(std::move(task));
    Pump();
  }

  // At most as many as may be under way at once, and one for each kBetween after these.
  void Pump() {
    while (!waiting.empty() && under_way.size() < kMostUnderWay) {
      const TimePoint now = loop.now();
      next = std::max(next, now - kBetween * (kMostUnderWay - 1));
      if (next > now) return pace.Set(next);
      next += kBetween;
      const std::uint64_t number = ++begun;
      const Task& task = under_way.emplace(number, std::move(waiting.front())).first->second;
      waiting.pop_front();
      look_up(task.client, task.domains, [weak = weak_from_this(), number](BotAnswer answer) {
        if (const auto self = weak.lock()) self->Finish(number, answer);
      });
    }
  }

  void Finish(std::uint64_t number, const BotAnswer& answer) {
    const auto found = under_way.find(number);
    if (found == under_way.end()) return;  // it was begun again
    const Task task = std::move(found->second);
    under_way.erase(found);
    reserved.fetch_sub(1, std::memory_order_relaxed);
    if (const auto network = networks.find(NetworkOf(task.client)); --network->second == 0)
      networks.erase(network);
    Count(answer.check);
    Learn(task, answer);
    Pump();
  }

  void BeginAgain() {
    for (auto& [number, task] : under_way) waiting.push_back(std::move(task));
    under_way.clear();
    Pump();
  }

  Loop& loop;
  const std::uint64_t seed;
  const LookUp look_up;
  std::vector<Shard> shards;
  const std::size_t entries_of_shard;
  std::atomic<std::uint32_t> reserved{0};  // waiting, under way, or on their way to the loop
  std::array<std::atomic<std::uint64_t>, 4> counts{};
  std::deque<Task> waiting;
  std::map<std::uint64_t, Task> under_way;      // by their numbers
  std::map<IpAddress, std::uint32_t> networks;  // how many of each wait or are under way
  std::uint64_t begun = 0;
  TimePoint next;  // when the next may begin
  Deadline pace;
};

BotChecks::BotChecks(Loop& loop, std::uint64_t seed, LookUp look_up, std::size_t entries)
    : impl_(std::make_shared<Impl>(loop, seed, std::move(look_up), entries)) {}

BotChecks::~BotChecks() = default;

BotCheck BotChecks::Ask(const IpAddress& client, const BotConfig& bot, TimePoint now) {
  return impl_->Ask(client, bot, now);
}

void BotChecks::BeginAgain() {
  impl_->BeginAgain();
}

std::uint64_t BotChecks::count(BotCheck came_to) const {
  return impl_->counts[static_cast<std::size_t>(came_to)].load(std::memory_order_relaxed);
}

}  // namespace spillway
