// SPDX-License-Identifier: MIT
#include "proxy/check.h"

#include <fmt/format.h>

#include "proxy/trial_files.h"

namespace spillway {

Result<Checked> CheckConfig(const std::string& path, const Environment& environment) {
  const auto config = LoadConfig(path, TrialFiles(), environment);
  if (!config) return Fail(Format(config.error()));
  return Checked{Summarise(*config), Format(config->warnings)};
}

std::string Summarise(const Config& config) {
  const auto count = [](std::size_t n, const char* what) {
    return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
  };
  return count(config.policy->rules().size(), "rule") + ", " + count(config.pools.size(), "pool") +
         ", " + count(config.policy->limits().size(), "limit") + ", " +
         count(config.toggles.size(), "toggle") + ", " + count(config.listeners.size(), "listener");
}

}  // namespace spillway
