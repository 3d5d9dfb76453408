// SPDX-License-Identifier: MIT
#include "proxy/process.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

namespace spillway {
namespace {

std::string FirstLine(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::uint64_t CountEntries(const char* path) {
  DIR* directory = ::opendir(path);
  if (directory == nullptr) return 0;
  std::uint64_t count = 0;
  while (const dirent* entry = ::readdir(directory)) count += entry->d_name[0] != '.' ? 1 : 0;
  ::closedir(directory);
  return count > 0 ? count - 1 : 0;  // one of them is the directory we are reading
}

}  // namespace

ProcessFacts ReadProcessFacts(WallTime now) {
  ProcessFacts facts;
  // proc(5): after the name in parentheses (which may hold anything) come fields 3, 4, ...; of
  // these 14 and 15 are CPU ticks, 20 threads, 22 ticks from boot to start, 23 bytes, 24 pages.
  const std::string stat = FirstLine("/proc/self/stat");
  const std::size_t name_end = stat.rfind(')');
  if (name_end != std::string::npos) {
    std::istringstream fields(stat.substr(name_end + 1));
    std::string field;
    double user = 0, system = 0, start = 0;
    std::uint64_t pages = 0;
    for (int i = 3; i <= 24 && fields >> field; ++i) {
      if (i == 14) user = std::strtod(field.c_str(), nullptr);
      if (i == 15) system = std::strtod(field.c_str(), nullptr);
      if (i == 20) facts.threads = std::strtoull(field.c_str(), nullptr, 10);
      if (i == 22) start = std::strtod(field.c_str(), nullptr);
      if (i == 23) facts.virtual_bytes = std::strtoull(field.c_str(), nullptr, 10);
      if (i == 24) pages = std::strtoull(field.c_str(), nullptr, 10);
    }
    const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    facts.cpu_seconds = (user + system) / ticks;
    facts.resident_bytes = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const double uptime = std::strtod(FirstLine("/proc/uptime").c_str(), nullptr);
    const double wall = std::chrono::duration<double>(now.time_since_epoch()).count();
    facts.start_seconds = wall - uptime + start / ticks;
  }
  facts.open_fds = CountEntries("/proc/self/fd");
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) facts.max_fds = limit.rlim_cur;
  return facts;
}

}  // namespace spillway
