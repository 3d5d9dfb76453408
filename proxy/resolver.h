// SPDX-License-Identifier: MIT
// Host names to addresses without blocking: the door of c-ares. /etc/hosts, search domains, A and
// AAAA; and addresses to host names, by PTR. The system's settings (/etc/resolv.conf) are read when the resolver is made.
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
  // The shortest of the records', held between 1 s and 1 h; 30 s for names from /etc/hosts, 1 h for
  // literal addresses.
  Duration ttl{0};
};

// Belongs to its loop's thread.
class Resolver {
 public:
  // `servers` replaces the system's: "192.0.2.1:53,[2001:db8::1]:53". Throws std::runtime_error
  // when c-ares cannot begin (no memory, malformed servers).
  explicit Resolver(Loop& loop, const std::string& servers = "");
  ~Resolver();  // callbacks of what is under way are not called any more
  // Calls `done` once: within the call for a literal address, otherwise later on the loop. `done`
  // may destroy the resolver. The error is the bare reason ("Domain name not found").
  void Resolve(const std::string& name, std::function<void(Result<Resolved>)> done);
  // The addresses of a full name (no search domain is tried) that are like `like`, all IPv4 or all
  // IPv6. That there are none is an answer: none, and a ttl of 0. An error says that nobody answered.
  void ResolveFull(const std::string& name, const IpAddress& like,
                   std::function<void(Result<Resolved>)> done);
  // The names of an address, at most 64, by DNS alone. As above: none is an answer.
  void FindNames(const IpAddress& address,
                 std::function<void(Result<std::vector<std::string>>)> done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway
