// SPDX-License-Identifier: MIT
#include "proxy/state_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "proxy/json.h"
#include "proxy/socket.h"
#include "proxy/wall_time.h"

namespace spillway {
namespace {

constexpr std::size_t kMostState = 1024 * 1024;

tl::unexpected<Error> FailBySystem(const std::string& path) {
  return Fail(path + ": " + std::strerror(errno));
}

Json ToJson(const SavedToggle& toggle) {
  Json json;
  json["name"] = toggle.name;
  json["on"] = toggle.on;
  json["cause"] = toggle.cause;
  if (!toggle.reason.empty()) json["reason"] = toggle.reason;
  json["since"] = FormatTime(toggle.since);
  if (toggle.until) json["until"] = FormatTime(*toggle.until);
  if (toggle.file_seen) json["file_seen"] = *toggle.file_seen;
  return json;
}

Result<SavedToggle> ToToggle(const Json& json) {
  SavedToggle toggle;
  toggle.name = TextAt(json, "name");
  if (toggle.name.empty()) return Fail("a toggle has no name");
  const auto on = json.find("on");
  if (on == json.end() || !on->is_boolean()) {
    return Fail("toggle '" + toggle.name + "': `on` is neither true nor false");
  }
  toggle.on = on->get<bool>();
  toggle.cause = TextAt(json, "cause");
  toggle.reason = TextAt(json, "reason");
  const auto since = ParseTime(TextAt(json, "since"));
  if (!since) return Fail("toggle '" + toggle.name + "': `since` is not a time");
  toggle.since = *since;
  if (json.contains("until")) {
    toggle.until = ParseTime(TextAt(json, "until"));
    if (!toggle.until) return Fail("toggle '" + toggle.name + "': `until` is not a time");
  }
  if (const auto seen = json.find("file_seen"); seen != json.end() && seen->is_boolean()) {
    toggle.file_seen = seen->get<bool>();
  }
  return toggle;
}

Result<void> WriteAll(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t size = ::write(fd, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return FailBySystem(path);
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  if (::fsync(fd) != 0) return FailBySystem(path);
  return {};
}

}  // namespace

std::string FormatState(const State& state) {
  Json json;
  json["version"] = 1;
  json["toggles"] = Json::array();
  for (const SavedToggle& toggle : state.toggles) json["toggles"].push_back(ToJson(toggle));
  return DumpJson(json, 2) + "\n";
}

Result<State> ParseState(std::string_view text) {
  const std::optional<Json> json = ParseJson(text);
  if (!json || !json->is_object()) return Fail("not a JSON object");
  if (json->value("version", Json()) != 1) return Fail("`version` is not 1");
  State state;
  const auto toggles = json->find("toggles");
  if (toggles == json->end()) return state;
  if (!toggles->is_array()) return Fail("`toggles` is not a list");
  for (const Json& item : *toggles) {
    Result<SavedToggle> toggle = ToToggle(item);
    if (!toggle) return Fail(toggle.error().message);
    state.toggles.push_back(std::move(*toggle));
  }
  return state;
}

Result<State> ReadStateFile(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return State{};
  if (!fd) return FailBySystem(path);
  std::string text;
  char buffer[16 * 1024];
  for (;;) {
    const ssize_t size = ::read(fd.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return FailBySystem(path);
    if (size == 0) break;
    text.append(buffer, static_cast<std::size_t>(size));
    if (text.size() > kMostState) return Fail(path + ": larger than 1 MiB");
  }
  Result<State> state = ParseState(text);
  if (!state) return Fail(path + ": " + state.error().message);
  return state;
}

Result<void> WriteStateFile(const std::string& path, const State& state) {
  const std::string aside = path + ".new";
  Fd fd(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!fd) return FailBySystem(aside);
  if (Result<void> written = WriteAll(fd.get(), FormatState(state), aside); !written) {
    ::unlink(aside.c_str());
    return written;
  }
  fd.Reset();
  if (std::rename(aside.c_str(), path.c_str()) != 0) {
    const auto failed = FailBySystem(path);
    ::unlink(aside.c_str());
    return failed;
  }
  // The rename itself must reach the disk too; where it cannot be synced, it is still atomic.
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Fd parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent) ::fsync(parent.get());
  return {};
}

}  // namespace spillway
