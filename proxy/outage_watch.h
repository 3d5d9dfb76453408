// SPDX-License-Identifier: MIT
// Looks for the end of one pool's outage, so that it is known within some 50 ms of a server's return:
// while it lasts, each server is sent a connect every 40 ms if somebody is held or was refused in the
// last seconds, else every 250 ms; where there are health checks, one is made as soon as that succeeds.
//
// Thread rule: the control thread's loop. Memory: one connect for each server under way.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "proxy/loop.h"
#include "proxy/upstream.h"

namespace spillway {

class OutageWatch {
 public:
  // Makes a health check of it at once, and says how it went; false when it has none.
  using Check = std::function<bool(Endpoint&, std::function<void(bool well)>)>;

  OutageWatch(Loop& loop, std::shared_ptr<Pool> pool, Check check);
  ~OutageWatch();
  OutageWatch(const OutageWatch&) = delete;
  OutageWatch& operator=(const OutageWatch&) = delete;

  // An outage has begun, or somebody asks again while it lasts.
  void Begin();

 private:
  class Probe;
  void OnTimer();
  void Found(Endpoint& endpoint);
  void Missed(Endpoint& endpoint, bool refused);

  Loop& loop_;
  const std::shared_ptr<Pool> pool_;
  const Check check_;
  Deadline timer_;
  std::vector<std::unique_ptr<Probe>> probes_;  // by server; kept for the outage
};

}  // namespace spillway
