// SPDX-License-Identifier: MIT
#include "proxy/toggles.h"

#include <algorithm>
#include <csignal>
#include <string>

namespace spillway {
namespace {

// Causes are labels of a metric: whatever comes, it is one of these or a signal's name.
constexpr std::string_view kFileCause = "file";

template <typename List>
auto FindByName(List& list, std::string_view name) {
  return std::find_if(list.begin(), list.end(),
                      [&](const auto& item) { return item.name == name; });
}

}  // namespace

std::string SignalName(int signal) {
  switch (signal) {
    case SIGHUP:
      return "HUP";
    case SIGTERM:
      return "TERM";
    case SIGINT:
      return "INT";
    case SIGUSR1:
      return "USR1";
    case SIGUSR2:
      return "USR2";
    default:
      break;
  }
  if (signal == SIGRTMIN) return "RTMIN";
  if (signal > SIGRTMIN && signal <= SIGRTMAX) return "RTMIN+" + std::to_string(signal - SIGRTMIN);
  return std::to_string(signal);
}

void Toggles::Configure(std::span<const ToggleConfig> configs, std::span<const SavedToggle> saved,
                        WallTime now) {
  std::vector<Entry> entries;
  for (const ToggleConfig& config : configs) {
    Entry entry;
    if (const auto known = Find(config.name)) {
      entry = std::move(entries_[*known]);
      if (entry.config.file != config.file) entry.file_seen.reset();
    } else if (const auto found = FindByName(saved, config.name); found != saved.end()) {
      entry.status.on = found->on;
      entry.status.cause = found->cause;
      entry.status.reason = found->reason;
      entry.status.since = found->since;
      entry.status.until = found->on ? found->until : std::nullopt;
      entry.file_seen = found->file_seen;
    } else {
      entry.status.on = config.initial;
      entry.status.cause = "default";
      entry.status.since = now;
    }
    entry.config = config;
    entry.status.name = config.name;
    entry.status.description = config.description;
    // A max_on that is new or shorter binds from now on, also what is on already.
    if (entry.status.on && config.max_on > Duration(0)) {
      const WallTime latest = now + config.max_on;
      entry.status.until = std::min(entry.status.until.value_or(latest), latest);
    }
    entries.push_back(std::move(entry));
  }
  entries_ = std::move(entries);
  std::erase_if(flips_, [&](const auto& count) { return !Find(count.first.first); });
  Expire(now);
}

std::optional<std::size_t> Toggles::Find(std::string_view name) const {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].config.name == name) return i;
  }
  return std::nullopt;
}

ToggleChange Toggles::Change(std::size_t index, bool on, std::optional<Duration> hold,
                             std::string_view cause, std::string_view reason, WallTime now) {
  Entry& entry = entries_[index];
  ToggleStatus& status = entry.status;
  const bool flipped = status.on != on;
  if (flipped) {
    status.since = now;
    ++flips_[{status.name, std::string(cause)}];
  }
  status.on = on;
  status.cause = cause;
  status.reason = reason;
  status.until.reset();
  const Duration most = entry.config.max_on;
  if (on && most > Duration(0)) hold = std::min(hold.value_or(most), most);
  if (on && hold) status.until = now + *hold;
  return {index, flipped, status};
}

Result<ToggleChange> Toggles::Set(std::string_view name, bool on, std::optional<Duration> hold,
                                  std::string_view cause, std::string_view reason, WallTime now) {
  const auto index = Find(name);
  if (!index) return Fail("there is no toggle '" + std::string(name) + "'");
  if (hold && !on) return Fail("`for` goes with switching on, not off");
  if (reason.size() > kLongestReason) {
    return Fail("`reason` has " + std::to_string(reason.size()) + " bytes; expected at most " +
                std::to_string(kLongestReason));
  }
  if (hold && *hold <= Duration(0)) return Fail("`for` must be longer than nothing");
  return Change(*index, on, hold, cause, reason, now);
}

std::vector<ToggleChange> Toggles::Signal(int signal, WallTime now) {
  std::vector<ToggleChange> changes;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].config.signal != signal) continue;
    const bool on = !entries_[i].status.on;
    changes.push_back(Change(i, on, std::nullopt, "signal " + SignalName(signal), "", now));
  }
  return changes;
}

std::vector<ToggleChange> Toggles::Expire(WallTime now) {
  std::vector<ToggleChange> changes;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const ToggleStatus& status = entries_[i].status;
    if (!status.on || !status.until || *status.until > now) continue;
    changes.push_back(Change(i, false, std::nullopt, "expired", "", now));
  }
  return changes;
}

std::optional<WallTime> Toggles::next_expiry() const {
  std::optional<WallTime> next;
  for (const Entry& entry : entries_) {
    if (!entry.status.on || !entry.status.until) continue;
    next = next ? std::min(*next, *entry.status.until) : *entry.status.until;
  }
  return next;
}

std::optional<ToggleChange> Toggles::FileSeen(std::size_t index, bool exists, WallTime now) {
  Entry& entry = entries_[index];
  const std::optional<bool> before = entry.file_seen;
  entry.file_seen = exists;
  if (before == exists) return std::nullopt;
  if (!before && !exists && entry.status.cause != kFileCause) return std::nullopt;
  return Change(index, exists, std::nullopt, kFileCause, "", now);
}

std::vector<ToggleStatus> Toggles::Statuses() const {
  std::vector<ToggleStatus> statuses;
  for (const Entry& entry : entries_) statuses.push_back(entry.status);
  return statuses;
}

std::vector<SavedToggle> Toggles::Saved() const {
  std::vector<SavedToggle> saved;
  for (const Entry& entry : entries_) {
    const ToggleStatus& s = entry.status;
    saved.push_back({s.name, s.on, s.cause, s.reason, s.since, s.until, entry.file_seen});
  }
  return saved;
}

std::vector<bool> Toggles::States() const {
  std::vector<bool> states;
  for (const Entry& entry : entries_) states.push_back(entry.status.on);
  return states;
}

}  // namespace spillway
