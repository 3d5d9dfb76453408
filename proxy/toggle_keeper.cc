// SPDX-License-Identifier: MIT
#include "proxy/toggle_keeper.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "proxy/log.h"
#include "proxy/wall_time.h"

namespace spillway {
namespace {

// Also a dangling link is no file: a volume whose target is gone.
bool Exists(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0;
}

void LogChange(const ToggleChange& change) {
  const ToggleStatus& status = change.status;
  std::string line = "toggle " + status.name + (change.flipped ? " is now " : " stays ") +
                     (status.on ? "on" : "off");
  if (status.until) line += " until " + FormatTime(*status.until);
  line += " (" + log::Escape(status.cause) + ")";
  if (!status.reason.empty()) line += ": " + log::Escape(status.reason);
  log::Info("{}", line);
}

}  // namespace

ToggleKeeper::ToggleKeeper(Loop& loop, Changed changed)
    : loop_(loop),
      changed_(std::move(changed)),
      expiry_(loop, this, [](void* self) { static_cast<ToggleKeeper*>(self)->OnExpiry(); }),
      file_timer_(loop, this, [](void* self) { static_cast<ToggleKeeper*>(self)->OnFileTimer(); }) {
}

void ToggleKeeper::Configure(const Config& config, std::optional<State> handed) {
  State state;
  bool readable = true;
  if (handed) {
    state = std::move(*handed);
  } else if (!configured_ && !config.state_file.empty()) {
    Result<State> read = ReadStateFile(config.state_file);
    readable = read.has_value();
    if (readable) {
      state = std::move(*read);
    } else {
      log::Warning("state file ignored: {}", log::Escape(read.error().message));
    }
  }
  configured_ = true;
  state_file_ = config.state_file;
  toggles_.Configure(config.toggles, state.toggles, loop_.wall_now());
  files_.clear();
  for (const ToggleConfig& toggle : config.toggles) files_.push_back(toggle.file);
  for (const ToggleChange& change : LookAtFiles()) LogChange(change);
  // What could not be read is not overwritten before there is something new to tell.
  if (readable) Save();
  ArmExpiry();
  const bool any_file =
      std::any_of(files_.begin(), files_.end(), [](const auto& file) { return !file.empty(); });
  if (any_file) {
    file_timer_.SetAfter(kFileInterval);
  } else {
    file_timer_.Clear();
  }
}

Result<void> ToggleKeeper::Set(std::string_view name, bool on, std::optional<Duration> hold,
                               std::string_view cause, std::string_view reason) {
  Result<ToggleChange> change = toggles_.Set(name, on, hold, cause, reason, loop_.wall_now());
  if (!change) return Fail(change.error().message);
  Announce({*change});
  return {};
}

void ToggleKeeper::Signal(int signal) {
  const std::vector<ToggleChange> changes = toggles_.Signal(signal, loop_.wall_now());
  if (changes.empty()) log::Info("signal {} is bound to no toggle", SignalName(signal));
  Announce(changes);
}

std::vector<ToggleChange> ToggleKeeper::LookAtFiles() {
  std::vector<ToggleChange> changes;
  const WallTime now = loop_.wall_now();
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (files_[i].empty()) continue;
    if (auto change = toggles_.FileSeen(i, Exists(files_[i]), now)) changes.push_back(*change);
  }
  return changes;
}

void ToggleKeeper::Announce(const std::vector<ToggleChange>& changes) {
  if (changes.empty()) return;
  for (const ToggleChange& change : changes) {
    if (change.flipped) changed_(change.index, change.status.on);
    LogChange(change);
  }
  Save();
  ArmExpiry();
}

// The time limits are told in wall-clock time, so that they outlive a restart; when that clock is
// set back, the timer fires early and is armed anew.
void ToggleKeeper::OnExpiry() {
  const std::vector<ToggleChange> changes = toggles_.Expire(loop_.wall_now());
  if (changes.empty()) ArmExpiry();
  Announce(changes);
}

void ToggleKeeper::OnFileTimer() {
  file_timer_.SetAfter(kFileInterval);
  Announce(LookAtFiles());
}

void ToggleKeeper::ArmExpiry() {
  const std::optional<WallTime> next = toggles_.next_expiry();
  if (!next) return expiry_.Clear();
  // At least a little, so that a clock that disagrees with itself cannot make the loop spin.
  expiry_.SetAfter(std::max<Duration>(*next - loop_.wall_now(), std::chrono::milliseconds(1)));
}

void ToggleKeeper::LetGo() {
  state_file_.clear();
  expiry_.Clear();
  file_timer_.Clear();
}

void ToggleKeeper::Save() {
  if (state_file_.empty()) return;
  if (const Result<void> saved = WriteStateFile(state_file_, {toggles_.Saved()}); !saved) {
    log::Warning("cannot keep the toggles' state: {}", log::Escape(saved.error().message));
  }
}

}  // namespace spillway
