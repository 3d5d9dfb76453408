// SPDX-License-Identifier: MIT
// What a crowd did and what came of it: by class, over the whole time and over windows of it, and by
// second. Told in one line of JSON, in milliseconds.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace spillway::surge {

// What became of a user, or of one of his asks.
enum class End : std::uint8_t { kGood, kRefused, kLeft, kReset, kStatus, kNoRoom };
inline constexpr std::array<const char*, 6> kEnds = {"good",  "refused", "left",
                                                     "reset", "status",  "no_room"};

// Where something is counted: the whole time, or a window of it. Users count where they came, answers
// where they were given.
struct Tally {
  struct OfClass {
    std::array<std::uint64_t, kEnds.size()> users{};  // how it ended for them
    std::uint64_t came = 0, asks = 0, shed = 0, leaked = 0;
    std::vector<float> good;     // since he came
    std::vector<float> answers;  // the good ones, since he asked
    std::vector<float> refusals;
  };
  double from = 0, to = 1e9;
  std::vector<OfClass> classes;
  bool has(double at) const { return at >= from && at < to; }
};

struct Second {
  std::uint32_t came = 0, asks = 0, good = 0, refused = 0;
  std::size_t open = 0;
  std::vector<float> latencies;
};

// Times are in seconds, since the crowd began.
class CrowdReport {
 public:
  void AddClass(std::string name) { names_.push_back(std::move(name)); }
  void AddWindow(double from, double to);
  // Once all of both are there.
  void Begin();

  // Does `action` to each tally of the class that has this moment.
  template <class Do>
  void Count(std::uint32_t of_class, double at, Do action) {
    for (Tally& tally : tallies_) {
      if (tally.has(at)) action(&tally.classes[of_class]);
    }
  }
  Second& second(double at) {
    const auto index = static_cast<std::size_t>(std::max(0.0, at));
    if (seconds_.size() <= index) seconds_.resize(index + 1);
    return seconds_[index];
  }
  void Late(double seconds) { late_.push_back(static_cast<float>(seconds)); }
  void Opened() { ++opened_; }
  void Stale() { ++stale_; }
  // One was answered `took` after he asked, and `whole` after he came.
  void Answered(std::uint32_t of_class, End end, bool leaked, double at, float took, float whole);
  // `length`: for how long users came.
  void Write(std::ostream& out, double length);

 private:
  void Write(std::ostream& out, Tally* tally, double length);

  std::vector<std::string> names_;
  std::vector<Tally> tallies_{1};  // the first: of the whole time
  std::vector<Second> seconds_;
  std::uint64_t opened_ = 0, stale_ = 0;
  std::vector<float> late_;
  std::vector<std::pair<double, double>> gaps_;  // times without a good answer, of 200 ms and more
  double last_good_ = 0;
};

}  // namespace spillway::surge
