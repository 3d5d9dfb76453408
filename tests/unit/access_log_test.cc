// SPDX-License-Identifier: MIT
#include "proxy/access_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <thread>

#include "proxy/log_ring.h"
#include "proxy/loop.h"
#include "proxy/socket.h"
#include "tests/unit/temp_directory.h"

namespace spillway {
namespace {

using testing::HasSubstr;
using testing::Not;

// 2026-07-01 12:34:56.789 UTC
const WallTime kTime{std::chrono::milliseconds(1782909296789)};

AccessRecord Minimal() {
  AccessRecord record;
  record.time = kTime;
  return record;
}

AccessRecord Full() {
  static constexpr std::string_view kTags[] = {"phone", "slow"};
  AccessRecord record = Minimal();
  record.id = "4f2a";
  record.client = "192.0.2.7";
  record.peer = "10.0.0.1";
  record.method = "GET";
  record.host = "example.com";
  record.path = "/post/1";
  record.query = "a=b";
  record.protocol = "HTTP/1.1";
  record.scheme = "https";
  record.status = 200;
  record.bytes_in = 5;
  record.bytes_out = 1234;
  record.duration = 12'345'678ns;
  record.first_byte = 10ms;
  record.pool = "app";
  record.upstream = "10.0.0.5:3000";
  record.upstream_status = 200;
  record.tries = 1;
  record.decision = "forward";
  record.rule = "phones";
  record.tags = kTags;
  record.limit = "per-client";
  record.limit_remaining = 39;
  record.user_agent = "Mozilla/5.0 \"x\"";
  record.referer = "https://example.com/";
  record.end = "client left";
  record.step = "relay";
  record.generation = 3;
  return record;
}

std::string Json(const AccessRecord& record, bool query = false) {
  std::string line;
  FormatJson(record, query, &line);
  return line;
}

std::string Combined(const AccessRecord& record, bool query = false) {
  std::string line;
  FormatCombined(record, query, &line);
  return line;
}

TEST(FormatJson, HoldsEveryField) {
  EXPECT_EQ(
      Json(Full(), true),
      R"({"ts":"2026-07-01T12:34:56.789Z","id":"4f2a","client":"192.0.2.7","peer":"10.0.0.1",)"
      R"("method":"GET","scheme":"https","host":"example.com","path":"/post/1","query":"a=b",)"
      R"("protocol":"HTTP/1.1","status":200,"bytes_in":5,"bytes_out":1234,"dur_ms":12.345,)"
      R"("ttfb_ms":10.000,"pool":"app","upstream":"10.0.0.5:3000","upstream_status":200,"tries":1,)"
      R"("decision":"forward","rule":"phones","tags":["phone","slow"],"limit":"per-client",)"
      R"("limit_remaining":39,"ua":"Mozilla/5.0 \"x\"","referer":"https://example.com/",)"
      R"("end":"client left","step":"relay","generation":3})"
      "\n");
}

TEST(FormatJson, LeavesOutWhatIsEmpty) {
  EXPECT_EQ(
      Json(Minimal(), true),
      R"({"ts":"2026-07-01T12:34:56.789Z","status":0,"bytes_in":0,"bytes_out":0,"dur_ms":0.000,)"
      R"("generation":0})"
      "\n");
}

TEST(FormatJson, TellsOfAProtectedVisitor) {
  AccessRecord record = Full();
  EXPECT_THAT(Json(record), Not(HasSubstr("protected")));
  record.is_protected = true;
  EXPECT_THAT(Json(record), HasSubstr(R"(,"protected":true,)"));
}

TEST(FormatJson, LogsTheQueryOnlyWhenAsked) {
  EXPECT_THAT(Json(Full(), false), Not(HasSubstr("a=b")));
}

TEST(FormatJson, EscapesWhateverIsSent) {
  const struct {
    std::string_view sent, logged;
  } kCases[] = {
      {"a\"b\\c", R"(a\"b\\c)"},
      {"\n\r\t", R"(\n\r\t)"},
      {std::string_view("\0\x1b\x7f", 3), R"(\u0000\u001b\u007f)"},
      {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
      {"\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80"},
      {"\xc2\x9b", R"(\u009b)"},  // a terminal's escape in one character
      {"\xff", R"(\ufffd)"},
      {"\xc3", R"(\ufffd)"},  // cut short
      {"\xc3(", R"(\ufffd()"},
      {"\xc0\xaf", R"(\ufffd\ufffd)"},  // overlong
      {"\xe0\x80\xaf", R"(\ufffd\ufffd\ufffd)"},
      {"\xed\xa0\x80", R"(\ufffd\ufffd\ufffd)"},            // a surrogate
      {"\xf4\x90\x80\x80", R"(\ufffd\ufffd\ufffd\ufffd)"},  // beyond U+10FFFF
      {"\xf0\x9f\x98", R"(\ufffd\ufffd\ufffd)"},
  };
  for (const auto& c : kCases) {
    AccessRecord record = Minimal();
    record.user_agent = c.sent;
    EXPECT_THAT(Json(record), HasSubstr("\"ua\":\"" + std::string(c.logged) + "\","));
  }
}

TEST(FormatJson, IsValidJsonForAnyBytes) {
  std::minstd_rand random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 40, 0);
    for (char& c : text) c = static_cast<char>(random() % 256);
    AccessRecord record = Minimal();
    record.path = record.host = record.rule = text;
    const std::string line = Json(record);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    const auto parsed = nlohmann::json::parse(line, nullptr, false);
    ASSERT_FALSE(parsed.is_discarded()) << line;
  }
}

