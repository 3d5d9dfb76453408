// SPDX-License-Identifier: MIT
// A model of an application server: some workers, one endless backlog, no eye for clients who have
// left. It may slow down where more than a knee are in it, answer errors where its database takes no
// more, lose and gain workers and speed, and hang.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>

#include "spillway/mix.h"

namespace spillway::surge {

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : state_(Mix(seed + 1)) {}
  double Uniform() {
    state_ += 0x9e3779b97f4a7c15U;
    return (static_cast<double>(Mix(state_) >> 11) + 0.5) * 0x1p-53;
  }
  double Between(double low, double high) { return low + (high - low) * Uniform(); }
  // Evenly over the orders of magnitude.
  double Scaled(double low, double high) { return low * std::pow(high / low, Uniform()); }
  double Exponential(double mean) { return -mean * std::log(Uniform()); }
  double Normal() {
    return std::sqrt(-2 * std::log(Uniform())) * std::cos(6.283185307179586 * Uniform());
  }
  std::uint32_t Below(std::uint32_t count) { return static_cast<std::uint32_t>(Uniform() * count); }
  std::uint64_t Word() { return Mix(state_ += 0x9e3779b97f4a7c15U); }

 private:
  std::uint64_t state_;
};

// How long one request takes a worker; the mean is 1.
enum class Law : std::uint8_t { kConstant, kExponential, kLognormal, kBimodal, kHeavyTail };
inline constexpr const char* kLawNames[] = {"constant", "exponential", "lognormal", "bimodal",
                                            "heavy tail"};

inline double Draw(Law law, Chance* chance) {
  switch (law) {
    case Law::kConstant:
      return 1;
    case Law::kExponential:
      return chance->Exponential(1);
    case Law::kLognormal:
      return std::exp(0.7 * chance->Normal() - 0.245);
    case Law::kBimodal:
      return chance->Uniform() < 0.1 ? 8 / 1.7 : 1 / 1.7;
    case Law::kHeavyTail: {  // Pareto, 2.2, cut at 40 times the least
      const double value = std::pow(chance->Uniform(), -1 / 2.2);
      return std::min(value, 40.0) / 1.823;
    }
  }
  return 1;
}

struct OriginSpec {
  std::uint32_t workers = 16;
  double service = 0.1;  // seconds, mean
  Law law = Law::kExponential;
  std::uint32_t knee = 0;      // in it, from which on all slow down; 0: never
  double slope = 0;            // by which part, for as many again as the knee
  std::uint32_t database = 0;  // in it, from which on it answers errors; 0: never
};

// Jobs are the numbers of the caller.
class Origin {
 public:
  explicit Origin(const OriginSpec& spec) : spec_(spec) {}

  struct Job {
    std::uint32_t id = 0;
    double work = 0;  // seconds of a worker when nothing presses
    double hang = 0;  // seconds that it hangs, whatever the speed
  };

  std::uint32_t inside() const { return busy_ + static_cast<std::uint32_t>(backlog_.size()); }
  std::uint32_t busy() const { return busy_; }
  bool idle() const { return busy_ < spec_.workers; }
  bool Refuses() const { return spec_.database != 0 && inside() >= spec_.database; }
  const OriginSpec& spec() const { return spec_; }
  void Become(std::uint32_t workers, double speed) { spec_.workers = workers, speed_ = speed; }
  double speed() const { return speed_; }

  void Add(const Job& job) { backlog_.push_back(job); }
  // Starts the next job if a worker is free: true, and how long it will take.
  bool Start(Job* job, double* takes) {
    if (!idle() || backlog_.empty()) return false;
    *job = backlog_.front();
    const double over =
        spec_.knee == 0 ? 0 : std::max(0.0, static_cast<double>(inside()) / spec_.knee - 1);
    *takes = job->work / speed_ * (1 + spec_.slope * over) + job->hang;
    backlog_.pop_front();
    ++busy_;
    return true;
  }
  void Finish() { --busy_; }

  // The most that can be answered in a second, whoever chooses how many are inside.
  double Capacity() const {
    const std::uint32_t most =
        spec_.database != 0 ? std::min(spec_.workers, spec_.database) : spec_.workers;
    double best = 0;
    for (std::uint32_t n = 1; n <= most; ++n) {
      const double over =
          spec_.knee == 0 ? 0 : std::max(0.0, static_cast<double>(n) / spec_.knee - 1);
      best = std::max(best, n * speed_ / (spec_.service * (1 + spec_.slope * over)));
    }
    return best;
  }

 private:
  OriginSpec spec_;
  double speed_ = 1;
  std::uint32_t busy_ = 0;
  std::deque<Job> backlog_;
};

}  // namespace spillway::surge
