// SPDX-License-Identifier: MIT
// The signals that this process treats, each blocked until it is watched, and for good again at the
// end. Thread rule: the control thread.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "proxy/loop.h"

namespace spillway {

class WatchedSignals {
 public:
  explicit WatchedSignals(Loop& loop) : loop_(loop) {}

  // A watch stays once it is there, with what it was made with first: a signal that no toggle is bound
  // to any more must not kill.
  void Watch(int signal, std::function<void()> delivered);
  // From here on they wait, in vain: without its watch each would end the process its own way.
  void Hold();

 private:
  Loop& loop_;
  std::map<int, std::unique_ptr<SignalWatch>> watches_;
};

}  // namespace spillway
