// SPDX-License-Identifier: MIT
// Files for tests of the loader: some that only exist in memory, and those under tests/config.
#pragma once

#include <fnmatch.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "spillway/config.h"
#include "spillway/files.h"

namespace spillway {

class MemoryFiles : public FileSource {
 public:
  MemoryFiles() = default;
  explicit MemoryFiles(std::map<std::string, std::string> files) : files_(std::move(files)) {}

  Result<std::string> Read(const std::string& path) const override {
    auto found = files_.find(path);
    if (found == files_.end()) return Fail("No such file or directory");
    return found->second;
  }
  std::vector<std::string> Glob(const std::string& pattern) const override {
    std::vector<std::string> paths;
    for (const auto& [path, text] : files_) {
      if (fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME) == 0) paths.push_back(path);
    }
    return paths;
  }

 private:
  std::map<std::string, std::string> files_;
};

inline std::filesystem::path ConfigDirectory() {
  return std::filesystem::path(__FILE__).parent_path().parent_path() / "config";
}

// All files under tests/config/<name>, by their path below tests/config, as if that were the
// working directory.
inline MemoryFiles FilesUnder(const std::string& name) {
  std::map<std::string, std::string> files;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(ConfigDirectory() / name)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    files[std::filesystem::relative(entry.path(), ConfigDirectory()).string()] =
        std::string(std::istreambuf_iterator<char>(in), {});
  }
  return MemoryFiles(std::move(files));
}

}  // namespace spillway
