// SPDX-License-Identifier: MIT
// The numbers as Prometheus text: the door of prometheus-cpp. Built anew for each scrape from the
// counters that workers keep, so that serving requests knows nothing of metrics.
//
// Every label's values come from the configuration (names of rules, pools, toggles, limits,
// endpoints) or from a fixed list; nothing that a client sends is ever a label. Rules beyond the
// first 1000 are added up as "_other".
#pragma once

#include <string>
#include <string_view>

#include "proxy/admin_controls.h"
#include "proxy/process.h"

namespace spillway {

inline constexpr std::size_t kMostRuleLabels = 1000;
inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

std::string FormatMetrics(const AdminControls& server, const ProcessFacts& process);

}  // namespace spillway
