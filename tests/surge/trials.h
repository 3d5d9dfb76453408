// SPDX-License-Identifier: MIT
// The trials: what overload control must come to, each a question with figures for an answer, on
// origins that a seed chooses. docs/overload.md has the targets in words.
#pragma once

#include <string>
#include <vector>

#include "tests/surge/world.h"

namespace spillway::surge {

struct Figure {
  std::string name;
  double value = 0;
  double target = 0;
  bool at_most = true;  // else at least
  bool met() const { return at_most ? value <= target : value >= target; }
};
using Figures = std::vector<Figure>;

// What servers a seed chooses from: of 8 to 100 workers; or few and quick ones, 4 to 32, as a machine can
// play them for real.
enum class Size : std::uint8_t { kAny, kSmall };

// How the limit is found: by an algorithm, or set to so many times the workers by who knows them.
struct Way {
  Size size = Size::kAny;
  AdmissionConfig::Algorithm algorithm = AdmissionConfig::Algorithm::kKnee;
  double known = 0;
  std::uint32_t names = 0;  // every page has a name of its own: Visitors::names
  void Apply(Scenario* scenario) const;
};

struct Trial {
  const char* name;
  const char* title;
  Figures (*run)(std::uint64_t seed, const Way& way);
};
const std::vector<Trial>& Trials();

// The scenario of a trial, to look at.
Scenario JabbingSurge(std::uint64_t seed, Size size = Size::kAny);   // T1
Scenario PlainSurge(std::uint64_t seed, Size size = Size::kAny);     // T2
Scenario ChangingSurge(std::uint64_t seed, Size size = Size::kAny);  // T3
Scenario ChangingFew(std::uint64_t seed);                            // T12
// T4; the servers are so fast while the crowd comes.
Scenario InstantCrowd(std::uint64_t seed, double speed, Size size = Size::kAny);
Scenario HangingPath(std::uint64_t seed, Size size = Size::kAny);         // T5
Scenario QuietDay(std::uint64_t seed, double load, double seconds);       // T8
Scenario AnyDay(std::uint64_t seed);                                      // T9
Scenario FloodedByOne(std::uint64_t seed, double load, TrafficClass of);  // T10
Scenario PagesWithPictures(std::uint64_t seed, double load);              // T11

// Goodput of T9's scenario, in windows of 4 s and as a share of what is possible: the least but for
// the seconds after a change, and the mean of the last quarter.
struct Steadiness {
  double least = 1;
  double last = 1;
};
Steadiness Steady(const Scenario& scenario);
std::string Describe(const Scenario& scenario);

}  // namespace spillway::surge
