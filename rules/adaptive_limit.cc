// SPDX-License-Identifier: MIT
// The known ways: Netflix's Gradient2 and AIMD, and Vegas after TCP's. They compare exp(excess), the
// time in units of what is usual for the route, where the originals compare seconds.
#include "rules/adaptive_limit.h"

namespace spillway {
namespace {

constexpr Duration kWindow = std::chrono::milliseconds(250);
constexpr std::uint32_t kFewest = 10;

// Gathers samples for a window of time and of number, and hands on their mean.
class Windowed : public AdaptiveLimit {
 public:
  using AdaptiveLimit::AdaptiveLimit;
  void Sample(const LimitSample& sample, const LimitScene& scene) final {
    if (sample.end == LimitSample::End::kGone) return;
    if (count_ == 0 && drops_ == 0) began_ = sample.now;
    if (sample.end == LimitSample::End::kAnswer) {
      if (sample.counted) sum_ += std::exp(sample.excess), ++count_;
    } else {
      ++drops_;
    }
    most_ = std::max(most_, scene.in_flight);
    if (count_ + drops_ < kFewest || sample.now - began_ < kWindow) return;
    const double ratio = count_ > 0 ? sum_ / count_ : 1;
    excess_ = std::log(std::max(ratio, 1e-3));
    const double before = limit_;
    Set(Next(ratio, drops_ * 10 > count_ + drops_, most_ * 2 >= limit_));
    gradient_ = limit_ / before;
    sum_ = 0, count_ = 0, drops_ = 0, most_ = 0;
  }
  double excess() const final { return excess_; }

 protected:
  // `ratio`: the window's mean time in units of the usual; `dropped`: more than a tenth failed.
  virtual double Next(double ratio, bool dropped, bool used) = 0;

 private:
  TimePoint began_{};
  double sum_ = 0, excess_ = 0;
  std::uint32_t count_ = 0, drops_ = 0, most_ = 0;
};

class Gradient2 final : public Windowed {
 public:
  using Windowed::Windowed;

 private:
  double Next(double ratio, bool dropped, bool used) override {
    ++windows_;
    long_ += (ratio - long_) / std::min(windows_, 600.0);
    if (long_ > 2 * ratio) long_ *= 0.95;
    if (dropped) return limit_ * 0.9;
    if (!used) return limit_;
    const double gradient = std::clamp(1.5 * long_ / ratio, 0.5, 1.0);
    return limit_ * 0.8 + (limit_ * gradient + 4) * 0.2;
  }
  double long_ = 1, windows_ = 0;
};

class Vegas final : public Windowed {
 public:
  using Windowed::Windowed;

 private:
  double Next(double ratio, bool dropped, bool used) override {
    // Once in a while the best time is forgotten, or a server that became slower would be starved.
    if (++windows_ % 120 == 0) least_ = ratio;
    least_ = std::min(least_, ratio);
    const double step = std::max(std::log10(limit_), 1.0);
    const double queue = std::ceil(limit_ * (1 - least_ / ratio));
    if (dropped) return limit_ - step;
    if (!used) return limit_;
    if (queue <= step) return limit_ + 6 * step;
    if (queue < 3 * step) return limit_ + step;
    if (queue > 6 * step) return limit_ - step;
    return limit_;
  }
  double least_ = 1e9;
  std::uint32_t windows_ = 0;
};

class Aimd final : public Windowed {
 public:
  using Windowed::Windowed;

 private:
  double Next(double ratio, bool dropped, bool used) override {
    if (dropped || ratio > 2) return limit_ * 0.9;
    return used ? limit_ + 1 : limit_;
  }
};

}  // namespace

std::unique_ptr<AdaptiveLimit> MakeAdaptiveLimit(AdmissionConfig::Algorithm algorithm,
                                                 const AdaptiveLimit::Range& range) {
  switch (algorithm) {
    case AdmissionConfig::Algorithm::kGradient2:
      return std::make_unique<Gradient2>(range);
    case AdmissionConfig::Algorithm::kVegas:
      return std::make_unique<Vegas>(range);
    case AdmissionConfig::Algorithm::kAimd:
      return std::make_unique<Aimd>(range);
    case AdmissionConfig::Algorithm::kKnee:
      break;
  }
  return MakeKneeLimit(range);
}

}  // namespace spillway
