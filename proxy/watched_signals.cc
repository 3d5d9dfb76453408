// SPDX-License-Identifier: MIT
#include "proxy/watched_signals.h"

#include <signal.h>

#include <utility>

namespace spillway {

void WatchedSignals::Watch(int signal, std::function<void()> delivered) {
  if (watches_.count(signal) != 0) return;
  watches_[signal] = std::make_unique<SignalWatch>(loop_, signal, std::move(delivered));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void WatchedSignals::Hold() {
  sigset_t set;
  sigemptyset(&set);
  for (const auto& [signal, watch] : watches_) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace spillway
