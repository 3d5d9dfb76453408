// SPDX-License-Identifier: MIT
// A load under way: where relative paths start, what has been read, and the digest of it.
// Thread rule: one thread. Borrows the file source for its life.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/yaml.h"
#include "spillway/files.h"
#include "spillway/result.h"

namespace spillway {

class Loader {
 public:
  explicit Loader(const FileSource& files) : files_(files) {}

  // Paths are resolved against the directory of `file` from here on; "": the working directory.
  void Enter(const std::string& file);
  // `path` as the file that is being read means it.
  std::string Resolve(std::string_view path) const;
  // A whole file, added to the digest.
  Result<std::string> Read(const std::string& path);
  // The same for a file that `node` names: relative to the file that `node` stands in, whichever is
  // being read; at most `limit` bytes. Errors are reported there, and say `what` it is to be: "an
  // HTML file".
  std::optional<std::string> ReadNamed(const yaml::Node& node, std::string_view what,
                                       std::size_t limit);
  std::vector<std::string> Glob(const std::string& pattern) const { return files_.Glob(pattern); }
  Result<void> Try(FileUse use, const std::string& path, const std::string& beside = {}) const {
    return files_.Try(use, path, beside);
  }

  // Of every byte read so far.
  std::uint64_t digest() const { return digest_; }

 private:
  const FileSource& files_;
  std::string directory_;  // with its final '/', or empty
  std::uint64_t digest_ = 0;
};

}  // namespace spillway