TEST(FormatJson, CutsAFieldAt8KiB) {
  const std::string longer(10000, 'x');
  AccessRecord record = Minimal();
  record.user_agent = longer;
  EXPECT_EQ(nlohmann::json::parse(Json(record))["ua"].get<std::string>().size(), 8192u);
}

TEST(FormatCombined, IsNcsaCombined) {
  EXPECT_EQ(Combined(Full(), true),
            R"(192.0.2.7 - - [01/Jul/2026:12:34:56 +0000] "GET /post/1?a=b HTTP/1.1" 200 1234 )"
            R"("https://example.com/" "Mozilla/5.0 \x22x\x22")"
            "\n");
  EXPECT_THAT(Combined(Full(), false), HasSubstr("\"GET /post/1 HTTP/1.1\""));
}

TEST(FormatCombined, HasDashesForWhatIsAbsent) {
  EXPECT_EQ(Combined(Minimal()), "- - - [01/Jul/2026:12:34:56 +0000] \"-\" 000 - \"-\" \"-\"\n");
}

TEST(FormatCombined, EscapesWhateverIsSent) {
  AccessRecord record = Minimal();
  record.user_agent = "a\\b\n\xc3\xbc";
  EXPECT_THAT(Combined(record), HasSubstr(R"("a\x5cb\x0a\xc3\xbc")"));
}

TEST(LogRing, GivesBackWhatWasPutWhole) {
  std::minstd_rand random(1);
  LogRing ring(64);
  std::string model;
  char next = 'a';
  for (int round = 0; round < 10000; ++round) {
    const std::string line(random() % 40 + 1,
                           next = next == 'z' ? 'a' : static_cast<char>(next + 1));
    const bool fits = model.size() + line.size() <= 64;
    const bool half = model.size() <= 32 && model.size() + line.size() > 32;
    ASSERT_EQ(ring.Put(line), fits);
    EXPECT_EQ(ring.crossed_half(), fits && half);
    if (fits) model += line;
    if (random() % 2 == 0 || model.empty()) continue;
    const auto pieces = ring.Peek(ring.head());
    std::string got(static_cast<char*>(pieces[0].iov_base), pieces[0].iov_len);
    got.append(static_cast<char*>(pieces[1].iov_base), pieces[1].iov_len);
    ASSERT_EQ(got, model);
    const std::size_t take = random() % model.size() + 1;
    ring.Take(take);
    model.erase(0, take);
  }
}

std::vector<std::string> Lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

AccessLogConfig To(std::string path,
                   AccessLogConfig::Format format = AccessLogConfig::Format::kJson) {
  AccessLogConfig config;
  config.path = std::move(path);
  config.format = format;
  return config;
}

AccessRecord WithPath(std::string_view path) {
  AccessRecord record = Minimal();
  record.path = path;
  return record;
}

TEST(AccessLog, WritesNothingUntilOpened) {
  AccessLog log(1);
  EXPECT_FALSE(log.enabled());
  log.Write(0, Full());
  log.Flush();
  EXPECT_EQ(log.dropped(), 0u);
}

