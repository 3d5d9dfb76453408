// SPDX-License-Identifier: MIT
// `spillway ctl`: one question or order to a running spillway, and its answer for a person to read.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>

#include "proxy/json.h"
#include "spillway/config.h"

namespace spillway {

// The exit codes of ctl.
inline constexpr int kCtlDone = 0, kCtlRefused = 1, kCtlUsage = 2, kCtlUnreachable = 3;

struct CtlOrder {
  std::string verb;    // "status", "config", "rules", "toggles", "limits", "pools",
                       // "explain": asks;
                       // "reload", "drain", "check", "toggle": orders
  std::string toggle;  // for "toggle": its name, and what it shall be
  bool on = false;
  bool forecast = false;  // ask what switching it on would do instead
  std::string hold;       // as typed: "30m"; empty: none
  std::string reason;
  std::string id;     // for "explain": a refusal's
  bool json = false;  // print the answer as it came
};

int RunCtl(const CtlOrder& order, const SocketAddress& admin, const std::string& token,
           std::ostream& out, std::ostream& err);

// What ctl prints for an answer of the admin API to `verb`. For tests.
std::string FormatForPeople(const std::string& verb, const Json& answer);

}  // namespace spillway
