// SPDX-License-Identifier: MIT
// Any bytes as a configuration: the loader answers with a configuration or with errors, and both
// can be shown. The same bytes are the main file, a file it includes, a list and an error page.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "rules/yaml.h"
#include "spillway/config.h"

namespace {

using spillway::Fail;
using spillway::FileSource;
using spillway::Result;

class SameFile : public FileSource {
 public:
  explicit SameFile(std::string_view bytes) : bytes_(bytes) {}
  Result<std::string> Read(const std::string& path) const override {
    if (path.find("gone") != std::string::npos) return Fail("No such file or directory");
    return std::string(bytes_);
  }
  std::vector<std::string> Glob(const std::string& pattern) const override {
    return {pattern + ".yaml"};
  }

 private:
  std::string_view bytes_;
};

// Every node is visited as the loader's readers would: aliases are followed, so this takes as long
// as the bound on their number allows.
std::size_t Visit(const spillway::yaml::Node& node) {
  std::size_t seen = 1;
  if (node.is_list()) {
    for (const auto& item : node.Items()) seen += Visit(item);
  }
  for (const auto& [key, value] : node.Entries()) seen += key.path().size() + Visit(value);
  return seen + node.place().size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  {
    spillway::Diagnostics diagnostics;
    spillway::yaml::Document document("f.yaml", bytes, &diagnostics);
    if (size < 4096) Visit(document.root());
  }
  spillway::Environment environment = {{"SPILLWAY_LISTEN", std::string(bytes.substr(0, 200))}};
  auto loaded = spillway::LoadConfig("f.yaml", SameFile(bytes),
                                     size % 2 == 0 ? spillway::Environment() : environment);
  if (!loaded) Format(loaded.error());
  return 0;
}
