// SPDX-License-Identifier: MIT
// Where the quota stands (the mounts are where every distribution and container runtime puts them):
//   v2   "0::/a/b"            /sys/fs/cgroup/a/b/cpu.max, and the same of /a and /
//   v1   "4:cpu,cpuacct:/a"   /sys/fs/cgroup/cpu/a/cpu.cfs_quota_us, and the same of /
// Inside a container the paths of the host are often not there, and its own group is the mount's
// root: the walk upwards ends there, so it is found all the same.
#include "proxy/cpus.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "proxy/files.h"

namespace spillway {
namespace {

// A decimal number and nothing else but white space around it.
std::optional<std::int64_t> ParseNumber(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint32_t> ToCpus(std::optional<std::int64_t> quota,
                                    std::optional<std::int64_t> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  const std::int64_t cpus = (*quota - 1) / *period + 1;
  return static_cast<std::uint32_t>(std::min<std::int64_t>(cpus, 1 << 20));
}

std::optional<std::uint32_t> Smaller(std::optional<std::uint32_t> a,
                                     std::optional<std::uint32_t> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

// "/a/b" first, then "/a", then "".
template <typename Visit>
void WalkUp(std::string_view path, Visit visit) {
  while (path.ends_with('/')) path.remove_suffix(1);
  for (;;) {
    visit(std::string(path));
    if (path.empty()) return;
    path = path.substr(0, path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/'));
  }
}

bool Lists(std::string_view controllers, std::string_view wanted) {
  while (!controllers.empty()) {
    const std::size_t comma = controllers.find(',');
    if (controllers.substr(0, comma) == wanted) return true;
    if (comma == std::string_view::npos) return false;
    controllers.remove_prefix(comma + 1);
  }
  return false;
}

std::uint32_t AffinityCpus() {
  // Larger than cpu_set_t where the machine has more than 1,024 CPUs.
  for (int most = 1024; most <= 65536; most *= 4) {
    cpu_set_t* set = CPU_ALLOC(most);
    const std::size_t size = CPU_ALLOC_SIZE(most);
    const int failed = sched_getaffinity(0, size, set);
    const int count = failed == 0 ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (count > 0) return static_cast<std::uint32_t>(count);
  }
  return 1;
}

}  // namespace

std::optional<std::uint32_t> ParseCpuMax(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  return ToCpus(ParseNumber(text.substr(0, space)), ParseNumber(text.substr(space + 1)));
}

std::optional<std::uint32_t> ParseCfsQuota(std::string_view quota, std::string_view period) {
  return ToCpus(ParseNumber(quota), ParseNumber(period));
}

std::optional<std::uint32_t> CgroupCpus(std::string_view membership, const ReadText& read) {
  std::optional<std::uint32_t> smallest;
  while (!membership.empty()) {
    const std::size_t end = membership.find('\n');
    const std::string_view line = membership.substr(0, end);
    membership.remove_prefix(end == std::string_view::npos ? membership.size() : end + 1);
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    if (controllers.empty()) {
      WalkUp(line.substr(second + 1), [&](const std::string& group) {
        const auto text = read("/sys/fs/cgroup" + group + "/cpu.max");
        if (text) smallest = Smaller(smallest, ParseCpuMax(*text));
      });
    } else if (Lists(controllers, "cpu")) {
      WalkUp(line.substr(second + 1), [&](const std::string& group) {
        const std::string directory = "/sys/fs/cgroup/cpu" + group;
        const auto quota = read(directory + "/cpu.cfs_quota_us"),
                   period = read(directory + "/cpu.cfs_period_us");
        if (quota && period) smallest = Smaller(smallest, ParseCfsQuota(*quota, *period));
      });
    }
  }
  return smallest;
}

std::uint32_t AvailableCpus() {
  const SystemFiles files;
  const ReadText read = [&files](const std::string& path) -> std::optional<std::string> {
    auto text = files.Read(path);
    if (!text) return std::nullopt;
    return std::move(*text);
  };
  const std::uint32_t bound = AffinityCpus();
  const auto membership = read("/proc/self/cgroup");
  const auto quota = membership ? CgroupCpus(*membership, read) : std::nullopt;
  return std::max<std::uint32_t>(1, quota ? std::min(bound, *quota) : bound);
}

}  // namespace spillway
