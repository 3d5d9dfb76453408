// SPDX-License-Identifier: MIT
// Asks DNS about robots: a resolver apart from that of pools, which must not wait behind whoever
// pretends to be a robot. Made when it is first needed. Thread rule: the control thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/bot_lookup.h"
#include "proxy/loop.h"
#include "proxy/resolver.h"
#include "spillway/address.h"

namespace spillway {

class BotResolver {
 public:
  explicit BotResolver(Loop& loop) : loop_(loop) {}

  // Asks these from now on; none: those of the system. Whether they are others than before: then
  // what is under way has no answer.
  bool Use(const std::vector<std::string>& nameservers);
  void LookUp(const IpAddress& client, const std::vector<std::string>& domains,
              std::function<void(BotAnswer)> done);

 private:
  Loop& loop_;
  std::vector<std::string> nameservers_;
  std::unique_ptr<Resolver> resolver_;
};

}  // namespace spillway
