// SPDX-License-Identifier: MIT
#include "tests/surge/crowd_report.h"

#include "tests/surge/surge_parts.h"

namespace spillway::surge {

void CrowdReport::AddWindow(double from, double to) {
  tallies_.emplace_back();
  tallies_.back().from = from;
  tallies_.back().to = to;
}

void CrowdReport::Begin() {
  for (Tally& tally : tallies_) tally.classes.resize(names_.size());
}

void CrowdReport::Answered(std::uint32_t of_class, End end, bool leaked, double at, float took,
                           float whole) {
  Count(of_class, at, [&](Tally::OfClass* of) {
    if (leaked) ++of->leaked;
    if (end == End::kGood) of->good.push_back(whole), of->answers.push_back(took);
    if (end == End::kRefused) ++of->shed, of->refusals.push_back(took);
  });
  if (end == End::kRefused) ++second(at).refused;
  if (end != End::kGood) return;
  ++second(at).good;
  second(at).latencies.push_back(took);
  if (at - last_good_ >= 0.2) gaps_.emplace_back(last_good_, at);
  last_good_ = at;
}

void CrowdReport::Write(std::ostream& out, Tally* tally, double length) {
  out << "{\"from\": " << tally->from << ", \"to\": " << std::min(tally->to, length)
      << ", \"classes\": {";
  for (std::size_t i = 0; i < names_.size(); ++i) {
    Tally::OfClass& of = tally->classes[i];
    out << (i > 0 ? ", " : "") << "\"" << names_[i] << "\": {\"came\": " << of.came
        << ", \"asks\": " << of.asks << ", \"shed\": " << of.shed << ", \"leaked\": " << of.leaked
        << ", \"answers\": " << of.answers.size();
    for (std::size_t end = 0; end < kEnds.size(); ++end) {
      out << ", \"" << kEnds[end] << "\": " << of.users[end];
    }
    const auto times = [&](const char* name, std::vector<float>* values) {
      for (const int share : {50, 95, 99, 100}) {
        out << ", \"" << name << share << "\": " << 1000 * Quantile(values, share / 100.0);
      }
    };
    times("p", &of.good);
    times("ask_p", &of.answers);
    times("refusal_p", &of.refusals);
    out << "}";
  }
  out << "}}";
}

void CrowdReport::Write(std::ostream& out, double length) {
  out << "{\"opened\": " << opened_ << ", \"stale\": " << stale_
      << ", \"late_p95_ms\": " << 1000 * Quantile(&late_, 0.95) << ", \"seconds\": [";
  const char* comma = "";
  for (Second& each : seconds_) {
    out << std::exchange(comma, ", ") << "{\"came\": " << each.came << ", \"asks\": " << each.asks
        << ", \"good\": " << each.good << ", \"refused\": " << each.refused
        << ", \"open\": " << each.open << ", \"p50\": " << 1000 * Quantile(&each.latencies, 0.5)
        << ", \"p95\": " << 1000 * Quantile(&each.latencies, 0.95) << "}";
  }
  out << "], \"gaps\": [";
  comma = "";
  for (const auto& [from, to] : gaps_) {
    out << std::exchange(comma, ", ") << "[" << from << ", " << to << "]";
  }
  out << "], \"whole\": ";
  Write(out, &tallies_[0], length);
  out << ", \"windows\": [";
  for (std::size_t i = 1; i < tallies_.size(); ++i) {
    if (i > 1) out << ", ";
    Write(out, &tallies_[i], length);
  }
  out << "]}";
}

}  // namespace spillway::surge
