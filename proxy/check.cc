// SPDX-License-Identifier: MIT
#include "proxy/check.h"

#include <fmt/format.h>

#include "proxy/trial_files.h"

namespace spillway {

Result<Checked> CheckConfig(const std::string& path, const Environment& environment) {
  const auto config = LoadConfig(path, TrialFiles(), environment);
  if (!config) return Fail(Format(config.error()));
  return Checked{Summarise(*config), Format(config->warnings), !config->tests.empty()};
}

tl::expected<Config, Diagnostics> LoadTested(const std::string& path,
                                             const Environment& environment) {
  auto config = LoadConfig(path, TrialFiles(), environment);
  if (!config) return config;
  if (Diagnostics failures = RunRuleTests(*config); !failures.empty()) {
    return tl::unexpected<Diagnostics>(std::move(failures));
  }
  return config;
}

Result<Checked> CheckReload(const std::string& path, const Environment& environment) {
  const auto config = LoadTested(path, environment);
  if (!config) return Fail(Format(config.error()));
  return Checked{Summarise(*config), Format(config->warnings), !config->tests.empty()};
}

Result<Tested> TestConfig(const std::string& path, const Environment& environment) {
  const auto config = LoadConfig(path, SystemFiles(), environment);
  if (!config) return Fail(Format(config.error()));
  return Tested{config->tests.size(), RunRuleTests(*config)};
}

std::string Summarise(const Config& config) {
  const auto count = [](std::size_t n, const char* what) {
    return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
  };
  return count(config.policy->rules().size(), "rule") + ", " + count(config.pools.size(), "pool") +
         ", " + count(config.policy->limits().size(), "limit") + ", " +
         count(config.toggles.size(), "toggle") + ", " +
         count(config.listeners.size(), "listener") +
         (config.tests.empty() ? "" : ", " + count(config.tests.size(), "test"));
}

}  // namespace spillway
