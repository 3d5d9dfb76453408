// SPDX-License-Identifier: MIT
#include "rules/cohort_cut.h"

#include <algorithm>

namespace spillway {
namespace {

// The slots are to be used, or servers idle; and of those above the line few are to be refused. With
// few slots luck rules, and to use all of them takes more refusals: so the line falls, slowly, only
// where both say so. Far off, it goes faster.
constexpr double kIdle = 0.97;
constexpr double kBusy = 0.985;
constexpr double kManyRefused = 0.12;
constexpr double kTooManyRefused = 0.5;
constexpr double kAimed = 0.1;
constexpr double kFall = 0.96, kLargestFall = 0.67;
constexpr double kRaise = 1.6, kLeastRaise = 0.01, kLargestRaise = 0.4;
constexpr int kPatient = 10;  // steps, before vital asks are refused by the line
constexpr float kFade = 0.85F;

}  // namespace

double CohortCut::Above() const {
  double sum = 0;
  for (std::uint32_t i = 0; i < cut_; ++i) sum += asks_[i];
  return sum;
}

void CohortCut::Draw(double asks) {
  double sum = 0;
  std::uint32_t level = 0;
  while (level < kLevels && sum < asks) sum += asks_[level++];
  // What lies above all asks is no line.
  cut_ = sum < asks ? kLevels : std::max(level, floor_);
}

void CohortCut::Begin(double share) {
  double all = 0;
  for (const float asks : asks_) all += asks;
  if (share < 1) Draw(all * share / (1 - kAimed));
}

void CohortCut::Steer(double passed, double refused, double used) {
  const double share = passed > 0 ? refused / passed : 0;
  // Vital asks that are refused come again, and look like many more than they are. So the line goes
  // through them only where they alone are too many though nobody else is served.
  too_many_ = cut_ <= kVital && share > kTooManyRefused ? too_many_ + 1 : 0;
  if (too_many_ >= kPatient) floor_ = 1;
  if (floor_ < kVital && share < kTooManyRefused) {
    cut_ = std::min(cut_ + cut_ / 3 + 1, kVital);
    if (cut_ == kVital) floor_ = kVital;
    return;
  }
  if (used < kIdle) {
    if (open()) return;
    const std::uint32_t before = cut_;
    const double most = std::min(kLargestRaise, 0.1 * ++raises_);
    Draw(Above() * (1 + std::clamp(kRaise * (kIdle - used), kLeastRaise, most)));
    cut_ = std::max(cut_, std::min(before + 1, kLevels));
    return;
  }
  raises_ = 0;
  if (share > kTooManyRefused) {
    Draw(Above() * std::max((1 - share) / (1 - kAimed), kLargestFall));
  } else if (share > kManyRefused && used > kBusy) {
    Draw(Above() * kFall);
  }
}

void CohortCut::Fade() {
  for (float& asks : asks_) asks *= kFade;
}

}  // namespace spillway
