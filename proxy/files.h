// SPDX-License-Identifier: MIT
// The real file system, as the loader sees it.
#pragma once

#include <string>
#include <vector>

#include "spillway/files.h"

namespace spillway {

// Blocks; for the control thread.
class SystemFiles : public FileSource {
 public:
  // Regular files, pipes and devices; not directories. At most 64 MiB.
  Result<std::string> Read(const std::string& path) const override;
  std::vector<std::string> Glob(const std::string& pattern) const override;
};

}  // namespace spillway
