// SPDX-License-Identifier: MIT
// What is known of clients that say they are robots, over all workers and reloads; and the lookups that
// make it known, in the background. The first request of such a client is answered with "unknown".
//
//   worker: Ask -> [ table ] -> yes, forged, unknown       control thread: [ waiting ] -> lookup -> Learn
//              '--- not there, or old ---------------------------^
//
// Bounds, whoever pretends to be whom from how many addresses:
//   - `entries` answers in a table of fixed size (768 KiB once it is full, none before the first);
//     in its place each has kWays others, of which "yes" goes last
//   - kMostWaiting lookups wait or are under way, of these kMostOfNetwork for addresses of one network
//     (/24, IPv6: /48); what comes beyond stays unknown
//   - kMostUnderWay lookups at once, kPerSecond of them in a second after a burst of as many as may be
//     under way; each asks DNS one to five questions (proxy/bot_lookup.h)
// How long answers hold: "yes" for the record's time to live, within kShortestYes and kLongestYes,
// "forged" for kForgedHolds; one that is old serves once more as long while it is asked for anew, so that
// the robot is not unknown every hour. Where DNS gives no answer, it is asked again after kAskAgain.
//
// Thread rule: Ask from any thread; all else on the loop's.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "proxy/bot_lookup.h"
#include "proxy/loop.h"
#include "spillway/address.h"
#include "spillway/bots.h"

namespace spillway {

class BotChecks {
 public:
  static constexpr std::size_t kEntries = 16384, kWays = 8;
  static constexpr std::uint32_t kMostWaiting = 1024, kMostOfNetwork = 64, kMostUnderWay = 32,
                                 kPerSecond = 100;
  static constexpr Duration kShortestYes = 5min, kLongestYes = 1h, kForgedHolds = 10min,
                            kAskAgain = 30s;

  // Looks an address up, and calls the function once, perhaps within the call, or never.
  using LookUp =
      std::function<void(const IpAddress& client, const std::vector<std::string>& domains,
                         std::function<void(BotAnswer)> done)>;

  // `seed` places addresses in the table, so that nobody can choose whose answers they push out.
  // REQUIRES: entries is kWays times a power of two.
  BotChecks(Loop& loop, std::uint64_t seed, LookUp look_up, std::size_t entries = kEntries);
  ~BotChecks();  // REQUIRES: nobody asks any more

  // What is known now. Never waits for DNS.
  BotCheck Ask(const IpAddress& client, const BotConfig& bot, TimePoint now);

  // Answers to what is under way will not come: it is looked up again.
  void BeginAgain();

  // Lookups that came to this, since the start. kNone: those for which there was no room.
  std::uint64_t count(BotCheck came_to) const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace spillway
