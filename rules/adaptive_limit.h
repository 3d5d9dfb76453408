// SPDX-License-Identifier: MIT
// How many requests a pool's servers take at once, found on what their answers say. Four ways to
// find it behind one interface; the simulation in tests/surge/ compares them (docs/overload.md).
//
// Times are compared within a route before they come here: `excess` is ln(took / usual), so 0 is
// "as ever" and 0.69 is "twice as long".
//
// Thread rule: none of its own. Allocates nothing after its creation.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>

#include "spillway/admission.h"
#include "spillway/units.h"

namespace spillway {

// One request that was in flight and is answered, or never will be.
struct LimitSample {
  TimePoint now;
  std::uint32_t cohort = 0;     // what Admitted returned, if it was told
  Duration took{0};             // of an answer
  double excess = 0;            // of an answer
  bool counted = false;         // it was told of by Admitted, and `excess` is known of an answer
  std::uint32_t in_flight = 0;  // as it was admitted
  enum class End : std::uint8_t { kAnswer, kError, kDrop, kGone } end = End::kAnswer;
};

// How the pool is doing meanwhile.
struct LimitScene {
  std::uint32_t in_flight = 0;
  std::uint32_t queued = 0;
  bool bound = false;    // somebody waits or waited for a slot since the last sample
  bool pressed = false;  // more is asked for, lastingly, than is answered
  double pressure = 0;   // the servers' own word
  bool novel = false;    // no answer was seen yet while there was room to spare
};

// More than so much too long (a logarithm) is not told apart: three times.
inline constexpr double kMuch = 1.1;

class AdaptiveLimit {
 public:
  struct Range {
    double min = 1, max = 100000, initial = 12;
  };
  explicit AdaptiveLimit(const Range& range) : range_(range), limit_(range.initial) { Set(limit_); }
  virtual ~AdaptiveLimit() = default;
  AdaptiveLimit(const AdaptiveLimit&) = delete;
  AdaptiveLimit& operator=(const AdaptiveLimit&) = delete;

  // One that will be sampled is in flight from now on.
  // Returns what the sample is to have as its `cohort`.
  virtual std::uint32_t Admitted(std::uint32_t, TimePoint) { return 0; }
  virtual void Sample(const LimitSample& sample, const LimitScene& scene) = 0;
  // By how much the norms of the routes are wrong, as found out meanwhile: a logarithm to be added
  // to them. Zero until asked for the next time.
  virtual double TakeCorrection() { return 0; }
  // No overload was seen yet, or none since Reopen, and it grows as fast as it may.
  virtual bool opening() const { return false; }
  // What was learnt lately is in doubt: where it may, it opens anew.
  virtual void Reopen() {}
  // How far the last times lay above the usual ones, a logarithm.
  virtual double excess() const = 0;

  void Reshape(const Range& range) {
    range_ = range;
    Set(limit_);
  }
  double limit() const { return limit_; }
  // Below 1 the limit shrinks.
  double gradient() const { return gradient_; }

 protected:
  void Set(double limit) { limit_ = std::clamp(limit, range_.min, range_.max); }

  Range range_;
  double limit_;
  double gradient_ = 1;
};

std::unique_ptr<AdaptiveLimit> MakeAdaptiveLimit(AdmissionConfig::Algorithm algorithm,
                                                 const AdaptiveLimit::Range& range);
std::unique_ptr<AdaptiveLimit> MakeKneeLimit(const AdaptiveLimit::Range& range);

}  // namespace spillway
