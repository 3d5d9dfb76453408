// SPDX-License-Identifier: MIT
// What rules may ask of the world beyond a request, as one worker knows it.
//
// Thread rule: the worker's loop thread; made for one call of Decide.
#pragma once

#include "proxy/worker_context.h"
#include "spillway/surroundings.h"

namespace spillway {

class WorkerSurroundings final : public Surroundings {
 public:
  WorkerSurroundings(LocalGeneration& generation, TimePoint now)
      : generation_(generation), now_(now) {}

  std::optional<PoolState> Pool(std::uint32_t pool) const override {
    return generation_.pools[pool].State(now_);
  }

 private:
  LocalGeneration& generation_;
  const TimePoint now_;
};

}  // namespace spillway
