// SPDX-License-Identifier: MIT
// Which ranks and cohorts are served while more is asked for than can be answered: a line through
// rank x cohort, drawn where the asks above it are a little more than what is answered. A visitor is
// above it or below it, and the line moves seldom and by little, so who is served stays served.
//
//   rank 0 |##########|   rank 2 |####------|   rank 4 |----------|
//                                    ^ the line: here a third of the cohorts of rank 2
//
// After DAGOR (Zhou et al., "Overload Control for Scaling WeChat Microservices", 2018) and Uber's
// Cinnamon, but fed with what was answered in place of waiting times.
//
// Thread rule: none of its own.
#pragma once

#include <array>
#include <cstdint>

namespace spillway {

class CohortCut {
 public:
  static constexpr std::uint32_t kCohorts = 128;
  static constexpr std::uint32_t kLevels = 5 * kCohorts;
  static constexpr std::uint32_t kVital = 2 * kCohorts;  // critical_plus, and who is protected

  // REQUIRES: rank < 5. It is the line's: critical_plus, the protected, and a rank for each other class.
  static std::uint32_t Level(std::uint8_t rank, std::uint8_t cohort) {
    return rank * kCohorts + cohort % kCohorts;
  }
  void Ask(std::uint32_t level) { asks_[level] += 1; }
  bool Passes(std::uint32_t level) const { return level < cut_; }
  bool open() const { return cut_ >= kLevels; }
  std::uint32_t cut() const { return cut_; }

  // Draws the line so that `share` of the recent asks pass.
  void Begin(double share);
  // Of the asks since the last time `passed` were above the line, and `refused` of those were refused
  // all the same; meanwhile `used` of the slots were in use.
  void Steer(double passed, double refused, double used);
  void Open() { cut_ = kLevels, raises_ = 0; }
  // Older asks count less. After each step.
  void Fade();

 private:
  double Above() const;  // asks above the line
  void Draw(double asks);

  std::array<float, kLevels> asks_{};
  std::uint32_t cut_ = kLevels;
  std::uint32_t floor_ = kVital;  // not below, but where the vital ranks themselves are too many
  int raises_ = 0;                // one after the other
  int too_many_ = 0;  // steps, one after the other, in which half of the vital were refused
};

}  // namespace spillway
