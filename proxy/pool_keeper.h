// SPDX-License-Identifier: MIT
// Keeps pools up to date from the control thread: resolves names by their TTL, checks health, and
// keeps endpoints (with their health and connections) across reloads.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proxy/loop.h"
#include "proxy/resolver.h"
#include "proxy/upstream.h"
#include "spillway/config.h"

namespace spillway {

class PoolKeeper {
 public:
  PoolKeeper(Loop& loop, Resolver& resolver);
  ~PoolKeeper();

  // Pools for a new configuration. Endpoints with the same address text are shared with the pools in
  // force. Addresses are there at once; names follow as they resolve (a name known already, at once).
  std::vector<std::shared_ptr<Pool>> Build(std::span<const PoolConfig> configs);
  // Puts them in force: health checks and re-resolution are done for these from now on.
  void Adopt(std::vector<std::shared_ptr<Pool>> pools);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway
