// SPDX-License-Identifier: MIT
// What is played: origins that a seed chooses, and who comes to them.
#pragma once

#include <cstdint>
#include <string>

#include "tests/surge/world.h"

namespace spillway::surge {

// What servers a seed chooses from: of 8 to 100 workers; or few and quick ones, 4 to 32, as a machine can
// play them for real.
enum class Size : std::uint8_t { kAny, kSmall };

// Answers in a second, at first and at a time.
double Capacity(const OriginSpec& origin);
double CapacityAt(const Scenario& scenario, double at);

// Each of a trial (tests/surge/trials.h).
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

std::string Describe(const Scenario& scenario);

}  // namespace spillway::surge
