// SPDX-License-Identifier: MIT
#include "proxy/culprits.h"

#include <algorithm>

#include "proxy/log.h"

namespace spillway {
namespace {

// Null: it is not among them.
const CappedRoute* Find(const std::vector<CappedRoute>& routes, std::string_view name) {
  const auto found = std::find_if(routes.begin(), routes.end(),
                                  [&](const CappedRoute& each) { return each.name == name; });
  return found != routes.end() ? &*found : nullptr;
}

}  // namespace

std::string CulpritName(const CappedRoute& route) {
  return log::Escape(route.name);
}

std::string_view CulpritReason(const CappedRoute& route) {
  return route.hangs ? "hangs" : "share";
}

void LogCulprits(std::string_view pool, const std::vector<CappedRoute>& before,
                 const std::vector<CappedRoute>& now) {
  for (const CappedRoute& one : now) {
    const CappedRoute* then = Find(before, one.name);
    if (then != nullptr && then->hangs == one.hangs) continue;
    log::Warning("pool {}: {} is held to {} places: {}", pool, CulpritName(one), one.allowed,
                 one.hangs ? "its requests hang"
                           : "it has far more than its share of them while others wait");
  }
  for (const CappedRoute& one : before) {
    if (Find(now, one.name) == nullptr)
      log::Info("pool {}: {} is held back no more", pool, CulpritName(one));
  }
}

}  // namespace spillway
