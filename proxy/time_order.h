// SPDX-License-Identifier: MIT
// Puts what comes nearly in order of its time into it: a line is written when its request is over,
// and tells when it began. The earliest of those that wait is given out when there are kMost of
// them, or kMostBytes; what comes later than that is out of order still. Equal times keep their
// order. Thread rule: one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proxy/log_line.h"

namespace spillway {

// A line and what it was read as; its views are good as long as nothing is changed.
struct HeldLine {
  std::string text, scratch;
  LogLine line;
  std::size_t source = 0;    // which log it is of,
  std::uint64_t number = 0;  // and which line there
  bool query = false;        // that log tells queries
};

class TimeOrder {
 public:
  static constexpr std::size_t kMost = 8192;
  static constexpr std::size_t kMostBytes = 32 * 1024 * 1024;

  // A line to fill.
  std::unique_ptr<HeldLine> Spare() {
    if (spare_.empty()) return std::make_unique<HeldLine>();
    std::unique_ptr<HeldLine> line = std::move(spare_.back());
    spare_.pop_back();
    return line;
  }
  void Put(std::unique_ptr<HeldLine> line) {
    bytes_ += line->text.size();
    waiting_.push_back({line->line.request.time, next_++, std::move(line)});
    std::push_heap(waiting_.begin(), waiting_.end(), Later);
  }
  bool full() const { return waiting_.size() >= kMost || bytes_ >= kMostBytes; }
  bool empty() const { return waiting_.empty(); }
  std::size_t size() const { return waiting_.size(); }
  // The earliest. REQUIRES: not empty.
  std::unique_ptr<HeldLine> Take() {
    std::pop_heap(waiting_.begin(), waiting_.end(), Later);
    std::unique_ptr<HeldLine> line = std::move(waiting_.back().line);
    waiting_.pop_back();
    bytes_ -= line->text.size();
    return line;
  }
  // For the next one to be filled.
  void GiveBack(std::unique_ptr<HeldLine> line) {
    if (line->text.capacity() + line->scratch.capacity() <= kWorthKeeping) {
      spare_.push_back(std::move(line));
    }
  }

 private:
  static constexpr std::size_t kWorthKeeping = 4096;
  struct Waiting {
    WallTime time;
    std::uint64_t number;
    std::unique_ptr<HeldLine> line;
  };
  static bool Later(const Waiting& a, const Waiting& b) {
    return a.time != b.time ? a.time > b.time : a.number > b.number;
  }

  std::vector<Waiting> waiting_;  // a heap, the earliest first
  std::vector<std::unique_ptr<HeldLine>> spare_;
  std::uint64_t next_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace spillway
