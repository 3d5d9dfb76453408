// SPDX-License-Identifier: MIT
// Keeps pools up to date from the control thread: resolves names by their TTL, checks health, and
// keeps endpoints (with their health and connections) across reloads.
//
// A name that cannot be resolved keeps the addresses it had, and is tried again after 1 s, 2 s, ...
// 30 s. Memory: one entry for each address in use (at most 64 for each name) and for each name.
#pragma once

#include <functional>
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
  using Resolve =
      std::function<void(const std::string& name, std::function<void(Result<Resolved>)>)>;

  PoolKeeper(Loop& loop, Resolver& resolver);
  PoolKeeper(Loop& loop, Resolve resolve);  // names by other means; it may answer within the call
  ~PoolKeeper();                            // answers that come later are ignored

  // Pools for a new configuration. Endpoints with the same address text, and the same settings of
  // TLS, are shared with the pools in force under the same pool name. Addresses are there at once; names follow after Adopt as
  // they resolve (a name known already, at once). A pool that would be without any until then
  // begins with the members of the pool in force of its name, so that a move to a new name loses no
  // request.
  // `tls` has a context for each configuration, null for those without TLS; empty: for none.
  std::vector<std::shared_ptr<Pool>> Build(
      std::span<const PoolConfig> configs,
      std::span<const std::shared_ptr<const TlsClientContext>> tls = {});
  // Puts them in force: health checks and re-resolution are done for these from now on.
  void Adopt(std::vector<std::shared_ptr<Pool>> pools);
  // True once every name in force was answered at least once, well or badly.
  bool settled() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace spillway
