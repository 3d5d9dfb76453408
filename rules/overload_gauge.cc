// SPDX-License-Identifier: MIT
#include "rules/overload_gauge.h"

#include <algorithm>

namespace spillway {
namespace {

constexpr Duration kSteerEvery = std::chrono::milliseconds(300);
constexpr Duration kSteerAtLeast = std::chrono::milliseconds(1000);
constexpr double kEnough = 40;  // asks above the line that tell something of its place
constexpr Duration kFadeEvery = std::chrono::milliseconds(500);
constexpr Duration kCalm = std::chrono::seconds(3);
constexpr double kSmoothing = 0.25;

}  // namespace

void OverloadGauge::Press(TimePoint now) {
  if (pressed_) return;
  pressed_ = true;
  passed_ = refused_ = used_ = had_ = 0;
  steered_ = refused_at_ = now;
  if (ask_rate_ > 0 && done_rate_ > 0) cut_.Begin(done_rate_ / ask_rate_);
}

void OverloadGauge::Tick(bool somebody_waits, TimePoint now) {
  const double seconds = std::chrono::duration<double>(now - ticked_).count();
  ticked_ = now;
  if (seconds > 5) {
    ask_rate_ = done_rate_ = 0;  // nobody came for long
  } else if (seconds > 0) {
    const double part = std::min(kSmoothing * seconds / kTick, 1.0);
    ask_rate_ += (asks_ / seconds - ask_rate_) * part;
    done_rate_ += (done_ / seconds - done_rate_) * part;
  }
  calm_ticks_ = asks_ <= done_ ? calm_ticks_ + 1 : 0;
  asks_ = done_ = 0;
  if (now - faded_ >= kFadeEvery) {
    faded_ = now;
    cut_.Fade();
    fade_ = true;
  }
  if (!pressed_) return;
  const Duration since = now - steered_;
  if (since >= kSteerEvery && (passed_ >= kEnough || since >= kSteerAtLeast)) {
    cut_.Steer(passed_, refused_, had_ > 0 ? used_ / had_ : 1);
    passed_ = refused_ = used_ = had_ = 0;
    steered_ = now;
  }
  if (cut_.open() && !somebody_waits && now - refused_at_ >= kCalm) pressed_ = false;
}

}  // namespace spillway
