// SPDX-License-Identifier: MIT
#include "rules/admission_queue.h"

#include <gtest/gtest.h>

#include <deque>

#include "spillway/mix.h"

namespace spillway {
namespace {

AdmissionTicket Of(std::uint8_t rank, std::uint64_t client) {
  AdmissionTicket ticket;
  ticket.rank = rank;
  ticket.lane = AdmissionQueue::LaneOf(client);
  return ticket;
}

TEST(AdmissionQueue, GivesAClientsNewestOrOldestAsItIsAsked) {
  AdmissionQueue queue;
  AdmissionTicket first = Of(2, 1), second = Of(2, 1), third = Of(2, 1);
  for (AdmissionTicket* one : {&first, &second, &third}) queue.Add(one);
  EXPECT_EQ(queue.Take(true), &third);
  EXPECT_EQ(queue.Take(false), &first);
  EXPECT_EQ(queue.Take(false), &second);
  EXPECT_EQ(queue.Take(false), nullptr);
}

TEST(AdmissionQueue, TellsHowManyStandBefore) {
  AdmissionQueue queue;
  AdmissionTicket a = Of(0, 1), b = Of(2, 2), c = Of(4, 3);
  for (AdmissionTicket* one : {&a, &b, &c}) queue.Add(one);
  EXPECT_EQ(queue.Before(0), 1U);
  EXPECT_EQ(queue.Before(1), 1U);
  EXPECT_EQ(queue.Before(3), 2U);
  EXPECT_EQ(queue.Before(4), 3U);
}

TEST(AdmissionQueue, TheLastRankGivesAlwaysItsOldest) {
  AdmissionQueue queue;
  const auto last = static_cast<std::uint8_t>(AdmissionQueue::kRanks - 1);
  AdmissionTicket first = Of(last, 1), second = Of(last, 1);
  queue.Add(&first);
  queue.Add(&second);
  EXPECT_EQ(queue.Take(true), &first);
  EXPECT_EQ(queue.Take(false), &second);
}

TEST(AdmissionQueue, TellsHowManyAreServedUntilALaneIs) {
  AdmissionQueue queue;
  std::deque<AdmissionTicket> tickets;
  for (const std::uint64_t client : {1, 1, 1, 2, 2, 3})
    queue.Add(&tickets.emplace_back(Of(2, client)));
  ASSERT_NE(AdmissionQueue::LaneOf(1), AdmissionQueue::LaneOf(2));
  ASSERT_NE(AdmissionQueue::LaneOf(1), AdmissionQueue::LaneOf(3));
  ASSERT_NE(AdmissionQueue::LaneOf(2), AdmissionQueue::LaneOf(3));
  EXPECT_EQ(queue.Until(2, 0), 0U);
  EXPECT_EQ(queue.Until(2, 1), 3U);
  EXPECT_EQ(queue.Until(2, 2), 5U);
  EXPECT_EQ(queue.Until(2, 3), 6U);
  EXPECT_EQ(queue.Last(2, AdmissionQueue::LaneOf(1)), &tickets[2]);
  EXPECT_EQ(queue.size(2, AdmissionQueue::LaneOf(2)), 2U);
}

TEST(AdmissionQueue, TheVictimIsOfALowerRankOrOfALongerLane) {
  AdmissionQueue queue;
  AdmissionTicket old_one = Of(2, 1), new_one = Of(2, 1), other = Of(2, 2);
  queue.Add(&old_one);
  queue.Add(&other);
  EXPECT_EQ(queue.Victim(2, AdmissionQueue::LaneOf(3)), nullptr);
  EXPECT_EQ(queue.Victim(3, AdmissionQueue::LaneOf(3)), nullptr);
  queue.Add(&new_one);
  EXPECT_EQ(queue.Victim(2, AdmissionQueue::LaneOf(3)), &old_one);
  EXPECT_EQ(queue.Victim(2, AdmissionQueue::LaneOf(1)), nullptr);
  EXPECT_EQ(queue.Victim(0, AdmissionQueue::LaneOf(3)), &old_one);
}

// Against lists that are kept the plain way.
TEST(AdmissionQueue, LosesNobodyWhateverTheOrder) {
  AdmissionQueue queue;
  std::deque<AdmissionTicket> tickets;
  std::vector<AdmissionTicket*> inside;
  std::uint64_t chance = 1;
  for (int i = 0; i < 20000; ++i) {
    chance = Mix(chance + 1);
    if (inside.size() < 50 && chance % 3 != 0) {
      inside.push_back(
          &tickets.emplace_back(Of(static_cast<std::uint8_t>(chance / 3 % 5), chance / 100 % 40)));
      queue.Add(inside.back());
    } else if (chance % 2 == 0 && !inside.empty()) {
      const std::size_t at = chance / 7 % inside.size();
      queue.Remove(inside[at]);
      inside.erase(inside.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (AdmissionTicket* next = queue.Take(chance % 5 == 0)) {
      for (const AdmissionTicket* one : inside) EXPECT_LE(next->rank, one->rank);
      ASSERT_EQ(std::erase(inside, next), 1U);
    } else {
      EXPECT_TRUE(inside.empty());
    }
    ASSERT_EQ(queue.size(), inside.size());
  }
}

}  // namespace
}  // namespace spillway
