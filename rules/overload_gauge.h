// SPDX-License-Identifier: MIT
// Is more asked for, lastingly, than can be answered; and which asks are served then.
//
// Overload begins when the queue is longer than the luck of a day at 80 % load makes it: what waits
// is the sum of all that came and was not answered, so its length is the test for a change of the
// rate that needs the fewest asks for its certainty. It ends when all cohorts are served again and
// for a while nobody was refused.
//
// Thread rule: none of its own.
#pragma once

#include <utility>

#include "rules/cohort_cut.h"
#include "spillway/units.h"

namespace spillway {

class OverloadGauge {
 public:
  static constexpr std::uint32_t kLongQueue = 120;

  // Since the last call half a second was over: what is remembered of asks is to fade.
  bool TakeFade() { return std::exchange(fade_, false); }

  bool pressed() const { return pressed_; }
  const CohortCut& cut() const { return cut_; }
  // Far more ask than are answered: a crowd that comes in one instant, or many times too many.
  bool swamped() const {
    const double asks = asks_ + kTick * ask_rate_;
    return asks >= kCrowd && asks >= kSwamped * (done_ + kTick * done_rate_);
  }
  // For so many ticks, one after the other, no more asked than were answered.
  std::uint32_t calm_ticks() const { return calm_ticks_; }

  // An ask of a rank and cohort; true when it may go on.
  bool Ask(std::uint32_t level) {
    cut_.Ask(level);
    ++asks_;
    if (!cut_.Passes(level)) return false;
    ++passed_;
    return true;
  }
  // An ask of one whose page was let in: it goes on, and is asked for all the same.
  void Follow(std::uint32_t level) {
    cut_.Ask(level);
    ++asks_;
  }
  // One that went on and was refused for want of a slot.
  void Refused(TimePoint now) {
    ++refused_;
    refused_at_ = now;
  }
  // One was refused that the line does not look at; overload is not over.
  void Stay(TimePoint now) { refused_at_ = now; }
  // One more of those that were in flight is done.
  void Done() { ++done_; }
  // From the last call until now so many of `limit` slots were in use.
  void Used(std::uint32_t slots, std::uint32_t limit, TimePoint now) {
    const double seconds = std::chrono::duration<double>(now - used_at_).count();
    used_at_ = now;
    used_ += seconds * (slots < limit ? slots : limit);
    had_ += seconds * limit;
  }

  void Press(TimePoint now);
  // Every 100 ms or more.
  void Tick(bool somebody_waits, TimePoint now);

 private:
  static constexpr double kTick = 0.1;    // seconds
  static constexpr double kCrowd = 100;   // asks in two ticks
  static constexpr double kSwamped = 10;  // for each answer

  bool pressed_ = false;
  bool fade_ = false;
  CohortCut cut_;
  double asks_ = 0, done_ = 0;           // since the last tick
  double ask_rate_ = 0, done_rate_ = 0;  // for each second, smoothed
  std::uint32_t calm_ticks_ = 0;
  double passed_ = 0, refused_ = 0;  // since the line was looked at
  double used_ = 0, had_ = 0;        // slot seconds, since then
  TimePoint used_at_{}, ticked_{}, steered_{}, refused_at_{}, faded_{};
};

}  // namespace spillway
