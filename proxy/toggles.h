// SPDX-License-Identifier: MIT
// The states of the toggles: on or off, since when, why, and until when. Every change is a value
// that is returned; telling workers, the log and the state file of it is the server's part.
//
// Reads no clock and no file: times and what was seen are arguments. Belongs to the control thread.
// Memory: one entry for each configured toggle, and one count for each of its causes (a handful).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/admin_controls.h"
#include "spillway/config.h"
#include "spillway/result.h"
#include "spillway/units.h"

namespace spillway {

// Bytes of what whoever flips a toggle says; it is kept, shown and logged.
inline constexpr std::size_t kLongestReason = 500;

// What outlives a restart.
struct SavedToggle {
  std::string name;
  bool on = false;
  std::string cause, reason;
  WallTime since;
  std::optional<WallTime> until;
  std::optional<bool> file_seen;  // whether its file was there when last looked
};

struct ToggleChange {
  std::size_t index = 0;  // as configured
  bool flipped = false;   // false: it was so already; cause, reason and time limit are new
  ToggleStatus status;    // after it
};

class Toggles {
 public:
  // The toggles of a configuration. Those known by name keep their state; new ones take it from
  // `saved`, or else begin as their `default` says. A saved `until` that has passed makes it off
  // ("expired").
  void Configure(std::span<const ToggleConfig> configs, std::span<const SavedToggle> saved,
                 WallTime now);

  // `hold`: switched off after so long; only with on. max_on bounds it. A reason longer than
  // kLongestReason is refused. The error says what is wrong.
  Result<ToggleChange> Set(std::string_view name, bool on, std::optional<Duration> hold,
                           std::string_view cause, std::string_view reason, WallTime now);
  // Every toggle that this signal is bound to.
  std::vector<ToggleChange> Signal(int signal, WallTime now);
  // Switches off those whose time is over.
  std::vector<ToggleChange> Expire(WallTime now);
  // When Expire should be called next.
  std::optional<WallTime> next_expiry() const;
  // A look at the toggle's file: it counts when that differs from the last look, so that a flip by
  // hand holds until the file comes or goes again. The first look of all counts when there is a
  // file, or when the toggle was on because of one.
  std::optional<ToggleChange> FileSeen(std::size_t index, bool exists, WallTime now);

  std::vector<ToggleStatus> Statuses() const;
  std::vector<SavedToggle> Saved() const;
  std::vector<bool> States() const;
  const std::map<std::pair<std::string, std::string>, std::uint64_t>& flips() const {
    return flips_;  // by name and cause
  }

 private:
  struct Entry {
    ToggleConfig config;
    ToggleStatus status;
    std::optional<bool> file_seen;
  };
  ToggleChange Change(std::size_t index, bool on, std::optional<Duration> hold,
                      std::string_view cause, std::string_view reason, WallTime now);
  std::optional<std::size_t> Find(std::string_view name) const;
  std::vector<Entry> entries_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> flips_;
};

// "USR1", "USR2", "RTMIN+3", "HUP".
std::string SignalName(int signal);

}  // namespace spillway
