// SPDX-License-Identifier: MIT
// The whole running proxy, seen from its control thread: loads and swaps generations, holds
// toggles, starts and drains workers. Signals, the admin endpoint and files all end up in these few
// verbs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/admin_controls.h"
#include "proxy/loop.h"
#include "proxy/service_manager.h"
#include "spillway/config.h"
#include "spillway/result.h"

namespace spillway {

// Belongs to the control thread. Signals that it treats (HUP, TERM, INT, USR1, USR2 and what
// toggles are bound to) should be blocked before it is made: Start unblocks each once it is
// watched.
class Server : public AdminControls {
 public:
  struct Options {
    std::string config_path;  // empty: environment alone
    Environment environment;
    std::uint64_t seed = 0;  // from the system's randomness, read in main.cc
    ServiceManager manager = {};
  };
  Server(Loop& loop, Options options);
  ~Server() override;  // cuts what is under way

  // Loads, listens, starts the workers. The error is what to print before exit 1.
  Result<void> Start();
  // Loads anew and swaps; on error nothing changes and the error says why. `who` is for the log.
  Result<void> Reload(std::string_view who) override;
  Result<std::string> Check() const override;
  Result<void> SetToggle(const std::string& name, bool on, std::optional<Duration> hold,
                         std::string_view cause, std::string_view reason) override;
  // Readiness fails at once; after shutdown.delay nothing new is accepted; when what is under way
  // has ended, or shutdown.timeout is over, the loop stops and Run returns.
  void Drain(std::string_view who) override;
  void Quit();  // at once

  bool ready() const override;  // accepting, names looked up once, and not draining
  bool draining() const override;
  const Generation& generation() const override;
  std::vector<ToggleStatus> toggles() const override;
  const std::map<std::pair<std::string, std::string>, std::uint64_t>& toggle_flips() const override;
  const ReloadStatus& reload_status() const override;
  std::vector<const WorkerCounters*> counters() const override;
  ReceiptSearch FindReceipt(const std::string& id) const override;
  std::shared_ptr<const Generation> FindGeneration(std::uint64_t number) const override;
  std::uint64_t kept_upstream_connections() const override;
  std::vector<std::string> listening() const override;  // real addresses, "127.0.0.1:8080"
  std::uint64_t access_log_dropped() const override;
  TimePoint now() const override;
  TimePoint started() const override;
  WallTime wall_now() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway
