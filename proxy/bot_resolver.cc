// SPDX-License-Identifier: MIT
#include "proxy/bot_resolver.h"

#include <stdexcept>
#include <utility>

#include "proxy/log.h"

namespace spillway {

bool BotResolver::Use(const std::vector<std::string>& nameservers) {
  if (nameservers_ == nameservers) return false;
  nameservers_ = nameservers;
  resolver_.reset();
  return true;
}

void BotResolver::LookUp(const IpAddress& client, const std::vector<std::string>& domains,
                         std::function<void(BotAnswer)> done) {
  if (!resolver_) {
    std::string servers;
    for (const std::string& one : nameservers_) servers += (servers.empty() ? "" : ",") + one;
    try {
      resolver_ = std::make_unique<Resolver>(loop_, servers);
    } catch (const std::runtime_error& error) {
      log::Warning("cannot ask DNS about robots: {}", error.what());
      return done({BotCheck::kUnknown});
    }
  }
  LookUpBot(*resolver_, client, domains, std::move(done));
}

}  // namespace spillway
