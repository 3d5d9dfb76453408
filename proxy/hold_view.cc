// SPDX-License-Identifier: MIT
#include "proxy/hold_view.h"

#include <string>
#include <string_view>

namespace spillway {
namespace {

std::string_view HoldStateName(HoldView::State state) {
  constexpr std::string_view kNames[] = {"up", "suspected", "down", "returning"};
  return kNames[static_cast<std::size_t>(state)];
}

}  // namespace

Json ViewHold(const Pool& pool, TimePoint now) {
  if (pool.hold() == nullptr) return nullptr;
  const HoldView view = pool.hold()->View(now);
  Json json;
  json["state"] = HoldStateName(view.state);
  json["down_for_seconds"] = std::chrono::duration<double>(view.lasted).count();
  Json& held = json["held"] = Json::object();
  for (std::size_t i = 0; i < kTrafficClasses; ++i)
    held[std::string(kTrafficClassNames[i])] = view.held[i];
  json["bytes"] = view.bytes;
  json["outages"] = view.outages;
  json["entered"] = view.entered;
  json["released"] = view.released;
  json["given_up"] = view.given_up;
  json["turned_away"] = view.turned_away;
  return json;
}

Json ViewHolds(const Generation& generation, TimePoint now) {
  Json list = Json::array();
  for (const std::shared_ptr<Pool>& pool : generation.pools) {
    Json json = ViewHold(*pool, now);
    if (json.is_null()) continue;
    if (json["state"] == "up" && json["outages"] == 0 && json["entered"] == 0) continue;
    json["name"] = pool->config().name;
    list.push_back(std::move(json));
  }
  return list;
}

Json ViewHoldConfig(const HoldConfig& config) {
  if (!config.on) return "off";
  return {{"for", FormatDuration(config.time)},
          {"max", config.max},
          {"bytes", config.bytes.count},
          {"from", TrafficClassName(config.from)}};
}

}  // namespace spillway
