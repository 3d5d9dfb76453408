// SPDX-License-Identifier: MIT
// The trials: what overload control must come to, each a question with figures for an answer, on
// origins that a seed chooses. docs/overload.md has the targets in words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/surge/scenarios.h"

namespace spillway::surge {

struct Figure {
  std::string name;
  double value = 0;
  double target = 0;
  bool at_most = true;  // else at least
  bool met() const { return at_most ? value <= target : value >= target; }
};
using Figures = std::vector<Figure>;

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

// Goodput of T9's scenario, in windows of 4 s and as a share of what is possible: the least but for
// the seconds after a change; the least of those that had four fifths before, with no change since; and the mean
// of the last quarter.
struct Steadiness {
  double least = 1;
  double relapse = 1;
  double last = 1;
};
Steadiness Steady(const Scenario& scenario);

}  // namespace spillway::surge
