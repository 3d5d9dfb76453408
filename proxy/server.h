// SPDX-License-Identifier: MIT
// The whole running proxy, seen from its control thread: loads and swaps generations, holds toggles,
// starts and drains workers. Signals, the admin endpoint and files all end up in these few verbs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/loop.h"
#include "spillway/config.h"
#include "spillway/result.h"

namespace spillway {

struct Generation;
struct WorkerCounters;

struct ToggleStatus {
  std::string name, description;
  bool on = false;
  std::string cause;               // "default", "signal USR1", "admin", "file", "state file", "expired"
  std::string reason;              // what whoever flipped it said
  WallTime since;
  std::optional<WallTime> until;   // switched off then (for, max_on)
};

struct ReloadStatus {
  bool ok = true;
  WallTime when;
  std::string error;               // all diagnostics, when it failed
  std::uint64_t succeeded = 0, failed = 0;  // since the start
};

// Belongs to the control thread.
class Server {
 public:
  struct Options {
    std::string config_path;       // empty: environment alone
    Environment environment;
    std::uint64_t seed = 0;        // from the system's randomness, read in main.cc
  };
  Server(Loop& loop, Options options);
  ~Server();

  // Loads, listens, starts the workers. The error is what to print before exit 1.
  Result<void> Start();
  // Loads anew and swaps; on error nothing changes and the error says why. `who` is for the log.
  Result<void> Reload(std::string_view who);
  Result<void> SetToggle(const std::string& name, bool on, std::optional<Duration> hold,
                         std::string_view cause, std::string_view reason);
  Result<void> FlipToggle(const std::string& name, std::string_view cause);
  void Drain(std::string_view who);   // then the loop stops and Run returns 0
  void Quit();                        // at once

  bool ready() const;                 // accepting, and not draining
  bool draining() const;
  const Generation& generation() const;
  std::vector<ToggleStatus> toggles() const;
  const ReloadStatus& reload_status() const;
  std::vector<const WorkerCounters*> counters() const;
  std::vector<std::string> listening() const;  // real addresses, "127.0.0.1:8080"
  std::uint64_t access_log_dropped() const;
  TimePoint started() const;
  Loop& loop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway
