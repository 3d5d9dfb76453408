// SPDX-License-Identifier: MIT
#include "proxy/check.h"

#include <fmt/format.h>

#include "proxy/admin.h"
#include "proxy/challenge_gate.h"
#include "proxy/files.h"
#include "proxy/stream.h"

namespace spillway {
namespace {

// What certificates, the challenge key and the admin token have wrong with them; empty: nothing.
std::string CheckFiles(const Config& config) {
  std::string wrong;
  for (const ListenerConfig& listener : config.listeners) {
    if (!listener.tls) continue;
    if (const auto tls = TlsContext::Create(*listener.tls); !tls) {
      wrong += fmt::format("listener {}: {}\n", listener.address.text, tls.error().message);
    }
  }
  if (const auto state = MakeChallengeState(config.challenge, nullptr); !state) {
    wrong += state.error().message + "\n";
  }
  if (config.admin.address) {
    if (const auto guard = MakeAdminGuard(config.admin); !guard)
      wrong += guard.error().message + "\n";
  }
  return wrong;
}

}  // namespace

Result<std::string> CheckConfig(const std::string& path, const Environment& environment) {
  const auto config = LoadConfig(path, SystemFiles(), environment);
  if (!config) return Fail(Format(config.error()));
  if (std::string wrong = CheckFiles(*config); !wrong.empty()) return Fail(std::move(wrong));
  return Summarise(*config);
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
