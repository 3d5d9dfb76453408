// SPDX-License-Identifier: MIT
// Keeps the toggles on the control loop: their time limits, the files that switch them, the state
// file, and a log line for every change. What the states mean is in proxy/toggles.h.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/loop.h"
#include "proxy/state_file.h"
#include "proxy/toggles.h"
#include "spillway/config.h"
#include "spillway/result.h"

namespace spillway {

// Belongs to its loop's thread.
class ToggleKeeper {
 public:
  using Changed = std::function<void(std::size_t index, bool on)>;
  // REQUIRES: loop outlives it. `changed` is told of every state that changes after Configure.
  ToggleKeeper(Loop& loop, Changed changed);

  // The toggles of a configuration that is put in force; its caller takes the states from toggles()
  // afterwards. The first time the state file is read, a bad one is a warning; unless the process
  // before this one has `handed` its state.
  void Configure(const Config& config, std::optional<State> handed = std::nullopt);
  // Another process goes on with the state: it is written no more.
  void LetGo();
  State Saved() const { return {toggles_.Saved()}; }

  Result<void> Set(std::string_view name, bool on, std::optional<Duration> hold,
                   std::string_view cause, std::string_view reason);
  void Signal(int signal);  // a signal that no toggle is bound to is only logged

  const Toggles& toggles() const { return toggles_; }

 private:
  static constexpr Duration kFileInterval = std::chrono::seconds(1);
  std::vector<ToggleChange> LookAtFiles();
  void Announce(const std::vector<ToggleChange>& changes);
  void OnExpiry();
  void OnFileTimer();
  void ArmExpiry();
  void Save();

  Loop& loop_;
  const Changed changed_;
  Toggles toggles_;
  std::vector<std::string> files_;  // as toggles; empty: none
  std::string state_file_;
  bool configured_ = false;
  Deadline expiry_, file_timer_;
};

}  // namespace spillway
