// SPDX-License-Identifier: MIT
#include "tests/surge/scenarios.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace spillway::surge {
namespace {

OriginSpec SmallOrigin(Chance* chance) {
  OriginSpec origin;
  double capacity = 0;
  while (capacity < 100 || capacity > 800) {
    origin.workers = static_cast<std::uint32_t>(std::lround(chance->Scaled(4, 32)));
    origin.service = chance->Scaled(0.02, 0.1);
    capacity = origin.workers / origin.service;
  }
  origin.law = static_cast<Law>(chance->Below(3));
  if (chance->Uniform() < 0.5) {
    origin.knee = static_cast<std::uint32_t>(origin.workers * chance->Between(1.2, 2));
    origin.slope = chance->Between(0.5, 2);
  }
  return origin;
}

OriginSpec AnyOrigin(Chance* chance) {
  OriginSpec origin;
  origin.workers = static_cast<std::uint32_t>(chance->Scaled(8, 100));
  origin.service = chance->Scaled(0.02, 0.2);
  origin.law = static_cast<Law>(chance->Below(5));
  if (chance->Uniform() < 0.5) {
    origin.knee = static_cast<std::uint32_t>(origin.workers * chance->Between(1.0, 1.5));
    origin.slope = chance->Between(0.5, 2);
  }
  return origin;
}

// The origin that a seed chooses; another one for each trial.
Scenario Drawn(std::uint64_t seed, std::uint64_t trial, Size size = Size::kAny) {
  Chance chance(seed * 7919 + trial);
  Scenario scenario;
  scenario.seed = seed;
  scenario.origin = size == Size::kSmall ? SmallOrigin(&chance) : AnyOrigin(&chance);
  return scenario;
}

// So many times the capacity for so long, in half of the runs after a quiet time.
void LoadSurge(Scenario* scenario, double times, double seconds) {
  const double capacity = Capacity(scenario->origin);
  const double begin = scenario->seed % 2 == 0 ? 0 : 10;
  scenario->load = {{0, 0.3 * capacity}, {begin, times * capacity}};
  scenario->seconds = begin + seconds;
}

}  // namespace

double Capacity(const OriginSpec& origin) {
  return Origin(origin).Capacity();
}

double CapacityAt(const Scenario& scenario, double at) {
  Origin origin(scenario.origin);
  for (const Scenario::Change& change : scenario.changes) {
    if (change.at <= at) origin.Become(change.workers, change.speed);
  }
  return origin.Capacity();
}

Scenario JabbingSurge(std::uint64_t seed, Size size) {
  Scenario scenario = Drawn(seed, 1, size);
  scenario.visitors = {{0.1, 0.6, 0, 0.3}, 6, 0.65, 6, 1, 0, 5, 0, 10};
  LoadSurge(&scenario, 4.2, 34);
  return scenario;
}

Scenario PlainSurge(std::uint64_t seed, Size size) {
  Scenario scenario = Drawn(seed, 2, size);
  scenario.visitors.routes = 4;
  LoadSurge(&scenario, 4, 32);
  return scenario;
}

Scenario ChangingSurge(std::uint64_t seed, Size size) {
  Scenario scenario = Drawn(seed, 3, size);
  scenario.origin.knee = 0;  // it would have to move with the workers
  scenario.origin.workers = std::max(scenario.origin.workers, 15U) / 3 * 3;
  scenario.visitors.routes = 4;
  const double capacity = Capacity(scenario.origin);
  scenario.load = {{0, 0.5 * capacity}, {5, 4 * capacity}};
  if (seed % 2 == 0) {
    scenario.changes = {{20, scenario.origin.workers / 3, 1}, {40, scenario.origin.workers * 3, 1}};
  } else {
    scenario.changes = {{20, scenario.origin.workers, 1.0 / 3}, {40, scenario.origin.workers, 3}};
  }
  scenario.seconds = 61;
  return scenario;
}

Scenario ChangingFew(std::uint64_t seed) {
  Scenario scenario = Drawn(seed, 12, Size::kSmall);
  Chance chance(seed * 7919 + 112);
  double capacity = 0;
  while (capacity < 120 || capacity > 260) {
    scenario.origin.workers = static_cast<std::uint32_t>(std::lround(chance.Scaled(4, 32)));
    scenario.origin.service = chance.Scaled(0.02, 0.1);
    capacity = scenario.origin.workers / scenario.origin.service;
  }
  scenario.origin.knee = 0;  // it would have to move with the workers
  scenario.visitors.routes = 1;
  const std::uint32_t third = std::max((scenario.origin.workers + 1) / 3, 1U);
  constexpr double kBegin = 16;
  scenario.load = {{0, 0.3 * capacity}, {kBegin, 5 * capacity}};
  scenario.changes = {{kBegin + 10, third, 1}, {kBegin + 20, third * 9, 1}};
  scenario.seconds = kBegin + 32;
  return scenario;
}

Scenario InstantCrowd(std::uint64_t seed, double speed, Size size) {
  Scenario scenario = Drawn(seed, 4, size);
  scenario.visitors.patience = 20;
  scenario.visitors.routes = 4;
  const double begin = seed % 2 == 0 ? 0 : 10;
  scenario.load = {{0, begin > 0 ? 0.3 * Capacity(scenario.origin) : 0}, {begin, 0}};
  scenario.bursts = {{17000, begin, 1}, {1, begin + 11, 0}};
  const std::uint32_t workers = scenario.origin.workers;
  if (speed < 1) scenario.changes = {{begin, workers, speed}, {begin + 1, workers, 1}};
  scenario.seconds = begin + 32;
  return scenario;
}

Scenario HangingPath(std::uint64_t seed, Size size) {
  Scenario scenario = Drawn(seed, 5, size);
  scenario.origin.workers = std::max(scenario.origin.workers, 12U);
  scenario.visitors = {{0.1, 0.6, 0.1, 0.2}, 20, 0.3, 2, 1, 0, 8, 0, 10};
  scenario.load = {{0, 0.5 * Capacity(scenario.origin)}};
  scenario.hanging = {0.05, 15, 30, 0};
  scenario.seconds = 75;
  return scenario;
}

Scenario QuietDay(std::uint64_t seed, double load, double seconds) {
  Scenario scenario = Drawn(seed, 8);
  scenario.origin.knee =
      0;  // else the luck of a quiet day brings it down, whoever stands before it
  scenario.visitors = {{0.05, 0.55, 0.2, 0.2}, 30, 0, 0, 1, 0, 12, 0.01, 5};
  const double mean = 1 + scenario.visitors.slow_share * (scenario.visitors.slow_times - 1);
  const double rate = load * Capacity(scenario.origin) / mean;
  // The day does not begin at noon.
  scenario.load = {{0, rate / 4}, {5, rate / 2}, {10, rate}};
  scenario.seconds = seconds;
  return scenario;
}

Scenario FloodedByOne(std::uint64_t seed, double load, TrafficClass of) {
  Scenario scenario = Drawn(seed, 10);
  scenario.visitors.classes = {0.1, 0.6, 0.1, 0.2};
  scenario.visitors.routes = 4;
  const double capacity = Capacity(scenario.origin);
  scenario.load = {{0, 0.3 * capacity}, {5, load * capacity}};
  scenario.flood = {10 * capacity, 10, of};
  scenario.seconds = 40;
  return scenario;
}

Scenario PagesWithPictures(std::uint64_t seed, double load) {
  Scenario scenario = Drawn(seed, 11);
  scenario.visitors.assets = 4;
  scenario.visitors.assets_alike = true;
  scenario.visitors.routes = 4;
  const double pages = Capacity(scenario.origin) / (1 + scenario.visitors.assets);
  scenario.load = {{0, 0.3 * pages}, {5, load * pages}};
  scenario.seconds = 50;
  return scenario;
}

Scenario AnyDay(std::uint64_t seed) {
  Chance chance(seed * 7919 + 9);
  Scenario scenario;
  scenario.seed = seed;
  scenario.origin = AnyOrigin(&chance);
  scenario.origin.workers = static_cast<std::uint32_t>(chance.Scaled(4, 200));
  scenario.origin.service = chance.Scaled(0.01, 0.3);
  if (scenario.origin.knee != 0) {
    scenario.origin.knee =
        static_cast<std::uint32_t>(scenario.origin.workers * chance.Between(0.6, 1.5)) + 1;
  }
  if (chance.Uniform() < 0.2) {
    scenario.origin.database =
        static_cast<std::uint32_t>(scenario.origin.workers * chance.Between(0.5, 1.2)) + 2;
  }
  const double busiest = chance.Scaled(1.2, 12);
  // Not more than 3,000 asks in a second, so that many scenarios can be played.
  scenario.origin.service =
      std::max(scenario.origin.service, scenario.origin.workers * busiest / 3000);
  const double orders = chance.Between(0, 0.15), low = chance.Between(0, 0.5);
  scenario.visitors = {{orders, 1 - orders - low, low / 2, low / 2},
                       chance.Scaled(3, 20),
                       chance.Uniform() < 0.7 ? chance.Between(0, 0.9) : 0,
                       6,
                       chance.Scaled(0.3, 3),
                       chance.Uniform() < 0.3 ? 1 + chance.Below(4) : 0,
                       1 + chance.Below(30),
                       chance.Uniform() < 0.3 ? 0.02 : 0,
                       5};
  double capacity = Capacity(scenario.origin) / (1 + scenario.visitors.assets);
  scenario.load = {{0, capacity * chance.Between(0.2, 0.8)}};
  double at = chance.Uniform() < 0.3 ? 0 : 6;
  scenario.load.push_back({at, capacity * busiest});
  if (chance.Uniform() < 0.3) scenario.load.push_back({at + 15, capacity * chance.Scaled(0.5, 6)});
  scenario.seconds = 36;
  if (chance.Uniform() < 0.4) {
    const double workers = chance.Uniform() < 0.5 ? chance.Scaled(0.34, 3) : 1;
    const double speed = workers == 1 ? chance.Scaled(0.34, 3) : 1;
    scenario.changes = {
        {at + 10, std::max(1U, static_cast<std::uint32_t>(scenario.origin.workers * workers)),
         speed}};
  }
  return scenario;
}

std::string Describe(const Scenario& scenario) {
  char text[300];
  const OriginSpec& origin = scenario.origin;
  std::snprintf(text, sizeof text,
                "seed %llu: %u workers, %.0f ms %s, knee %u slope %.1f, database %u; load %.1f x, "
                "jabs %.2f, assets %u, changes %zu",
                static_cast<unsigned long long>(scenario.seed), origin.workers,
                origin.service * 1e3, kLawNames[static_cast<std::size_t>(origin.law)], origin.knee,
                origin.slope, origin.database, scenario.load.back().rate / Capacity(origin),
                scenario.visitors.jabs, scenario.visitors.assets, scenario.changes.size());
  return text;
}

}  // namespace spillway::surge
