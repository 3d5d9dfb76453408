// SPDX-License-Identifier: MIT
#include "tests/surge/trials.h"

#include <algorithm>
#include <cmath>

namespace spillway::surge {
namespace {

constexpr double kHour = 3600;
constexpr double kNever = 1e9;
constexpr double kSlowedByCrowd = 0.4;

// The same origin alone at 30 % load.
struct Quiet {
  double p50, p95;
};
Quiet QuietOf(const Scenario& surge, double at) {
  Scenario scenario = surge;
  scenario.admission.limit = AdmissionConfig::Limit::kOff;
  scenario.changes.clear();
  scenario.hanging = Hanging{};
  scenario.visitors.jabs = 0;
  double speed = 1;
  for (const Scenario::Change& change : surge.changes) {
    if (change.at <= at) scenario.origin.workers = change.workers, speed = change.speed;
  }
  scenario.origin.service /= speed;
  const double rate = 0.3 * CapacityAt(surge, at) / (1 + surge.visitors.assets);
  scenario.load = {{0, rate}};
  scenario.seconds = 6000 / rate + 5;
  scenario.visitors.patience = 60;
  const Record record = Play(scenario);
  return {Quantile(record, {2, 1e9}, 0.5), Quantile(record, {2, 1e9}, 0.95)};
}

Figures T1(std::uint64_t seed, const Way& way) {
  Scenario scenario = JabbingSurge(seed, way.size);
  way.Apply(&scenario);
  const Record record = Play(scenario);
  const double begin = scenario.load.back().at, end = scenario.seconds - 4;
  const Quiet quiet = QuietOf(scenario, 0);
  const double capacity = Capacity(scenario.origin) * scenario.origin.service;
  return {
      {"orders answered", Success(record, {begin, end}, 0), 1, false},
      {"orders p95 / quiet", Quantile(record, {begin + 1, end}, 0.95, 0) / quiet.p95, 1.6},
      {"goodput", Useful(record, {begin + 3, end}) / capacity, 0.95, false},
      {"peak / workers", Peak(record, {begin + 1, end}) / scenario.origin.workers, 1.5},
      {"refusals p95 ms", RefusalQuantile(record, {begin + 3, end}, 0.95) * 1e3, 5},
  };
}

Figures T2(std::uint64_t seed, const Way& way) {
  Scenario scenario = PlainSurge(seed, way.size);
  way.Apply(&scenario);
  const Record record = Play(scenario);
  const double begin = scenario.load.back().at, end = scenario.seconds - 2;
  const Window window{begin + 5, end};
  const Quiet quiet = QuietOf(scenario, 0);
  const double capacity = Capacity(scenario.origin) * scenario.origin.service;
  return {
      {"p50 / quiet", Quantile(record, window, 0.5) / quiet.p50, 1.15},
      {"p95 / quiet", Quantile(record, window, 0.95) / quiet.p95, 1.5},
      {"goodput", Useful(record, window) / capacity, 0.95, false},
      {"refusals p95 ms", RefusalQuantile(record, window, 0.95) * 1e3, 5},
      {"refusals p99 ms", RefusalQuantile(record, window, 0.99) * 1e3, 5},
      {"peak / workers", Peak(record, {begin + 1, end}) / scenario.origin.workers, 1.5},
  };
}

struct Changed {
  const Scenario& scenario;
  const Record& record;
  Window window;     // since its capacity is as it is
  double quiet_p50;  // that a time is compared with
};

void AddChanged(const std::string& what, const Changed& it, Figures* figures) {
  const double possible =
      std::min(CapacityAt(it.scenario, it.window.from), it.scenario.load.back().rate);
  figures->push_back(
      {what + "p50 / quiet", Quantile(it.record, it.window, 0.5) / it.quiet_p50, 1.3});
  figures->push_back({what + "goodput",
                      Useful(it.record, it.window) / it.scenario.origin.service / possible, 0.9,
                      false});
}

Figures T3(std::uint64_t seed, const Way& way) {
  Scenario scenario = ChangingSurge(seed, way.size);
  way.Apply(&scenario);
  const Record record = Play(scenario);
  Figures figures;
  for (std::size_t i = 0; i < 2; ++i) {
    const double at = scenario.changes[i].at;
    const Window window{at + 5, at + 20};
    const Quiet quiet = QuietOf(scenario, at);
    AddChanged(i == 0 ? "a third: " : "ninefold: ", {scenario, record, window, quiet.p50},
               &figures);
  }
  return figures;
}

// As surge.py's L3b: one to five workers are left, and 40 answers in a second. A time is compared with that of all
// workers.
Figures T12(std::uint64_t seed, const Way& way) {
  Scenario scenario = ChangingFew(seed);
  way.Apply(&scenario);
  const Record record = Play(scenario);
  const Quiet quiet = QuietOf(scenario, 0);
  const double begin = scenario.load.back().at;
  Figures figures;
  for (const auto& [what, at] : {std::pair{"before: ", begin}, std::pair{"a third: ", begin + 10},
                                 std::pair{"ninefold: ", begin + 20}}) {
    AddChanged(what, {scenario, record, {at + 5, at + 10}, quiet.p50}, &figures);
  }
  return figures;
}

// Those who can be served are as many as the servers answer while the queue lets one wait. Once the servers
// are as fast as ever, and once slower as long as the crowd comes, as where one machine has both to do.
Figures T4(std::uint64_t seed, const Way& way) {
  Figures figures;
  for (const double speed : {1.0, kSlowedByCrowd}) {
    Scenario scenario = InstantCrowd(seed, speed, way.size);
    way.Apply(&scenario);
    const Record record = Play(scenario);
    const Burst &burst = scenario.bursts[0], &newcomer = scenario.bursts[1];
    const Window crowd{burst.at, burst.at + burst.over};
    const double patience = std::chrono::duration<double>(scenario.admission.queue.timeout).count();
    const double possible = std::min<double>(
        burst.people, Capacity(scenario.origin) * (patience - (1 - speed) * burst.over));
    double served = 0, left = 0, late = kNever;
    for (const Outcome& one : record.outcomes) {
      const bool good = one.end == Outcome::End::kGood;
      if (one.asked >= newcomer.at && good) late = one.took;
      if (one.asked < crowd.from || one.asked >= crowd.to) continue;
      served += good ? 1 : 0;
      left += one.end == Outcome::End::kLeft ? 1 : 0;
    }
    const std::string how = speed < 1 ? "slower meanwhile: " : "";
    figures.push_back({how + "served / possible", served / possible, 0.9, false});
    figures.push_back({how + "refusals' worst, s", RefusalQuantile(record, crowd, 1), 3});
    figures.push_back({how + "left without a page", left, 0});
    figures.push_back({how + "a newcomer after it, s", late, 1});
  }
  return figures;
}

// A page is of use when all it loads has come.
Figures T11(std::uint64_t seed, const Way& way) {
  Figures figures;
  for (const double load : {2.0, 6.0}) {
    Scenario scenario = PagesWithPictures(seed, load);
    way.Apply(&scenario);
    const Record record = Play(scenario);
    const Window window{15, scenario.seconds - 5};
    double pages = 0, whole = 0;
    for (const Page& page : record.pages) {
      if (page.at < window.from || page.at >= window.to) continue;
      pages += 1;
      whole += page.assets == scenario.visitors.assets ? 1 : 0;
    }
    const double possible = Capacity(scenario.origin) / (1 + scenario.visitors.assets);
    const char* what = load < 3 ? "twice too many: " : "six times: ";
    figures.push_back({std::string(what) + "pages that are whole", whole / pages, 0.95, false});
    figures.push_back({std::string(what) + "whole pages / possible",
                       whole / possible / (window.to - window.from), 0.9, false});
  }
  return figures;
}

Figures T5(std::uint64_t seed, const Way& way) {
  Scenario scenario = HangingPath(seed, way.size);
  way.Apply(&scenario);
  const Quiet quiet = QuietOf(scenario, 0);
  Figures figures;
  {
    const Record record = Play(scenario);
    const Window window{scenario.hanging.from, scenario.seconds - 8};
    figures.push_back({"a path: others answered", Success(record, window), 0.99, false});
    figures.push_back({"a path: p95 / quiet", Quantile(record, window, 0.95) / quiet.p95, 1.3});
  }
  scenario.hanging.share = 0;
  scenario.hanging.workers = 1;
  scenario.hanging.seconds = 20;
  const Record record = Play(scenario);
  const Window window{scenario.hanging.from, scenario.hanging.from + 20};
  double good = 1, p95 = 0;
  for (int one : {0, 1}) {
    good = std::min(good, Success(record, window, one));
    p95 = std::max(p95, Quantile(record, window, 0.95, one));
  }
  figures.push_back({"a worker: critical answered", good, 0.99, false});
  figures.push_back({"a worker: p95 / quiet", p95 / quiet.p95, 1.3});
  return figures;
}

Figures T8(std::uint64_t seed, const Way& way) {
  Figures figures;
  for (const double load : {0.3, 0.6, 0.8}) {
    Scenario scenario = QuietDay(seed, load, kHour);
    way.Apply(&scenario);
    const Record record = Play(scenario);
    double shed = 0;
    for (const auto& one : record.last.shed) {
      for (const std::uint64_t count : one) shed += static_cast<double>(count);
    }
    const std::string at = std::to_string(std::lround(load * 100)) + " %: ";
    figures.push_back({at + "shed", shed, 0});
    figures.push_back({at + "waited while a worker was idle", static_cast<double>(record.held), 0});
    figures.push_back({at + "waited at all", static_cast<double>(record.queued), 1e18});
  }
  return figures;
}

Figures T9(std::uint64_t seed, const Way& way) {
  Scenario scenario = AnyDay(seed);
  way.Apply(&scenario);
  const Steadiness steady = Steady(scenario);
  return {{"least goodput of 4 s", steady.least, 0.5, false},
          {"goodput of the last quarter", steady.last, 0.8, false}};
}

// One address asks ten times as much as can be answered; the others ask for half of that, and for
// twice.
Figures T10(std::uint64_t seed, const Way& way) {
  Figures figures;
  for (const double load : {0.5, 2.0}) {
    for (const TrafficClass of : {TrafficClass::kCritical, TrafficClass::kCriticalPlus}) {
      Scenario scenario = FloodedByOne(seed, load, of);
      way.Apply(&scenario);
      const Record record = Play(scenario);
      const Window window{scenario.flood.from + 8, scenario.seconds - 6};
      const std::string what = std::string(load < 1 ? "half" : "double") +
                               (of == TrafficClass::kCritical ? "" : ", as orders") + ": ";
      const double possible = std::min(1.0, 1 / load);
      figures.push_back({what + "others answered / possible", Success(record, window) / possible,
                         load < 1 ? 0.95 : 0.85, false});
      figures.push_back(
          {what + "share of the flood", FloodShare(record, window), load < 1 ? 0.55 : 0.1});
    }
  }
  return figures;
}

}  // namespace

void Way::Apply(Scenario* scenario) const {
  scenario->admission.algorithm = algorithm;
  scenario->visitors.names = names;
  if (known <= 0) return;
  scenario->admission.limit = AdmissionConfig::Limit::kFixed;
  scenario->admission.fixed =
      static_cast<std::uint32_t>(std::lround(known * scenario->origin.workers));
}

Steadiness Steady(const Scenario& scenario) {
  const Record record = Play(scenario);
  constexpr double kWindow = 4, kWell = 0.8;
  Steadiness steady;
  // What was asked for, over windows, bounds what can be answered in them.
  const auto possible = [&](Window window) {
    double asked = 0;
    for (const Outcome& one : record.outcomes) {
      if (one.asked >= window.from - 1 && one.asked < window.to - 1) asked += one.work;
    }
    return std::min({asked / (window.to - window.from),
                     CapacityAt(scenario, window.from) * scenario.origin.service,
                     CapacityAt(scenario, window.to) * scenario.origin.service});
  };
  const auto goodput = [&](Window window) {
    const double most = possible(window);
    return most > 0 ? Useful(record, window) / most : 1;
  };
  bool was_well = false;
  for (double at = 4; at + kWindow <= scenario.seconds; at += 2) {
    bool unsettled = false;
    for (const Scenario::Load& load : scenario.load) unsettled |= load.at <= at && at < load.at + 5;
    for (const Scenario::Change& change : scenario.changes) {
      unsettled |= change.at < at + kWindow && at < change.at + 5;
    }
    if (unsettled) {
      was_well = false;
      continue;
    }
    const double now = goodput({at, at + kWindow});
    steady.least = std::min(steady.least, now);
    if (was_well) steady.relapse = std::min(steady.relapse, now);
    was_well |= now >= kWell;
  }
  steady.last = goodput({scenario.seconds * 0.75, scenario.seconds - 1});
  return steady;
}

const std::vector<Trial>& Trials() {
  static const std::vector<Trial> trials = {
      {"T1", "ten times too much, with jabbing; orders first", &T1},
      {"T2", "four times too much", &T2},
      {"T3", "capacity falls to a third and grows ninefold in one surge", &T3},
      {"T4", "a crowd that comes in one instant", &T4},
      {"T5", "a path hangs, and a worker", &T5},
      {"T8", "a quiet hour", &T8},
      {"T9", "any day", &T9},
      {"T10", "one address floods", &T10},
      {"T11", "pages with four pictures each", &T11},
      {"T12", "the capacity of few workers falls to a third and grows ninefold", &T12},
  };
  return trials;
}

}  // namespace spillway::surge
