// SPDX-License-Identifier: MIT
// What the admin side may see and do: the few verbs of the running server, so that the admin API
// can be tested without one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/counters.h"
#include "proxy/receipts.h"
#include "spillway/result.h"
#include "spillway/units.h"

namespace spillway {

struct Generation;

struct ToggleStatus {
  std::string name, description;
  bool on = false;
  std::string cause;   // "default", "signal USR1", "admin", "file", "expired"
  std::string reason;  // what whoever flipped it said
  WallTime since;
  std::optional<WallTime> until;  // switched off then (for, max_on)
};

struct ReloadStatus {
  bool ok = true;
  WallTime when;
  std::string error;                        // all diagnostics, when it failed
  std::uint64_t succeeded = 0, failed = 0;  // since the start
};

// Belongs to the control thread.
class AdminControls {
 public:
  virtual ~AdminControls() = default;

  virtual Result<void> Reload(std::string_view who) = 0;
  // The file that a reload would read, checked without applying it: a summary, or all that is
  // wrong.
  virtual Result<std::string> Check() const = 0;
  virtual Result<void> SetToggle(const std::string& name, bool on, std::optional<Duration> hold,
                                 std::string_view cause, std::string_view reason) = 0;
  virtual void Drain(std::string_view who) = 0;

  virtual bool ready() const = 0;  // accepting, and not draining
  virtual bool draining() const = 0;
  virtual const Generation& generation() const = 0;
  virtual std::vector<ToggleStatus> toggles() const = 0;
  // How often each toggle was flipped, by name and cause.
  virtual const std::map<std::pair<std::string, std::string>, std::uint64_t>& toggle_flips()
      const = 0;
  virtual const ReloadStatus& reload_status() const = 0;
  virtual std::vector<const WorkerCounters*> counters() const = 0;
  // What is kept of a refusal with exactly this id.
  virtual ReceiptSearch FindReceipt(const std::string& id) const = 0;
  // That of this number if something under way still goes by it, or the one in force if that has the
  // same configuration; null: it is gone.
  virtual std::shared_ptr<const Generation> FindGeneration(std::uint64_t number) const = 0;
  virtual std::uint64_t kept_upstream_connections() const = 0;
  virtual std::vector<std::string> listening() const = 0;  // real addresses, "127.0.0.1:8080"
  virtual std::uint64_t access_log_dropped() const = 0;
  virtual TimePoint now() const = 0;
  virtual TimePoint started() const = 0;
  virtual WallTime wall_now() const = 0;
};

}  // namespace spillway
