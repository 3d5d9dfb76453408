// SPDX-License-Identifier: MIT
// Reading until the end rather than by size: files under /proc and secrets mounted as pipes have
// none.
#include "proxy/files.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "proxy/socket.h"

namespace spillway {
namespace {

constexpr std::size_t kMost = std::size_t{64} << 20;

tl::unexpected<Error> FailErrno(int error) {
  return Fail(std::generic_category().message(error));
}

}  // namespace

Result<std::string> SystemFiles::Read(const std::string& path) const {
  if (path.find('\0') != std::string::npos) return FailErrno(EINVAL);
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return FailErrno(errno);
  struct stat status;
  if (fstat(fd.get(), &status) != 0) return FailErrno(errno);
  if (S_ISDIR(status.st_mode)) return FailErrno(EISDIR);

  std::string text;
  std::size_t filled = 0;
  const std::size_t expected = status.st_size > 0 ? static_cast<std::size_t>(status.st_size) : 0;
  text.resize(std::min(expected, kMost) + 1);  // one more, to see the end without growing
  for (;;) {
    if (filled == text.size())
      text.resize(std::min(std::max<std::size_t>(filled * 2, 65536), kMost + 1));
    const ssize_t got = read(fd.get(), text.data() + filled, text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno(errno);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
    if (filled > kMost) return Fail("larger than 64 MiB");
  }
  text.resize(filled);
  return text;
}

std::vector<std::string> SystemFiles::Glob(const std::string& pattern) const {
  std::vector<std::string> paths;
  if (pattern.find('\0') != std::string::npos) return paths;
  glob_t found{};
  if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  globfree(&found);
  std::sort(paths.begin(), paths.end());  // by bytes; glob's own order depends on the locale
  return paths;
}

}  // namespace spillway
