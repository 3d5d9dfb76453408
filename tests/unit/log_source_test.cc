// SPDX-License-Identifier: MIT
#include "proxy/log_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "proxy/log_line.h"
#include "tests/unit/temp_directory.h"

namespace spillway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string Gzip(const std::string& text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(deflateBound(&stream, text.size()) + 64, 0);
  std::string input = text;
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

class LogSourceTest : public testing::Test {
 protected:
  std::vector<std::string> Lines(const std::string& content) {
    auto opened = LogSource::Open(directory_.Write("log", content));
    EXPECT_TRUE(opened.has_value());
    source_ = std::move(*opened);
    std::vector<std::string> lines;
    while (const auto line = source_->Next()) lines.emplace_back(*line);
    return lines;
  }
  const TempDirectory directory_;
  std::unique_ptr<LogSource> source_;
};

TEST_F(LogSourceTest, GivesEachLineOnce) {
  EXPECT_THAT(Lines(""), IsEmpty());
  EXPECT_THAT(Lines("a"), ElementsAre("a"));
  EXPECT_THAT(Lines("a\n"), ElementsAre("a"));
  EXPECT_THAT(Lines("a\n\nb"), ElementsAre("a", "", "b"));
  EXPECT_EQ(source_->line(), 3u);
  EXPECT_EQ(source_->bytes_read(), 4u);
  EXPECT_EQ(source_->bytes_in_all(), 4u);
}

TEST_F(LogSourceTest, LinesMayLieAcrossBlocks) {
  std::string content;
  std::vector<std::string> lines;
  for (int i = 0; content.size() < 3 * LogSource::kBlock; ++i) {
    lines.push_back(std::to_string(i) + std::string(static_cast<std::size_t>(i % 977), 'x'));
    content += lines.back() + "\n";
  }
  EXPECT_EQ(Lines(content), lines);
  EXPECT_EQ(Lines(Gzip(content)), lines);
  EXPECT_THAT(source_->error(), IsEmpty());
  EXPECT_LT(source_->bytes_read(), content.size());
}

TEST_F(LogSourceTest, PackedPartsThatFollowOneAnotherAreOneLog) {
  EXPECT_THAT(Lines(Gzip("a\nb") + Gzip("c\nd\n")), ElementsAre("a", "bc", "d"));
  EXPECT_THAT(Lines(Gzip("a\n") + std::string(600, '\0')), ElementsAre("a"));
  EXPECT_THAT(source_->error(), IsEmpty());
}

TEST_F(LogSourceTest, ALineOfTheGreatestLengthIsReadAndALongerOnePassedOver) {
  const std::string longest(kLongestLogLine, 'x');
  EXPECT_THAT(Lines("a\n" + longest + "\nb"), ElementsAre("a", longest, "b"));
  EXPECT_EQ(source_->too_long(), 0u);
  EXPECT_THAT(Lines("a\n" + longest + "x\nb"), ElementsAre("a", "b"));
  EXPECT_EQ(source_->too_long(), 1u);
  EXPECT_EQ(source_->line(), 3u);
  EXPECT_THAT(Lines(std::string(8 * kLongestLogLine, 'x')), IsEmpty());
  EXPECT_EQ(source_->too_long(), 1u);
}

TEST_F(LogSourceTest, SaysWhatCannotBeRead) {
  EXPECT_THAT(LogSource::Open(directory_ / "none").error().message,
              HasSubstr("none': No such file or directory"));
  EXPECT_THAT(LogSource::Open(directory_ / ".").error().message, HasSubstr("Is a directory"));
  const std::string packed = Gzip("a\nb\n");
  Lines(packed.substr(0, packed.size() - 9));
  EXPECT_THAT(source_->error(), HasSubstr("the gzip data ends too early"));
  std::string damaged = packed;
  damaged[12] = static_cast<char>(damaged[12] ^ 0x55);
  damaged[13] = static_cast<char>(damaged[13] ^ 0x55);
  Lines(damaged);
  EXPECT_THAT(source_->error(), HasSubstr("the gzip data is damaged"));
}

TEST_F(LogSourceTest, ThePeekTakesNothing) {
  auto opened = LogSource::Open(directory_.Write("log", Gzip("a\nb\n")));
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ((*opened)->Peek(), "a\nb\n");
  EXPECT_EQ((*opened)->Peek(), "a\nb\n");
  EXPECT_EQ((*opened)->Next(), "a");
}

}  // namespace
}  // namespace spillway
