// SPDX-License-Identifier: MIT
// Plays surges and prints what came of them.
//
//   surge_sim [--runs 20] [--seed 1] [--only T2] [--each] [--small] [--names]
//             [--algorithm knee|gradient2|vegas|aimd] [--known 1.05]    known: a limit set by who knows the workers
//   surge_sim --scenarios 50000 [--seed 1]         any day, and the worst five
//   surge_sim --show T2 --seed 3                   one run as a table over time, for scripts/surge-plots
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "tests/surge/trials.h"

namespace {

using namespace spillway;
using namespace spillway::surge;
using Algorithm = AdmissionConfig::Algorithm;

struct Options {
  std::uint64_t seed = 1, runs = 20, scenarios = 0;
  std::string only, show;
  Way way;
  bool each = false;
};

const std::map<std::string, Algorithm> kAlgorithms = {{"knee", Algorithm::kKnee},
                                                      {"gradient2", Algorithm::kGradient2},
                                                      {"vegas", Algorithm::kVegas},
                                                      {"aimd", Algorithm::kAimd}};

void RunTrial(const Trial& trial, const Options& options) {
  std::vector<Figures> all;
  for (std::uint64_t i = 0; i < options.runs; ++i) {
    all.push_back(trial.run(options.seed + i, options.way));
    if (!options.each) continue;
    std::printf("  seed %llu:", static_cast<unsigned long long>(options.seed + i));
    for (const Figure& one : all.back()) {
      std::printf("  %s %.3f%s", one.name.c_str(), one.value, one.met() ? "" : " (!)");
    }
    std::printf("\n");
  }
  std::printf("%s %s, %zu runs\n", trial.name, trial.title, all.size());
  for (std::size_t f = 0; f < all[0].size(); ++f) {
    std::vector<double> values;
    std::size_t met = 0;
    for (const Figures& one : all) values.push_back(one[f].value), met += one[f].met() ? 1 : 0;
    std::sort(values.begin(), values.end());
    const Figure& figure = all[0][f];
    std::printf("  %-32s median %9.3f  worst %9.3f", figure.name.c_str(), values[values.size() / 2],
                figure.at_most ? values.back() : values.front());
    if (figure.target < 1e17) {
      std::printf("  %s %.3g, met in %zu", figure.at_most ? "at most" : "at least", figure.target,
                  met);
    }
    std::printf("\n");
  }
  std::fflush(stdout);
}

void RunMany(const Options& options) {
  // The last quarter of a run that goes on for so long shows whether what is bad lasts.
  constexpr double kLonger = 120, kBad = 0.5;
  struct Entry {
    double least, relapse, last, later;
    std::uint64_t seed;
  };
  std::vector<Entry> all;
  for (std::uint64_t i = 0; i < options.scenarios; ++i) {
    Scenario scenario = AnyDay(options.seed + i);
    options.way.Apply(&scenario);
    const Steadiness steady = Steady(scenario);
    double later = 1;
    if (steady.last < kBad) {
      scenario.seconds = kLonger;
      later = Steady(scenario).last;
    }
    all.push_back({steady.least, steady.relapse, steady.last, later, options.seed + i});
  }
  const auto share = [&](auto holds) {
    return 100.0 * static_cast<double>(std::count_if(all.begin(), all.end(), holds)) /
           static_cast<double>(all.size());
  };
  std::printf("%zu scenarios\n", all.size());
  std::printf(
      "  goodput of some settled 4 s under a half: %.3f %%, after others had 0.8: %.3f %%\n",
      share([](const Entry& one) { return one.least < kBad; }),
      share([](const Entry& one) { return one.relapse < kBad; }));
  std::printf(
      "  goodput of the last quarter under a half: %.3f %%, under 0.8: %.3f %%, under 0.9: %.3f "
      "%%\n",
      share([](const Entry& one) { return one.last < kBad; }),
      share([](const Entry& one) { return one.last < 0.8; }),
      share([](const Entry& one) { return one.last < 0.9; }));
  std::printf("  under a half in the last quarter of two minutes, too: %.3f %%\n",
              share([](const Entry& one) { return one.later < kBad; }));
  const auto bad =
      static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const Entry& one) {
        return std::min(one.least, one.last) < kBad;
      }));
  const std::size_t worst = options.each ? bad : std::min<std::size_t>(5, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(worst), all.end(),
                    [](const Entry& a, const Entry& b) {
                      return std::min(a.least, a.last) < std::min(b.least, b.last);
                    });
  for (std::size_t i = 0; i < worst; ++i) {
    std::printf("  %.3f %.3f %.3f %.3f  %s\n", all[i].least, all[i].relapse, all[i].last,
                all[i].later, Describe(AnyDay(all[i].seed)).c_str());
  }
}

