// SPDX-License-Identifier: MIT
// The generations that were in force. Most are gone soon after, since only exchanges that began with
// one keep it; what it did can still be told when the present one was loaded from the same bytes.
// Memory: some bytes for each of the last kMost. Thread rule: the control thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "proxy/generation.h"

namespace spillway {

class EarlierGenerations {
 public:
  static constexpr std::size_t kMost = 64;

  void Add(const std::shared_ptr<const Generation>& generation) {
    if (earlier_.size() == kMost) earlier_.pop_front();
    earlier_.push_back({generation->number, generation->config.digest, generation});
  }

  // That of this number, or `now` where it has the same rules; null: neither is there any more.
  std::shared_ptr<const Generation> Find(std::uint64_t number,
                                         const std::shared_ptr<const Generation>& now) const {
    if (number == now->number) return now;
    for (const Earlier& each : earlier_) {
      if (each.number != number) continue;
      return each.digest == now->config.digest ? now : each.generation.lock();
    }
    return nullptr;
  }

 private:
  struct Earlier {
    std::uint64_t number, digest;
    std::weak_ptr<const Generation> generation;
  };
  std::deque<Earlier> earlier_;
};

}  // namespace spillway
