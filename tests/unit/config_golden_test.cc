// SPDX-License-Identifier: MIT
// Every file of tests/config: the good ones load, the bad ones say exactly what stands beside them. So do
// the good ones that warn of something.
// UPDATE_GOLDEN=1 in the environment writes what is said now; read the difference before committing
// it.
#include <gtest/gtest.h>

#include <cstdlib>

#include "config_files.h"

namespace spillway {
namespace {

std::vector<std::string> Names(const std::string& directory) {
  return FilesUnder(directory).Glob(directory + "/*.yaml");
}

std::string TestName(const testing::TestParamInfo<std::string>& info) {
  std::string name = std::filesystem::path(info.param).stem().string();
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
}

// No file is one that is empty.
void ExpectGolden(const std::string& name, const std::string& said) {
  const std::filesystem::path golden = (ConfigDirectory() / name).replace_extension(".txt");
  if (std::getenv("UPDATE_GOLDEN") != nullptr && !said.empty()) {
    std::ofstream(golden, std::ios::binary) << said;
  }
  std::ifstream in(golden, std::ios::binary);
  EXPECT_EQ(said, std::string(std::istreambuf_iterator<char>(in), {}));
}

class GoodFile : public testing::TestWithParam<std::string> {};

TEST_P(GoodFile, Loads) {
  auto config = LoadConfig(GetParam(), FilesUnder("good"), {});
  ASSERT_TRUE(config.has_value()) << Format(config.error());
  EXPECT_NE(config->policy, nullptr);
  EXPECT_NE(config->digest, 0u);
  ExpectGolden(GetParam(), Format(config->warnings));
}
INSTANTIATE_TEST_SUITE_P(Config, GoodFile, testing::ValuesIn(Names("good")), TestName);

class BadFile : public testing::TestWithParam<std::string> {};

TEST_P(BadFile, SaysWhatStandsBesideIt) {
  MemoryFiles files = FilesUnder("bad");
  auto config = LoadConfig(GetParam(), files, {});
  ASSERT_FALSE(config.has_value());
  std::string said = Format(config.error());
  ExpectGolden(GetParam(), said);
}
INSTANTIATE_TEST_SUITE_P(Config, BadFile, testing::ValuesIn(Names("bad")), TestName);

}  // namespace
}  // namespace spillway
