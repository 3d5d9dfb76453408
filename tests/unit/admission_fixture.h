// SPDX-License-Identifier: MIT
// Requests that ask an Admission, at a time that the test moves.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <vector>

#include "spillway/admission.h"

namespace spillway {
inline AdmissionConfig Fixed(std::uint32_t slots, std::uint32_t places = 1000,
                             Duration timeout = 5s) {
  AdmissionConfig config;
  config.limit = AdmissionConfig::Limit::kFixed;
  config.fixed = slots;
  config.queue = {places, timeout};
  return config;
}

class AdmissionTest : public testing::Test {
 protected:
  void Begin(const AdmissionConfig& config) { admission_.emplace(config, 1, now_); }

  AdmissionTicket& Ask(TrafficClass traffic_class = TrafficClass::kCritical,
                       std::uint64_t client = 0, std::uint64_t route = 7) {
    AdmissionTicket& ticket = tickets_.emplace_back();
    ticket.ask.traffic_class = traffic_class;
    ticket.ask.client = client != 0 ? client : tickets_.size() * 1000;
    ticket.ask.route = {route, 1};
    admission_->Enter(&ticket, now_);
    return ticket;
  }
  void Answer(AdmissionTicket& ticket, Duration took = 10ms,
              AdmissionEnd end = AdmissionEnd::kAnswered) {
    admission_->FirstByte(&ticket, took, now_, end == AdmissionEnd::kError);
    admission_->Leave(&ticket, end, now_);
  }
  // All that Next has to say.
  std::vector<AdmissionTicket*> Told() {
    std::vector<AdmissionTicket*> told;
    while (AdmissionTicket* ticket = admission_->Next(now_)) told.push_back(ticket);
    return told;
  }
  AdmissionView View() { return admission_->View(now_); }

  TimePoint now_{1h};
  std::deque<AdmissionTicket> tickets_;
  std::optional<Admission> admission_;
};

}  // namespace spillway
