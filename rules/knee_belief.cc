// SPDX-License-Identifier: MIT
#include "rules/knee_belief.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>

#include "rules/adaptive_limit.h"

namespace spillway {
namespace {

constexpr double kStep = 0.04;       // of a cell, a logarithm
constexpr double kGuess = 0.7;       // standard deviation of the first guess
constexpr double kKneeDrift = 0.02;  // in a second, as a random walk; logarithms
constexpr double kNormDrift = 0.01;
// Of the knee, in a second: between two cohorts, and while one is in flight; at once.
constexpr double kJumps = 0.05, kJumpsMeanwhile = 0.15, kMostJumps = 0.1;
// It jumps up as often as down, and farther: what comes back comes back whole.
constexpr double kJumpUp = 1.5, kJumpDown = 0.7;
constexpr double kNormJumps = 0.1;    // in a cohort
constexpr double kNormJump = 1;       // their variance
constexpr double kCorrelation = 1.5;  // the waits of one cohort are those of one queue
constexpr double kModelError = 0.03;
// A short wait lengthens the short answers most, so the mean logarithm grows by more than that of the
// mean: by up to this part of the spread, as it does for times between constant and exponential.
constexpr double kShortWaits = 0.3, kSoon = 4;
// Where nearly all take so long that they are counted as kMuch, they may take any longer.
constexpr double kNearMuch = 0.25, kCutError = 0.3;
constexpr double kLeast = 0, kMost = 18;  // of the middle cell; logarithms
constexpr double kNever = 1e-12, kOutside = 1e-6;
constexpr double kRootOfTwoPi = 2.5066;  // left out of all that is compared

// By how much the mean logarithm of the times grows where so many times the knee are in flight.
double Wait(double ratio, double spread) {
  if (ratio <= 1) return 0;
  return std::log(ratio) + kShortWaits * spread * (1 - std::exp(-kSoon * (ratio - 1)));
}

// Two normal distributions as one of the same mean and variance.
struct Normal {
  double weight = 0, mean = 0, variance = 0;
  Normal& operator+=(const Normal& other) {
    const double all = weight + other.weight;
    if (all <= 0) return *this;
    const double middle = (weight * mean + other.weight * other.mean) / all;
    const auto around = [&](const Normal& one) {
      return one.weight * (one.variance + (one.mean - middle) * (one.mean - middle));
    };
    variance = (around(*this) + around(other)) / all;
    mean = middle;
    weight = all;
    return *this;
  }
  // Kalman's step: `off` was seen from the mean, with this noise. The weight becomes how likely that
  // was.
  void See(double off, double noise) {
    const double all = variance + noise, gain = variance / all;
    weight *= std::exp(-0.5 * off * off / all) / std::sqrt(all);
    mean += gain * off;
    variance *= 1 - gain;
  }
};

}  // namespace

double KneeBelief::LogOf(std::size_t cell) const {
  constexpr std::size_t kMiddle = kCells / 2;
  return center_ + (static_cast<double>(cell) - static_cast<double>(kMiddle)) * kStep;
}

void KneeBelief::Begin(double in_flight, double doubt, TimePoint now) {
  center_ = std::log(in_flight);
  learnt_ = now;
  for (std::size_t i = 0; i < kCells; ++i) {
    const double off = (LogOf(i) - center_) / kGuess;
    cells_[i] = {std::exp(-0.5 * off * off), 0, doubt};
  }
  Settle();
}

void KneeBelief::Learn(const Seen& seen, TimePoint now) {
  const double seconds =
      std::clamp(std::chrono::duration<double>(now - learnt_).count(), 0.01, 5.0);
  learnt_ = now;
  Drift(seconds);
  Weigh(seen, seconds);
  Settle();
  Recenter();
}

void KneeBelief::Drift(double seconds) {
  const double part = std::min(kKneeDrift * kKneeDrift * seconds / (kStep * kStep) / 2, 0.3);
  const Cells old = cells_;
  for (std::size_t i = 0; i < kCells; ++i) {
    const auto from = [&](std::size_t cell, double share) {
      const Cell& one = old[cell];
      return Normal{share * one.weight, one.norm, one.doubt};
    };
    Normal sum = from(i, 1 - 2 * part);
    sum += from(i == 0 ? 0 : i - 1, part);
    sum += from(std::min(i + 1, kCells - 1), part);
    cells_[i] = {sum.weight, sum.mean, sum.variance + kNormDrift * kNormDrift * seconds};
  }
}

// Where a knee is that has jumped: most likely nearby.
KneeBelief::Shares KneeBelief::Elsewhere() const {
  double middle = 0;
  for (std::size_t i = 0; i < kCells; ++i) middle += cells_[i].weight * LogOf(i);
  Shares shares{};
  double above = 0, below = 0;
  for (std::size_t i = 0; i < kCells; ++i) {
    const double off = LogOf(i) - middle;
    shares[i] = std::exp(off > 0 ? -off / kJumpUp : off / kJumpDown);
    (off > 0 ? above : below) += shares[i];
  }
  for (std::size_t i = 0; i < kCells; ++i) shares[i] /= 2 * (LogOf(i) > middle ? above : below);
  return shares;
}

// So much of the weight comes here from elsewhere; what is usual is then as it was.
void KneeBelief::Jump(std::size_t cell, double weight) {
  Normal sum{cells_[cell].weight, cells_[cell].norm, cells_[cell].doubt};
  sum += {weight, norm_, norm_doubt_};
  cells_[cell] = {sum.weight, sum.mean, sum.variance};
}

void KneeBelief::Weigh(const Seen& seen, double seconds) {
  const bool cut = seen.excess > kMuch - kNearMuch;
  const double noise = kCorrelation * seen.error * seen.error + kModelError * kModelError +
                       (cut ? kCutError * kCutError : 0);
  Shares waits{};
  double before = 0;
  for (std::size_t i = 0; i < kCells; ++i) {
    waits[i] = Wait(seen.in_flight * std::exp(-LogOf(i)), seen.spread);
    before += cells_[i].weight * std::min(waits[i] + cells_[i].norm, kMuch);
  }
  const Shares elsewhere = Elsewhere();
  for (std::size_t i = 0; i < kCells; ++i)
    Jump(i, std::min(kJumps * seconds, kMostJumps) * elsewhere[i]);
  const double meanwhile = std::min(kJumpsMeanwhile * seconds, kMostJumps);
  const double blur = std::sqrt(noise + norm_doubt_);
  for (std::size_t i = 0; i < kCells; ++i) {
    Cell& cell = cells_[i];
    double off = seen.excess - waits[i] - cell.norm;
    if (cut || seen.errors) off = std::max(off, 0.0);
    Normal as_ever{1 - kNormJumps, cell.norm, cell.doubt};
    Normal jumped{kNormJumps, cell.norm, cell.doubt + kNormJump};
    as_ever.See(off, noise);
    jumped.See(off, noise);
    as_ever += jumped;
    cell.weight *= as_ever.weight + kNever;
    if (seen.errors) continue;
    cell.norm = as_ever.mean, cell.doubt = as_ever.variance;
    // While the cohort was in flight the knee came here: its times are anywhere between those of before and after.
    const double after = std::min(waits[i] + norm_, kMuch);
    const double least = std::min(before, after), most = std::max(before, after);
    const double outside = seen.excess - std::clamp(seen.excess, least, most);
    const double likely = std::exp(-0.5 * outside * outside / (blur * blur)) * kRootOfTwoPi /
                          (most - least + kRootOfTwoPi * blur);
    Jump(i, meanwhile * elsewhere[i] * likely);
  }
}

void KneeBelief::Settle() {
  double sum = 0;
  for (const Cell& cell : cells_) sum += cell.weight;
  Normal all;
  for (Cell& cell : cells_) {
    cell.weight /= sum;
    all += {cell.weight, cell.norm, cell.doubt};
  }
  norm_ = all.mean;
  norm_doubt_ = all.variance;
}

void KneeBelief::Recenter() {
  double middle = 0;
  for (std::size_t i = 0; i < kCells; ++i) middle += cells_[i].weight * LogOf(i);
  const auto shift = static_cast<std::ptrdiff_t>(
      std::lround((std::clamp(middle, kLeast, kMost) - center_) / kStep));
  constexpr auto kAll = static_cast<std::ptrdiff_t>(kCells);
  if (std::abs(shift) < kAll / 8) return;
  const Cells old = cells_;
  for (std::ptrdiff_t i = 0; i < kAll; ++i) {
    const std::ptrdiff_t from = i + shift;
    Cell& cell = cells_[static_cast<std::size_t>(i)];
    cell = old[static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(from, 0, kAll - 1))];
    if (from < 0 || from >= kAll) cell.weight = kOutside;
  }
  center_ += static_cast<double>(shift) * kStep;
  Settle();
}

double KneeBelief::Expected(double in_flight, double spread) const {
  double sum = 0;
  for (std::size_t i = 0; i < kCells; ++i) {
    const double wait = Wait(in_flight * std::exp(-LogOf(i)), spread);
    sum += cells_[i].weight * std::min(cells_[i].norm + wait, kMuch);
  }
  return sum;
}

double KneeBelief::Quantile(double part) const {
  double below = 0;
  for (std::size_t i = 0; i < kCells; ++i) {
    const double weight = cells_[i].weight;
    if (below + weight >= part && weight > 0)
      return std::exp(LogOf(i) + ((part - below) / weight - 0.5) * kStep);
    below += weight;
  }
  return std::exp(LogOf(kCells - 1));
}

double KneeBelief::Above(double in_flight) const {
  const double log = std::log(in_flight);
  double sum = 0;
  for (std::size_t i = 0; i < kCells; ++i) sum += LogOf(i) > log ? cells_[i].weight : 0;
  return sum;
}

void KneeBelief::ShiftNorm(double by) {
  for (Cell& cell : cells_) cell.norm -= by;
  norm_ -= by;
}

}  // namespace spillway
