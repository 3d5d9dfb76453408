// SPDX-License-Identifier: MIT
// What each toggle that is off would do if it were switched on now: how many requests of the last
// minute it would have refused, whose they were, and what they asked for. One for each worker and
// generation; the admin side adds the workers' up.
//
// Memory: about 60 KiB for each toggle that has foreseen something. Thread rule: Count and Note by
// the worker, AddTo by anybody.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/agent_family.h"
#include "proxy/counters.h"
#include "proxy/space_saving.h"
#include "spillway/distinct_count.h"
#include "spillway/hash.h"
#include "spillway/request.h"
#include "spillway/units.h"
#include "spillway/verdict.h"

namespace spillway {

// Of one toggle, over all workers that were added.
struct ForecastSum {
  Duration span{0};            // what has been looked at: up to a minute
  std::uint64_t requests = 0;  // all, whatever became of them
  // Requests that the toggle would have refused, by how.
  std::uint64_t deny = 0, limit = 0, challenge = 0, answer = 0;
  std::uint64_t with_cookie = 0;  // of them, those with a cookie that is not our own pass
  DistinctCount clients;          // whose they were
  struct Share {
    std::string name;
    std::uint64_t requests = 0;
  };
  std::vector<Share> agents, paths;  // in no order

  std::uint64_t refused() const { return deny + limit + challenge + answer; }
};

class Forecast {
 public:
  // `pass_cookie` names the cookie that challenges set.
  Forecast(std::size_t toggles, std::string pass_cookie, int ipv6_prefix);

  void Count(TimePoint now);  // a request, before what was foreseen of it is noted
  void Note(const Request& request, const Foreseen& foreseen, TimePoint now);
  void AddTo(std::uint32_t toggle, TimePoint now, ForecastSum* sum) const;

 private:
  // The last minute in parts, of which the oldest is forgotten as a new one begins.
  static constexpr std::size_t kParts = 6;
  static constexpr Duration kPart = std::chrono::seconds(10);
  static constexpr std::size_t kPaths = 32;     // kept for each part
  static constexpr std::size_t kLongest = 100;  // bytes of a path
  struct PathHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view path) const { return HashBytes(path, 0); }
  };
  struct Part {
    std::int64_t number = 0;
    std::array<std::uint64_t, 5> effects{};  // by Foreseen::Effect
    std::uint64_t with_cookie = 0;
    DistinctCount clients;
    std::vector<std::uint32_t> agents = std::vector<std::uint32_t>(AgentFamilies());
    SpaceSaving<std::string, PathHash> paths{kPaths};
  };
  using Parts = std::array<std::optional<Part>, kParts>;
  static std::int64_t PartAt(TimePoint now) { return now.time_since_epoch() / kPart; }

  const std::string pass_cookie_;
  const int ipv6_prefix_;
  std::array<std::atomic<std::int64_t>, kParts> part_numbers_;
  std::array<Counter, kParts> requests_;
  std::atomic<std::int64_t> began_{0};  // nanoseconds of the first request; 0: none yet
  FamilyMemo families_;
  // Held for as long as it takes to note one request; nobody else wants it but who looks at a
  // forecast, so that taking it costs 20 ns.
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Parts>> toggles_;  // null: nothing was foreseen yet
};

}  // namespace spillway
