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

  std::optional<std::string_view> Country(const IpAddress& client) const override {
    const GeoFile* file = generation_.shared->countries.get();
    return file == nullptr ? std::nullopt : file->Country(client.Unwrapped());
  }
  std::optional<std::uint32_t> Network(const IpAddress& client) const override {
    const GeoFile* file = generation_.shared->networks.get();
    return file == nullptr ? std::nullopt : file->Network(client.Unwrapped());
  }
  std::optional<PoolState> Pool(std::uint32_t pool) const override {
    return generation_.pools[pool].State(now_);
  }

 private:
  LocalGeneration& generation_;
  const TimePoint now_;
};

}  // namespace spillway
