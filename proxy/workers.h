// SPDX-License-Identifier: MIT
// All workers of a process, as the control thread speaks to them.
//
// Thread rule: the control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/worker.h"

namespace spillway {

class Workers {
 public:
  Workers() = default;
  ~Workers();  // stops them
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Starts `count` of them. REQUIRES: access_log and places outlive them. Of `seed` each gets
  // random numbers, and request ids that tell nothing of these.
  void Start(std::size_t count, AccessLog& access_log, ConnectionPlaces& places,
             std::uint64_t seed);
  std::size_t size() const { return workers_.size(); }

  // Both return when every worker judges by what they said: an answer to who ordered it then says
  // the truth. A worker that takes kPatience for its turn is not waited for any longer.
  // `added` has an entry for each worker: listeners that it begins to accept from.
  void Adopt(const std::shared_ptr<const Generation>& generation, const std::vector<bool>& toggles,
             std::vector<std::vector<WorkerListener>> added);
  void SetToggle(std::uint64_t generation, std::uint32_t toggle, bool on);
  static constexpr Duration kPatience = 500ms;

  void Drain(const std::function<void()>& drained);  // called once by each, on its thread
  void Stop();                                       // at once; returns when all have ended

  // The newest receipt with this id. A worker that is busy is waited for as above, and then left out.
  ReceiptSearch FindReceipt(const std::string& id) const;

  std::vector<const WorkerCounters*> counters() const;
  std::uint64_t kept_upstream_connections() const;

 private:
  void AwaitTurns();

  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace spillway
