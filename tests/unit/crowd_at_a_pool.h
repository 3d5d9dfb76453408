// SPDX-License-Identifier: MIT
// Requests that ask for a place at a pool, as one worker's desk sees them, while time passes as a test
// says.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "proxy/pool_admission.h"

namespace spillway {

class CrowdAtAPool : public AdmissionUser {
 public:
  explicit CrowdAtAPool(const AdmissionConfig& config)
      : now_(loop_.now()), pool_(std::make_shared<PoolAdmission>("app", config, 1, now_)) {}

  // One more, of a client and a cohort of its own.
  Permit& Ask(std::uint64_t route = 1, const std::string& path = "/") {
    AdmissionAsk ask;
    ask.client = 1000 * ++asked_;
    ask.cohort = static_cast<std::uint8_t>(asked_ % 128);
    ask.route = {route, 0};
    ask.method = "GET";
    ask.path = path;
    permits_.push_back(desk_.Take());
    permits_.back()->Enter(pool_, ask, this);
    return *permits_.back();
  }
  // So many reports, which take ten seconds, as ever.
  void AskForReports(int count) {
    const auto ask = [this]() -> Permit& { return Ask(9, "/report"); };
    for (int i = 0; i < 10; ++i) {
      Permit& known = ask();
      known.FirstByte(10s, 200);
      known.Leave(AdmissionEnd::kAnswered);
    }
    for (int i = 0; i < count; ++i) ask();
  }
  void Pass(Duration time) { pool_->Pressure(0, now_ += time, nullptr); }
  AdmissionView View() const { return pool_->View(now_); }
  const std::shared_ptr<PoolAdmission>& pool() const { return pool_; }

  // More than can be answered, of other pages each: it lasts until the pool has seen it. Each tenth of a
  // second one of those at the servers is answered.
  void Press() {
    for (int i = 0; i < 200 && !View().pressed; ++i) {
      for (int each = 0; each < 20; ++each) Ask(100 + asked_, "/page");
      Pass(100ms);
      AnswerOne();
    }
  }
  void AnswerOne() {
    for (const std::unique_ptr<Permit>& permit : permits_) {
      if (permit->ticket().state != AdmissionTicket::State::kAdmitted) continue;
      if (permit->ticket().ask.route.route < 100) continue;
      permit->FirstByte(100ms, 200);
      permit->Leave(AdmissionEnd::kAnswered);
      return;
    }
  }

 private:
  void OnAdmission() override {}

  Loop loop_;  // which does not run: nobody is told
  TimePoint now_;
  std::shared_ptr<PoolAdmission> pool_;
  AdmissionDesk desk_{loop_};
  std::deque<std::unique_ptr<Permit>> permits_;
  std::uint64_t asked_ = 0;
};

}  // namespace spillway
