// SPDX-License-Identifier: MIT
// What rules may ask of the world beyond a request, as one worker knows it.
//
// Thread rule: the worker's loop thread; made for one call of Decide.
#pragma once

#include <optional>

#include "proxy/bot_checks.h"
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
  std::optional<BotCheck> VerifiedBot(const Request& request) const override {
    const Generation& shared = *generation_.shared;
    if (shared.bots == nullptr) return std::nullopt;
    const BotConfig* bot = ClaimedBot(shared.config.bots.known, request);
    if (bot == nullptr) return BotCheck::kNone;
    // Once for a request, so that all that is said of it is the same.
    if (!bot_) bot_ = shared.bots->Ask(request.client, *bot, now_);
    return bot_;
  }
  // What it was told, if it was asked: of who claims to be one.
  std::optional<BotCheck> bot() const { return bot_; }
  std::optional<PoolState> Pool(std::uint32_t pool) const override {
    PoolState state = generation_.pools[pool].State(now_);
    Apdex::Sum sum;
    for (const auto& worker : generation_.shared->pool_counters)
      worker[pool]->apdex.AddTo(&sum, now_);
    state.apdex = sum.percent();
    return state;
  }

 private:
  LocalGeneration& generation_;
  const TimePoint now_;
  mutable std::optional<BotCheck> bot_;
};

}  // namespace spillway
