// SPDX-License-Identifier: MIT
#include "proxy/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/temp_directory.h"

namespace spillway {
namespace {

class SystemFilesTest : public testing::Test {
 protected:
  std::string Write(std::string_view name, std::string_view text) {
    return directory_.Write(name, text);
  }
  std::string Refusal(const std::string& path) {
    const auto text = files_.Read(path);
    return text ? "" : text.error().message;
  }

  const SystemFiles files_;
  const TempDirectory directory_;
  const std::string& path_ = directory_.path();
};

TEST_F(SystemFilesTest, ReadsTheWholeFile) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{65536}, std::size_t{300'001}}) {
    std::string text(size, 'x');
    if (size > 0) text[size / 2] = '\0';
    EXPECT_EQ(files_.Read(Write("file", text)).value(), text);
  }
}

TEST_F(SystemFilesTest, ReadsFilesThatHaveNoSize) {
  EXPECT_THAT(files_.Read("/proc/self/status").value(), testing::HasSubstr("Pid:"));
}

TEST_F(SystemFilesTest, SaysWhatTheSystemSaid) {
  EXPECT_EQ(Refusal(path_ + "/missing"), "No such file or directory");
  EXPECT_EQ(Refusal(path_), "Is a directory");
  EXPECT_EQ(Refusal(Write("file", "") + "/x"), "Not a directory");
  EXPECT_EQ(Refusal(std::string("a\0b", 3)), "Invalid argument");
}

TEST_F(SystemFilesTest, ReadsAtMost64MiB) {
  const std::string path = Write("large", "");
  std::filesystem::resize_file(path, 64 << 20);
  EXPECT_EQ(files_.Read(path).value().size(), std::size_t{64} << 20);
  std::filesystem::resize_file(path, (64 << 20) + 1);
  EXPECT_EQ(Refusal(path), "larger than 64 MiB");
  EXPECT_EQ(Refusal("/dev/zero"), "larger than 64 MiB");
}

TEST_F(SystemFilesTest, GlobsInByteOrder) {
  for (const char* name : {"b.yaml", "a.yaml", "B.yaml", "_.yaml", "a.txt"}) Write(name, "");
  EXPECT_THAT(files_.Glob(path_ + "/*.yaml"),
              testing::ElementsAre(path_ + "/B.yaml", path_ + "/_.yaml", path_ + "/a.yaml",
                                   path_ + "/b.yaml"));
  EXPECT_THAT(files_.Glob(path_ + "/*.none"), testing::IsEmpty());
  EXPECT_THAT(files_.Glob(path_ + "/a.txt"), testing::ElementsAre(path_ + "/a.txt"));
}

}  // namespace
}  // namespace spillway
