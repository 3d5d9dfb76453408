// SPDX-License-Identifier: MIT
#include "proxy/forecast_view.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "proxy/forecast.h"
#include "proxy/generation.h"

namespace spillway {
namespace {

// 0 .. 1, to a thousandth.
double ShareOf(std::uint64_t part, std::uint64_t all) {
  return all == 0 ? 0
                  : std::round(static_cast<double>(part) / static_cast<double>(all) * 1000) / 1000;
}

// The three with the most, each with its part of `all`.
Json ViewShares(std::vector<ForecastSum::Share> shares, std::uint64_t all) {
  std::sort(shares.begin(), shares.end(), [](const auto& a, const auto& b) {
    return a.requests != b.requests ? a.requests > b.requests : a.name < b.name;
  });
  Json list = Json::array();
  for (std::size_t i = 0; i < std::min<std::size_t>(shares.size(), 3); ++i) {
    list.push_back({{"name", shares[i].name}, {"share", ShareOf(shares[i].requests, all)}});
  }
  return list;
}

}  // namespace

Json ViewForecast(const AdminControls& server, const ToggleStatus& toggle) {
  const Generation& generation = server.generation();
  const auto toggles = generation.config.policy->toggles();
  const auto at = std::find(toggles.begin(), toggles.end(), toggle.name);
  if (toggle.on || at == toggles.end()) return {};
  ForecastSum sum;
  for (const auto& forecast : generation.forecasts) {
    forecast->AddTo(static_cast<std::uint32_t>(at - toggles.begin()), server.now(), &sum);
  }
  // Agents and paths are a sample of what would be refused.
  std::uint64_t told = 0;
  for (const ForecastSum::Share& agent : sum.agents) told += agent.requests;
  const double seconds = std::chrono::duration<double>(sum.span).count();
  const auto each_second = [&](std::uint64_t count) {
    return std::round(static_cast<double>(count) / std::max(seconds, 1.0) * 10) / 10;
  };
  return {{"seconds", std::round(seconds)},
          {"requests", sum.requests},
          {"refused", sum.refused()},
          {"share", ShareOf(sum.refused(), sum.requests)},
          {"denied_per_second", each_second(sum.deny)},
          {"limited_per_second", each_second(sum.limit)},
          {"challenged_per_second", each_second(sum.challenge)},
          {"answered_per_second", each_second(sum.answer)},
          {"clients", std::llround(sum.clients.Estimate())},
          {"with_cookie", ShareOf(sum.with_cookie, sum.refused())},
          {"agents", ViewShares(sum.agents, told)},
          {"paths", ViewShares(sum.paths, told)}};
}

}  // namespace spillway