TEST(AccessLog, SaysWhyAFileCannotBeOpenedAndGoesOn) {
  const TempDirectory dir;
  AccessLog log(1);
  ASSERT_TRUE(log.Open(To(dir / "log")));
  const auto refused = log.Open(To("/nonexistent/log"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "cannot open access log '/nonexistent/log': No such file or directory");
  log.Write(0, WithPath("/kept"));
  log.Flush();
  EXPECT_EQ(Lines(dir / "log").size(), 1u);
}

TEST(AccessLog, KeepsLinesOfSeveralWorkersWholeAndInOrder) {
  constexpr std::size_t kWorkers = 3, kEach = 2000;
  const TempDirectory dir;
  AccessLog log(kWorkers);
  ASSERT_TRUE(log.Open(To(dir / "log")));
  std::vector<std::thread> threads;
  for (std::size_t worker = 0; worker < kWorkers; ++worker) {
    threads.emplace_back([&log, worker] {
      for (std::size_t i = 0; i < kEach; ++i) {
        AccessRecord record = Full();
        record.generation = worker;
        record.bytes_in = i;
        log.Write(worker, record);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  log.Flush();
  std::vector<std::uint64_t> next(kWorkers, 0);
  std::size_t count = 0;
  for (const std::string& line : Lines(dir / "log")) {
    const auto parsed = nlohmann::json::parse(line, nullptr, false);
    ASSERT_FALSE(parsed.is_discarded()) << line;
    const auto worker = parsed["generation"].get<std::size_t>();
    const auto number = parsed["bytes_in"].get<std::uint64_t>();
    EXPECT_GE(number, next[worker]);
    next[worker] = number + 1;
    ++count;
  }
  EXPECT_EQ(count + log.dropped(), kWorkers * kEach);
}

TEST(AccessLog, ReopensTheSamePathAfterRotation) {
  const TempDirectory dir;
  AccessLog log(1);
  ASSERT_TRUE(log.Open(To(dir / "log")));
  log.Write(0, WithPath("/old"));
  log.Flush();
  std::filesystem::rename(dir / "log", dir / "log.1");
  ASSERT_TRUE(log.Open(To(dir / "log")));
  log.Write(0, WithPath("/new"));
  log.Flush();
  ASSERT_EQ(Lines(dir / "log.1").size(), 1u);
  EXPECT_THAT(Lines(dir / "log.1")[0], HasSubstr("/old"));
  ASSERT_EQ(Lines(dir / "log").size(), 1u);
  EXPECT_THAT(Lines(dir / "log")[0], HasSubstr("/new"));
}

TEST(AccessLog, CanBeSwitchedOffAndToAnotherFormat) {
  const TempDirectory dir;
  AccessLog log(1);
  ASSERT_TRUE(log.Open(To(dir / "log")));
  log.Write(0, Full());
  ASSERT_TRUE(log.Open(To("-", AccessLogConfig::Format::kOff)));
  EXPECT_FALSE(log.enabled());
  EXPECT_EQ(Lines(dir / "log").size(), 1u);  // what was written before is not lost
  log.Write(0, Full());
  ASSERT_TRUE(log.Open(To(dir / "log", AccessLogConfig::Format::kCombined)));
  log.Write(0, Full());
  log.Flush();
  ASSERT_EQ(Lines(dir / "log").size(), 2u);
  EXPECT_EQ(Lines(dir / "log")[1] + "\n", Combined(Full()));
}

TEST(AccessLog, WritesWhatIsLeftWhenItEnds) {
  const TempDirectory dir;
  {
    AccessLog log(2);
    ASSERT_TRUE(log.Open(To(dir / "log")));
    log.Write(0, Full());
    log.Write(1, Full());
  }
  EXPECT_EQ(Lines(dir / "log").size(), 2u);
}

// A named pipe whose reader takes nothing until asked to.
class PipeReader {
 public:
  explicit PipeReader(const std::string& path) {
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    fd_.Reset(open(path.c_str(), O_RDONLY | O_NONBLOCK));
  }
  // Reads until so many lines have come.
  std::string ReadLines(std::size_t lines) {
    std::string all;
    char room[65536];
    while (lines > 0) {
      pollfd entry{fd_.get(), POLLIN, 0};
      if (poll(&entry, 1, 10000) != 1) break;
      const ssize_t got = read(fd_.get(), room, sizeof(room));
      if (got <= 0) continue;
      lines -= static_cast<std::size_t>(std::count(room, room + got, '\n'));
      all.append(room, static_cast<std::size_t>(got));
    }
    return all;
  }
  void Leave() { fd_.Reset(); }

 private:
  Fd fd_;
};

TEST(AccessLog, ABlockedReaderBlocksNoWorkerAndDropsAreCounted) {
  const TempDirectory dir;
  PipeReader reader(dir / "pipe");
  AccessLog log(2);
  ASSERT_TRUE(log.Open(To(dir / "pipe")));
  constexpr std::size_t kLines = 10000;  // some 5 MB; the ring and the pipe take 1.1
  for (std::size_t i = 0; i < kLines; ++i) log.Write(0, Full());
  EXPECT_GT(log.dropped(), kLines / 2);
  log.Write(1, WithPath("/other"));  // a worker with room in its ring loses nothing
  std::istringstream lines(reader.ReadLines(kLines - log.dropped() + 1));
  bool other = false;
  for (std::string line; std::getline(lines, line);) {
    ASSERT_TRUE(nlohmann::json::accept(line)) << line;
    other = other || line.find("/other") != std::string::npos;
  }
  EXPECT_TRUE(other);
}

TEST(AccessLog, AReaderThatLeftCostsLinesAndNothingElse) {
  IgnoreSigpipe();
  const TempDirectory dir;
  PipeReader reader(dir / "pipe");
  AccessLog log(1);
  ASSERT_TRUE(log.Open(To(dir / "pipe")));
  log.Flush();
  reader.Leave();
  testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) {
    log.Write(0, Full());
    log.Flush();
  }
  EXPECT_EQ(log.dropped(), 3u);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("cannot write the access log: Broken pipe"));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1);
}

}  // namespace
}  // namespace spillway
