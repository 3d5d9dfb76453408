// SPDX-License-Identifier: MIT
// Whether a server that is new to us takes a connection: one connect, closed at once, so that a wrong address, or
// a server that was not started, is told of before the first visitor comes.
//
// Thread rule: one loop thread. Memory: a socket while the connect is under way, some 200 bytes afterwards.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "proxy/loop.h"
#include "proxy/socket.h"

namespace spillway {

class FirstContact {
 public:
  // Why there was none; the text is for the call only.
  using Failed = std::function<void(std::string_view why)>;

  // `failed` is called once at most, within `patience` and not before the constructor has returned, where nobody takes
  // connections (NobodyListens, or none within `patience`); of other faults nothing is said. It must not destroy this.
  FirstContact(Loop& loop, const KernelAddress& address, Duration patience, Failed failed);
  ~FirstContact();
  FirstContact(const FirstContact&) = delete;
  FirstContact& operator=(const FirstContact&) = delete;

 private:
  void OnReady();
  void OnTimer();
  void End();

  const Failed failed_;
  int error_ = 0;  // of a connect that failed at once
  Fd fd_;
  Deadline timer_;
  std::unique_ptr<IoWatch> watch_;  // not null: the connect is under way
};

}  // namespace spillway