int Show(const Options& options) {
  Scenario scenario;
  if (options.show == "T1")
    scenario = JabbingSurge(options.seed, options.way.size);
  else if (options.show == "T2")
    scenario = PlainSurge(options.seed, options.way.size);
  else if (options.show == "T3")
    scenario = ChangingSurge(options.seed, options.way.size);
  else if (options.show == "T4")
    scenario = InstantCrowd(options.seed, 1, options.way.size);
  else if (options.show == "T5")
    scenario = HangingPath(options.seed, options.way.size);
  else if (options.show == "T8")
    scenario = QuietDay(options.seed, 0.8, 120);
  else if (options.show == "T12")
    scenario = ChangingFew(options.seed);
  else if (options.show == "T11")
    scenario = PagesWithPictures(options.seed, 2);
  else if (options.show == "T10")
    scenario = FloodedByOne(options.seed, 2, TrafficClass::kCritical);
  else
    scenario = AnyDay(options.seed);
  options.way.Apply(&scenario);
  const Record record = Play(scenario);
  std::printf("# %s\n# seconds limit inside queued share p50_ms p95_ms goodput offered\n",
              Describe(scenario).c_str());
  constexpr double kStep = 0.25;
  for (double at = 0; at + kStep <= scenario.seconds; at += kStep) {
    const Moment& moment = record.moments[static_cast<std::size_t>(at / kMoment)];
    const Window window{at, at + kStep};
    double asked = 0;
    for (const Outcome& one : record.outcomes) asked += one.asked >= at && one.asked < at + kStep;
    std::printf("%.2f %.0f %.0f %.0f %.3f %.1f %.1f %.1f %.1f\n", at, moment.limit, moment.inside,
                moment.queued, moment.share, 1e3 * Quantile(record, window, 0.5),
                1e3 * Quantile(record, window, 0.95),
                surge::Rate(record, window, Outcome::End::kGood), asked / kStep);
  }
  std::printf("# shed by class: full, timeout, deadline, cohort, route, failing, client\n");
  for (const auto& reasons : record.last.shed) {
    std::printf("#");
    for (std::size_t i = 1; i < reasons.size(); ++i) {
      std::printf(" %llu", static_cast<unsigned long long>(reasons[i]));
    }
    std::printf("\n");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--each") {
      options.each = true;
      continue;
    }
    if (name == "--small") {
      options.way.size = Size::kSmall;
      continue;
    }
    if (name == "--names") {
      options.way.names = 20000;
      continue;
    }
    if (i + 1 == argc) return std::fprintf(stderr, "surge_sim: %s: unknown\n", name.c_str()), 2;
    const std::string value = argv[++i];
    if (name == "--runs")
      options.runs = std::strtoull(value.c_str(), nullptr, 10);
    else if (name == "--seed")
      options.seed = std::strtoull(value.c_str(), nullptr, 10);
    else if (name == "--scenarios")
      options.scenarios = std::strtoull(value.c_str(), nullptr, 10);
    else if (name == "--only")
      options.only = value;
    else if (name == "--show")
      options.show = value;
    else if (name == "--algorithm" && kAlgorithms.contains(value))
      options.way.algorithm = kAlgorithms.at(value);
    else if (name == "--known")
      options.way.known = std::strtod(value.c_str(), nullptr);
    else
      return std::fprintf(stderr, "surge_sim: %s %s: unknown\n", name.c_str(), value.c_str()), 2;
  }
  if (!options.show.empty()) return Show(options);
  if (options.scenarios > 0) return RunMany(options), 0;
  for (const Trial& trial : Trials()) {
    if (options.only.empty() || options.only == trial.name) RunTrial(trial, options);
  }
  return 0;
}
