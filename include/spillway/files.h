// SPDX-License-Identifier: MIT
// How rules/, which does no I/O, gets at files: the caller lends it one of these.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "spillway/result.h"

namespace spillway {

class FileSource {
 public:
  virtual ~FileSource() = default;
  // The whole file, at most 64 MiB. The error says what the system said ("No such file or
  // directory").
  virtual Result<std::string> Read(const std::string& path) const = 0;
  // Paths that match a shell pattern, in byte order; none is not an error.
  virtual std::vector<std::string> Glob(const std::string& pattern) const = 0;
};

}  // namespace spillway
