// SPDX-License-Identifier: MIT
// In an overload: who was let in is served before newcomers are, for as long as a page takes to load.
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "rules/served_visitors.h"
#include "spillway/admission.h"

namespace spillway {
namespace {

using State = AdmissionTicket::State;

constexpr std::uint32_t kSlots = 10;
constexpr Duration kTurn = 20ms;

// Ten slots of 20 ms each, and forty asks in that time of newcomers; some who are let in ask for three
// pictures when they have their page, all slots being taken by others.
class VisitsTest : public testing::Test {
 protected:
  struct Tally {
    int pages = 0, pictures = 0, refused = 0;
  };

  VisitsTest() {
    AdmissionConfig config;
    config.limit = AdmissionConfig::Limit::kFixed;
    config.fixed = kSlots;
    config.queue = {1000, 2s};
    admission_.emplace(config, 1, now_);
    for (int i = 0; i < 300; ++i) Ask(++visitor_, false);
  }

  AdmissionTicket& Ask(std::uint64_t visitor, bool picture) {
    AdmissionTicket& ticket = tickets_.emplace_back();
    ticket.ask.client = visitor * 1000;
    ticket.ask.cohort = static_cast<std::uint8_t>(visitor % 128);
    ticket.ask.route = {7, 1};
    ticket.owner = picture ? &tally_ : nullptr;
    admission_->Enter(&ticket, now_);
    Note(&ticket);
    return ticket;
  }
  void Note(AdmissionTicket* ticket) {
    if (ticket->state == State::kAdmitted) inside_.push_back(ticket);
    if (ticket->state == State::kShed && ticket->owner != nullptr) ++tally_.refused;
  }
  void Turn() {
    now_ += kTurn;
    for (AdmissionTicket* ticket : std::exchange(inside_, {})) {
      admission_->FirstByte(ticket, kTurn, now_);
      admission_->Leave(ticket, AdmissionEnd::kAnswered, now_);
    }
    while (AdmissionTicket* ticket = admission_->Next(now_)) Note(ticket);
  }
  // `later`: after the page is here what it loads is asked for.
  Tally Surge(Duration later) {
    std::deque<std::pair<TimePoint, std::uint64_t>> pages;
    for (int i = 0; i < 600; ++i) {
      Turn();
      const bool settled = i > 200;
      std::vector<std::uint64_t> let_in;
      for (int k = 0; k < 40; ++k) {
        const AdmissionTicket& page = Ask(++visitor_, false);
        if (page.state == State::kAdmitted) let_in.push_back(visitor_);
      }
      for (; !pages.empty() && pages.front().first <= now_; pages.pop_front()) {
        for (int k = 0; k < 3; ++k) Ask(pages.front().second, true), ++tally_.pictures;
      }
      if (!settled || let_in.empty() || i % 3 != 0) continue;
      ++tally_.pages;
      pages.emplace_back(now_ + kTurn + later, let_in.front());
    }
    EXPECT_TRUE(admission_->View(now_).pressed);
    EXPECT_GT(tally_.pages, 20);
    return tally_;
  }

  TimePoint now_{1h};
  std::uint64_t visitor_ = 0;
  Tally tally_;
  std::deque<AdmissionTicket> tickets_;
  std::vector<AdmissionTicket*> inside_;
  std::optional<Admission> admission_;
};

TEST_F(VisitsTest, WhatAPageLoadsIsServedBeforeNewcomersAre) {
  const Tally tally = Surge(0ms);
  EXPECT_LT(tally.refused, tally.pictures / 20);
}

TEST_F(VisitsTest, WhoComesAgainMuchLaterIsANewcomer) {
  const Tally tally = Surge(ServedVisitors::kVisit + 100ms);
  EXPECT_GT(tally.refused, tally.pictures / 5);
}

}  // namespace
}  // namespace spillway
