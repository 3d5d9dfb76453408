// SPDX-License-Identifier: MIT
#include "proxy/replay_command.h"

#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <utility>

#include "proxy/files.h"
#include "proxy/replay_report.h"
#include "spillway/target.h"

namespace spillway {
namespace {

constexpr int kDone = 0, kFailed = 1, kUsage = 2;

int Complain(const std::string& why, int code, std::ostream& err) {
  err << (why.find('\n') == why.npos ? "spillway: " + why + "\n" : why);
  return code;
}

// Files that only serving needs, such as keys, are not tried: a log is often looked at elsewhere.
Result<std::unique_ptr<ReplaySide>> LoadSide(const std::string& path,
                                             const Environment& environment,
                                             const ReplayAssumptions& assumptions) {
  auto config = LoadConfig(path, SystemFiles(), environment);
  if (!config) return Fail(Format(config.error()));
  return ReplaySide::Create(std::move(*config), assumptions);
}

Result<std::map<std::string, bool>> ReadToggles(const std::vector<std::string>& typed) {
  std::map<std::string, bool> states;
  for (const std::string& one : typed) {
    const std::size_t equals = one.find('=');
    const std::string state = equals == one.npos ? "" : one.substr(equals + 1);
    if (state != "on" && state != "off") {
      return Fail("--toggle " + Quote(one) + ": expected NAME=on or NAME=off");
    }
    states[one.substr(0, equals)] = state == "on";
  }
  return states;
}

// Each is one of either rule set.
Result<void> CheckToggles(const std::map<std::string, bool>& states, const ReplaySide& after,
                          const ReplaySide* before) {
  std::vector<std::string> names(after.policy().toggles().begin(), after.policy().toggles().end());
  if (before != nullptr) {
    names.insert(names.end(), before->policy().toggles().begin(), before->policy().toggles().end());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (const auto& [name, on] : states) {
    if (std::binary_search(names.begin(), names.end(), name)) continue;
    return Fail("--toggle: there is no toggle " + Quote(name) +
                (names.empty() ? "" : ExpectedOneOf(name, names)));
  }
  return {};
}

}  // namespace

int RunReplay(const ReplayOrder& order, const Environment& environment, std::ostream& out,
              std::ostream& err) {
  const auto toggles = ReadToggles(order.toggles);
  if (!toggles) return Complain(toggles.error().message, kUsage, err);
  ReplayAssumptions assumptions{*toggles, order.passes == "none"  ? AssumedPasses::kNobody
                                          : order.passes == "all" ? AssumedPasses::kEverybody
                                                                  : AssumedPasses::kUnknown};
  if (!order.host.empty() && !NormaliseHost(order.host, &assumptions.host)) {
    return Complain("--host: expected a host such as www.example.com, found " + Quote(order.host),
                    kUsage, err);
  }
  auto after = LoadSide(order.config, environment, assumptions);
  if (!after) return Complain(after.error().message, kFailed, err);
  std::unique_ptr<ReplaySide> before;
  if (!order.against.empty()) {
    auto loaded = LoadSide(order.against, environment, assumptions);
    if (!loaded) return Complain(loaded.error().message, kFailed, err);
    before = std::move(*loaded);
  }
  if (const auto known = CheckToggles(*toggles, **after, before.get()); !known) {
    return Complain(known.error().message, kUsage, err);
  }

  Replay replay(std::move(*after), std::move(before), assumptions.host);
  std::function<void(const Progress&)> report;
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  if (terminal) {
    report = [&](const Progress& progress) {
      err << "\r\033[K" << ProgressText(progress) << std::flush;
    };
  }
  const auto reading = ReadLogs(order.logs, &replay, report);
  if (terminal) err << "\r\033[K" << std::flush;
  if (!reading) return Complain(reading.error().message, kFailed, err);
  out << (order.json ? DumpJson(ReplayJson(replay, *reading), 2) + "\n"
                     : ReplayText(replay, *reading));
  return kDone;
}

}  // namespace spillway
