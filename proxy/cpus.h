// SPDX-License-Identifier: MIT
// How many CPUs this process may really use: what it is bound to, and what its control group
// allows.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace spillway {

// At least 1. A quota of 1.5 CPUs counts as 2.
std::uint32_t AvailableCpus();

// The parts, on text. A quota is rounded up to whole CPUs; nullopt: none is set, or the text is not
// understood. cgroup v2, the content of cpu.max: "150000 100000", "max 100000".
std::optional<std::uint32_t> ParseCpuMax(std::string_view text);
// cgroup v1, the contents of cpu.cfs_quota_us ("-1": none) and cpu.cfs_period_us.
std::optional<std::uint32_t> ParseCfsQuota(std::string_view quota, std::string_view period);

// The smallest quota that applies to the process whose /proc/self/cgroup is `membership`, over its
// group and all the groups above it. `read` gives a file's text; nullopt: there is none.
using ReadText = std::function<std::optional<std::string>(const std::string& path)>;
std::optional<std::uint32_t> CgroupCpus(std::string_view membership, const ReadText& read);

}  // namespace spillway
