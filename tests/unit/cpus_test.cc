// SPDX-License-Identifier: MIT
#include "proxy/cpus.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <map>

namespace spillway {
namespace {

TEST(ParseCpuMax, RoundsTheQuotaUp) {
  const struct {
    std::string_view text;
    std::optional<std::uint32_t> cpus;
  } kCases[] = {
      {"100000 100000\n", 1}, {"100001 100000\n", 2},
      {"150000 100000\n", 2}, {"200000 100000", 2},
      {"1000 100000\n", 1},   {"50000 10000\n", 5},
      {"max 100000\n", {}},   {"", {}},
      {"100000\n", {}},       {"0 100000\n", {}},
      {"100000 0\n", {}},     {"-1 100000\n", {}},
      {"1x 100000\n", {}},    {"9223372036854775807 1", 1 << 20},
  };
  for (const auto& c : kCases) EXPECT_EQ(ParseCpuMax(c.text), c.cpus) << c.text;
}

TEST(ParseCfsQuota, RoundsTheQuotaUpAndMinusOneIsNone) {
  EXPECT_EQ(ParseCfsQuota("150000\n", "100000\n"), 2u);
  EXPECT_EQ(ParseCfsQuota("-1\n", "100000\n"), std::nullopt);
  EXPECT_EQ(ParseCfsQuota("100000\n", "\n"), std::nullopt);
}

std::optional<std::uint32_t> Cpus(std::string_view membership,
                                  const std::map<std::string, std::string>& files) {
  return CgroupCpus(membership, [&](const std::string& path) -> std::optional<std::string> {
    const auto found = files.find(path);
    return found == files.end() ? std::nullopt : std::optional(found->second);
  });
}

TEST(CgroupCpus, TakesTheSmallestQuotaOnTheWayUp) {
  EXPECT_EQ(Cpus("0::/a/b\n", {{"/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"},
                               {"/sys/fs/cgroup/a/cpu.max", "250000 100000\n"},
                               {"/sys/fs/cgroup/cpu.max", "900000 100000\n"}}),
            3u);
}

TEST(CgroupCpus, FindsAContainersOwnGroupAtTheRoot) {
  EXPECT_EQ(Cpus("0::/\n", {{"/sys/fs/cgroup/cpu.max", "200000 100000\n"}}), 2u);
  EXPECT_EQ(Cpus("0::/host/path\n", {{"/sys/fs/cgroup/cpu.max", "200000 100000\n"}}), 2u);
}

TEST(CgroupCpus, ReadsVersion1AndHybrid) {
  const std::map<std::string, std::string> files = {
      {"/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "400000\n"},
      {"/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"}};
  EXPECT_EQ(Cpus("5:cpuset:/x\n4:cpu,cpuacct:/a\n0::/a\n", files), 4u);
  EXPECT_EQ(Cpus("4:cpuacct,cpu:/a\n", files), 4u);
  EXPECT_EQ(Cpus("5:cpuset:/a\n", files), std::nullopt);
}

TEST(CgroupCpus, HasNoneWithoutAQuota) {
  EXPECT_EQ(Cpus("", {}), std::nullopt);
  EXPECT_EQ(Cpus("0::/a", {}), std::nullopt);
  EXPECT_EQ(Cpus("nonsense\n:\n1:cpu\n", {}), std::nullopt);
}

TEST(AvailableCpus, IsAtLeastOneAndAtMostWhatWeAreBoundTo) {
  cpu_set_t set;
  ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  EXPECT_GE(AvailableCpus(), 1u);
  EXPECT_LE(AvailableCpus(), static_cast<std::uint32_t>(CPU_COUNT(&set)));
}

}  // namespace
}  // namespace spillway
