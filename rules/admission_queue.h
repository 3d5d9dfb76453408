// SPDX-License-Identifier: MIT
// Those who wait before a pool: ranks strictly one before the other, in a rank the clients in turn,
// of a client the newest or the oldest first.
//
//   rank 0   [lane 0] t t   [lane 1] t        [lane 63] t t t      a lane is a hash of the client:
//   rank 1   ...                                                   one client's many requests wait
//                                                                  behind each other, not before
//                                                                  everybody else's
//
// Tickets are linked through themselves, so nothing is allocated; who is in the queue must stay where
// it is. Thread rule: none of its own.
#pragma once

#include <array>
#include <cstdint>

#include "spillway/admission.h"

namespace spillway {

class AdmissionQueue {
 public:
  static constexpr std::size_t kRanks = 9;  // as Admission gives them
  static constexpr std::size_t kLanes = 64;

  // REQUIRES: in no list; its rank is set.
  void Add(AdmissionTicket* ticket);
  // REQUIRES: in the queue.
  void Remove(AdmissionTicket* ticket);
  // The next to be served, taken out; null when nobody waits.
  // Of the last rank always the oldest.
  AdmissionTicket* Take(bool newest_first);
  // Who would be served next, left where it is.
  AdmissionTicket* Peek(bool newest_first) const;
  // Who gives way to a ticket of `rank` and `lane`: of the lowest rank that waits, the oldest of the
  // longest lane. Null when that would be no better than refusing the new one: none is of a lower
  // rank, and in its own rank no lane is longer, by more than one, than its own would be.
  AdmissionTicket* Victim(std::uint8_t rank, std::uint8_t lane) const;

  AdmissionTicket* Oldest(std::size_t rank) const { return ranks_[rank].oldest; }
  std::uint32_t size() const { return size_; }
  std::uint32_t size(std::size_t rank) const { return ranks_[rank].size; }
  // The youngest of a lane, and how many are in it.
  AdmissionTicket* Last(std::size_t rank, std::size_t lane) const {
    return ranks_[rank].lanes[lane].last;
  }
  std::uint32_t size(std::size_t rank, std::size_t lane) const {
    return ranks_[rank].lanes[lane].size;
  }
  // How many of `rank` are served until as many of a lane are, since lanes take turns.
  std::uint32_t Until(std::size_t rank, std::uint32_t of_lane) const;
  // How many are served before a new one of `rank`, itself left out.
  std::uint32_t Before(std::size_t rank) const;
  static std::uint8_t LaneOf(std::uint64_t client);

 private:
  struct Lane {
    AdmissionTicket* first = nullptr;  // the oldest
    AdmissionTicket* last = nullptr;
    std::uint32_t size = 0;
  };
  struct Rank {
    std::array<Lane, kLanes> lanes;
    std::uint64_t waiting = 0;  // bit i: lane i is not empty
    std::uint32_t cursor = 0;   // the lane whose turn is next
    std::uint32_t size = 0;
    AdmissionTicket* oldest = nullptr;
    AdmissionTicket* youngest = nullptr;
  };

  std::array<Rank, kRanks> ranks_;
  std::uint32_t size_ = 0;
};

}  // namespace spillway
