// SPDX-License-Identifier: MIT
// Paths and bytes of a load.
#include "rules/loader.h"

#include "rules/scalars.h"
#include "spillway/hash.h"

namespace spillway {
namespace {

// With its final '/'; empty: the working directory.
std::string DirectoryOf(const std::string& file) {
  std::size_t slash = file.rfind('/');
  return slash == std::string::npos ? std::string() : file.substr(0, slash + 1);
}

std::string ResolveIn(const std::string& directory, std::string_view path) {
  if (path.starts_with("./") && !directory.empty()) path.remove_prefix(2);
  if (path.starts_with('/')) return std::string(path);
  return directory + std::string(path);
}

}  // namespace

void Loader::Enter(const std::string& file) {
  directory_ = DirectoryOf(file);
}

std::string Loader::Resolve(std::string_view path) const {
  return ResolveIn(directory_, path);
}

Result<std::string> Loader::Read(const std::string& path) {
  Result<std::string> bytes = files_.Read(path);
  // Chained by the seed, so that bytes moved from one file to the next change the digest.
  if (bytes) digest_ = HashBytes(*bytes, digest_);
  return bytes;
}

std::optional<std::string> Loader::ReadNamed(const yaml::Node& node, std::string_view what,
                                             std::size_t limit) {
  if (!ExpectScalar(node, "the path of " + std::string(what))) return std::nullopt;
  std::string path = ResolveIn(DirectoryOf(node.file()), node.text());
  Result<std::string> bytes = Read(path);
  if (!bytes) {
    node.Fail("cannot read " + yaml::Quote(path) + ": " + bytes.error().message +
              "; expected the path of " + std::string(what));
    return std::nullopt;
  }
  if (bytes->size() > limit) {
    node.Fail(yaml::Quote(path) + " has " + std::to_string(bytes->size()) +
              " bytes; expected at most " + FormatBytes(Bytes{limit}));
    return std::nullopt;
  }
  return *std::move(bytes);
}

}  // namespace spillway
