// SPDX-License-Identifier: MIT
#include "rules/admission_queue.h"

#include <algorithm>
#include <bit>

#include "spillway/mix.h"

namespace spillway {

std::uint8_t AdmissionQueue::LaneOf(std::uint64_t client) {
  return static_cast<std::uint8_t>(Mix(client) % kLanes);
}

void AdmissionQueue::Add(AdmissionTicket* ticket) {
  Rank& rank = ranks_[ticket->rank];
  Lane& lane = rank.lanes[ticket->lane];
  ticket->next = nullptr;
  ticket->previous = lane.last;
  (lane.last != nullptr ? lane.last->next : lane.first) = ticket;
  lane.last = ticket;
  ++lane.size;
  rank.waiting |= std::uint64_t{1} << ticket->lane;

  ticket->younger = nullptr;
  ticket->older = rank.youngest;
  (rank.youngest != nullptr ? rank.youngest->younger : rank.oldest) = ticket;
  rank.youngest = ticket;
  ++rank.size;
  ++size_;
}

void AdmissionQueue::Remove(AdmissionTicket* ticket) {
  Rank& rank = ranks_[ticket->rank];
  Lane& lane = rank.lanes[ticket->lane];
  (ticket->previous != nullptr ? ticket->previous->next : lane.first) = ticket->next;
  (ticket->next != nullptr ? ticket->next->previous : lane.last) = ticket->previous;
  if (--lane.size == 0) rank.waiting &= ~(std::uint64_t{1} << ticket->lane);

  (ticket->older != nullptr ? ticket->older->younger : rank.oldest) = ticket->younger;
  (ticket->younger != nullptr ? ticket->younger->older : rank.youngest) = ticket->older;
  --rank.size;
  --size_;
  ticket->previous = ticket->next = ticket->older = ticket->younger = nullptr;
}

AdmissionTicket* AdmissionQueue::Peek(bool newest_first) const {
  for (const Rank& rank : ranks_) {
    if (rank.size == 0) continue;
    // The first lane with somebody in it, from the cursor on and round.
    const std::uint64_t turned = std::rotr(rank.waiting, static_cast<int>(rank.cursor));
    const std::size_t at =
        (rank.cursor + static_cast<std::uint32_t>(std::countr_zero(turned))) % kLanes;
    const bool is_last = &rank == &ranks_.back();
    return newest_first && !is_last ? rank.lanes[at].last : rank.lanes[at].first;
  }
  return nullptr;
}

AdmissionTicket* AdmissionQueue::Take(bool newest_first) {
  AdmissionTicket* ticket = Peek(newest_first);
  if (ticket == nullptr) return nullptr;
  ranks_[ticket->rank].cursor = (ticket->lane + 1U) % kLanes;
  Remove(ticket);
  return ticket;
}

AdmissionTicket* AdmissionQueue::Victim(std::uint8_t rank, std::uint8_t lane) const {
  for (std::size_t lowest = kRanks; lowest-- > rank;) {
    const Rank& those = ranks_[lowest];
    if (those.waiting == 0) continue;
    const Lane* longest = nullptr;
    for (std::uint64_t rest = those.waiting; rest != 0; rest &= rest - 1) {
      const Lane& one = those.lanes[static_cast<std::size_t>(std::countr_zero(rest))];
      if (longest == nullptr || one.size > longest->size) longest = &one;
    }
    if (lowest > rank || longest->size > those.lanes[lane].size + 1) return longest->first;
    return nullptr;
  }
  return nullptr;
}

std::uint32_t AdmissionQueue::Until(std::size_t rank, std::uint32_t of_lane) const {
  std::uint32_t until = 0;
  for (const Lane& lane : ranks_[rank].lanes) until += std::min(lane.size, of_lane);
  return until;
}

std::uint32_t AdmissionQueue::Before(std::size_t rank) const {
  std::uint32_t before = 0;
  for (std::size_t i = 0; i <= rank; ++i) before += ranks_[i].size;
  return before;
}

}  // namespace spillway
