// SPDX-License-Identifier: MIT
// Visitors, spillway's admission and an application server, played as discrete events: no socket, no
// clock, the same run for the same scenario.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "spillway/admission.h"
#include "tests/surge/origin.h"

namespace spillway::surge {

struct Visitors {
  // A share of all visitors for each class; what is left is of the last class.
  std::array<double, kTrafficClasses> classes{0, 1, 0, 0};
  double patience = 8;  // seconds until one leaves who was not answered, mean
  double jabs = 0;      // chance that one who was refused, or left, asks again
  std::uint32_t most_jabs = 8;
  double jab_after = 1;       // seconds, mean
  std::uint32_t assets = 0;   // further asks of a page that was answered, sheddable_plus
  std::uint32_t routes = 1;   // pages, evenly
  double slow_share = 0;      // of the asks, to a report
  double slow_times = 10;     // that takes so much longer
  std::uint32_t names = 0;    // not 0: so many pages instead, of one family of routes
  bool assets_alike = false;  // they are of the page's own class
};

struct Hanging {
  double share = 0;  // of the asks, to a path that hangs
  double from = 0;
  double seconds = 30;
  std::uint32_t workers = 0;  // or: so many workers hang at `from`, on whatever they do
};

// So many visitors who all come at once, as fast as they can be accepted.
struct Burst {
  std::uint32_t people = 0;
  double at = 0;
  double over = 1;  // seconds
};

// One client that asks and asks, whatever it is told.
struct Flood {
  double rate = 0;  // asks in a second
  double from = 0;
  TrafficClass traffic_class = TrafficClass::kCritical;
};

struct Scenario {
  std::uint64_t seed = 1;
  double seconds = 30;
  OriginSpec origin;
  Visitors visitors;
  Hanging hanging;
  Flood flood;
  std::vector<Burst> bursts;
  AdmissionConfig admission;
  struct Change {
    double at = 0;
    std::uint32_t workers = 0;
    double speed = 1;
  };
  std::vector<Change> changes;
  struct Load {
    double at = 0;
    double rate = 0;  // visitors in a second
  };
  std::vector<Load> load;
  double upstream_timeout = 30;
};

// What became of one ask.
struct Outcome {
  enum class End : std::uint8_t { kGood, kError, kRefused, kLeft } end = End::kGood;
  TrafficClass traffic_class = TrafficClass::kCritical;
  ShedReason reason = ShedReason::kNone;
  bool first = false;    // not a jab
  bool hanging = false;  // to the path that hangs
  bool flood = false;    // of the client that floods
  float asked = 0;       // when
  float took = 0;        // until the first byte, the refusal, or that it was left
  float work = 0;        // seconds of a worker
};

struct Page {  // that was answered, and how many of what it loads were
  float at = 0;
  std::uint32_t assets = 0;
};

struct Moment {  // each 50 ms
  float limit = 0, inside = 0, queued = 0, share = 1;
  float inside_peak = 0;
};

struct Record {
  std::vector<Outcome> outcomes;
  std::vector<Page> pages;
  std::vector<Moment> moments;
  std::uint64_t queued = 0;  // had to wait for a slot
  std::uint64_t held = 0;    // did so while a worker was idle, later than 30 s
  std::uint64_t asks = 0;
  AdmissionView last;
};

inline constexpr double kMoment = 0.05;

Record Play(const Scenario& scenario);

// --- looking at a record ---

struct Window {
  double from = 0, to = 1e9;
};
double Rate(const Record& record, Window window, Outcome::End end);
// The work of the good ones, in seconds of a worker for each second: how many were of use. Counted in
// work since a few long answers are as much worth as many short ones.
double Useful(const Record& record, Window window);
// Of the good ones, all classes or one.
double Quantile(const Record& record, Window window, double quantile, int traffic_class = -1);
double RefusalQuantile(const Record& record, Window window, double quantile);
// Answered well, of the asks of a class (-1: all) that do not hang, and are not of the
// client that floods.
double Success(const Record& record, Window window, int traffic_class = -1);
// The share of the good ones' work that went to the client that floods.
double FloodShare(const Record& record, Window window);
double Peak(const Record& record, Window window);

}  // namespace spillway::surge
