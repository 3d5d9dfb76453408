// SPDX-License-Identifier: MIT
// Host names to addresses without blocking: the door of c-ares. /etc/hosts, search domains, A and AAAA.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/loop.h"
#include "spillway/address.h"
#include "spillway/result.h"

namespace spillway {

struct Resolved {
  std::vector<IpAddress> addresses;  // at least one, sorted, without doubles; at most 64
  Duration ttl{0};                   // the shortest of the records; 30 s for names from /etc/hosts
};

// Belongs to its loop's thread.
class Resolver {
 public:
  explicit Resolver(Loop& loop);
  ~Resolver();  // callbacks of what is under way are not called any more
  void Resolve(const std::string& name, std::function<void(Result<Resolved>)> done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway
