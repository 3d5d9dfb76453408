// SPDX-License-Identifier: MIT
#include "proxy/log_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "proxy/access_log.h"

namespace spillway {
namespace {

using testing::HasSubstr;

// 2026-07-01 12:34:56 UTC
const WallTime kTime{std::chrono::seconds(1782909296)};

// A line as it was read, with the texts that it borrows.
struct Read {
  explicit Read(std::string text) : line(std::move(text)) { ReadLogLine(line, &scratch, &read); }
  const LoggedRequest& operator*() const { return read.request; }
  const LoggedRequest* operator->() const { return &read.request; }
  std::string fault() const { return read.fault == nullptr ? "" : read.fault; }
  std::string line, scratch;
  LogLine read;
};

TEST(ReadLogLine, ReadsTheCombinedFormat) {
  const Read read(
      R"(192.0.2.7 - alice [01/Jul/2026:14:34:56 +0200] "GET /a%20b?x=1 HTTP/1.1" 200 512 )"
      R"line("https://example.com/" "Mozilla/5.0 (X11)")line");
  EXPECT_EQ(read.fault(), "");
  EXPECT_EQ(read->form, LogForm::kCombined);
  EXPECT_EQ(read->time, kTime);
  EXPECT_TRUE(read->whole_seconds);
  EXPECT_EQ(read->client, "192.0.2.7");
  EXPECT_EQ(read->method, "GET");
  EXPECT_EQ(read->path, "/a%20b?x=1");
  EXPECT_EQ(read->protocol, "HTTP/1.1");
  EXPECT_EQ(read->status, 200);
  EXPECT_EQ(read->referer, "https://example.com/");
  EXPECT_EQ(read->user_agent, "Mozilla/5.0 (X11)");
}

TEST(ReadLogLine, ReadsWhatServersWrite) {
  const struct {
    const char *line, *user_agent;
  } kCases[] = {
      {R"(::1 - - [01/Jul/2026:12:34:56 +0000] "GET / HTTP/2.0" 304 0 "-" "-")", ""},
      {R"(a - a b [01/Jul/2026:12:34:56 +0000] "GET / HTTP/1.0" 200 - "-" "x")", "x"},
      {R"(a - - [01/Jul/2026:12:34:56 +0000] "GET / HTTP/1.0" 200 1 "-" "say \x22a\x22 \x5C")",
       "say \"a\" \\"},
      {R"(a - - [01/Jul/2026:12:34:56 +0000] "GET / HTTP/1.0" 200 1 "-" "say \"a\" \\ \t")",
       "say \"a\" \\ \t"},
      {R"(a - - [01/Jul/2026:12:34:56 +0000] "GET / HTTP/1.0" 200 1 "-" "x" "more" 0.123)", "x"},
      {"a - - [01/Jul/2026:12:34:56 +0000] \"GET / HTTP/1.0\" 200 1 \"-\" \"x\"\r", "x"},
  };
  for (const auto& c : kCases) {
    const Read read(c.line);
    EXPECT_EQ(read.fault(), "") << c.line;
    EXPECT_EQ(read->user_agent, c.user_agent) << c.line;
    EXPECT_EQ(read->path, "/") << c.line;
  }
}

TEST(ReadLogLine, TheCommonFormatHasNoUserAgentRatherThanAnEmptyOne) {
  const Read read(R"(a - - [01/Jul/2026:12:34:56 +0000] "GET / HTTP/1.0" 200 1)");
  EXPECT_EQ(read.fault(), "");
  EXPECT_EQ(read->form, LogForm::kCommon);
}

TEST(ReadLogLine, ALineOfWhatWasNoRequestIsReadAndHasNone) {
  for (const char* request : {"-", "", R"(\x16\x03\x01)", "GET /", "GET", "G@T / HTTP/1.1"}) {
    const Read read("a - - [01/Jul/2026:12:34:56 +0000] \"" + std::string(request) +
                    "\" 400 1 \"-\" \"-\"");
    EXPECT_EQ(read.fault(), "") << request;
    EXPECT_EQ(read->method, "") << request;
  }
}

TEST(ReadLogLine, SaysWhatIsWrongWithALine) {
  const struct {
    const char *line, *fault;
  } kCases[] = {
      {"", "neither JSON nor the combined format"},
      {"Jul  1 12:34:56 host nginx: started", "neither JSON nor the combined format"},
      {R"(a - - [01/Jul/2026:12:34 +0000] "GET / HTTP/1.0" 200 1)", "the time is not such as"},
      {R"(a - - [32/Jul/2026:12:34:56 +0000] "GET / HTTP/1.0" 200 1)", "the time is not such as"},
      {R"(a - - [30/Feb/2026:12:34:56 +0000] "GET / HTTP/1.0" 200 1)", "the time is not such as"},
      {R"(a - - [01/anF/2026:12:34:56 +0000] "GET / HTTP/1.0" 200 1)", "the time is not such as"},
      {R"(a - - [01/Jul/2026:24:34:56 +0000] "GET / HTTP/1.0" 200 1)", "the time is not such as"},
      {R"(a - - [01/Jul/2026:12:34:56 +0000] GET / HTTP/1.0 200 1)", "no request in quotes"},
      {R"(a - - [01/Jul/2026:12:34:56 +0000] "GET / HTTP/1.0 200 1)", "no request in quotes"},
      {R"(a - - [01/Jul/2026:12:34:56 +0000] "GET / HTTP/1.0\)", "no request in quotes"},
      {R"(a - - [01/Jul/2026:12:34:56 +0000] "GET / HTTP/1.0" x 1)", "no status of three digits"},
      {R"(a - - [01/Jul/2026:12:34:56 +0000] "GET / HTTP/1.0" 200 1 "-")",
       "no Referer and User-Agent"},
      {R"({"ts":)", "not JSON"},
      {R"({"a":1e999999})", "not JSON"},
      {R"({"time":"x"})", "not a line of spillway's"},
      {R"({"ts":"yesterday","client":"a"})", "\"ts\" is not a time such as"},
      {R"({"ts":"2026-02-30T12:00:00Z","client":"a"})", "\"ts\" is not a time such as"},
      {R"({"ts":"2026-02-20T12:00:00.Z","client":"a"})", "\"ts\" is not a time such as"},
  };
  for (const auto& c : kCases) EXPECT_THAT(Read(c.line).fault(), HasSubstr(c.fault)) << c.line;
}

AccessRecord Record(std::string_view text) {
  AccessRecord record;
  record.time = kTime + 789ms;
  record.client = "2001:db8::1";
  record.method = "GET";
  record.path = "/a b";
  record.query = text;
  record.host = "example.com";
  record.scheme = "https";
  record.protocol = "HTTP/2.0";
  record.ja4 = "t13d1516h2_8daaf6152771_02713d6af862";
  record.decision = "forward";
  record.pool = "app";
  record.user_agent = text;
  record.referer = text;
  return record;
}

TEST(ReadLogLine, ReadsBackWhatTheAccessLogWrites) {
  std::minstd_rand random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 30 + 1, 0);
    for (char& c : text) c = static_cast<char>(random() % 127 + 1);
    if (text == "-") continue;
    const AccessRecord record = Record(text);
    std::string line;
    FormatJson(record, true, &line);
    line.pop_back();
    const Read json(line);
    ASSERT_EQ(json.fault(), "") << line;
    EXPECT_FALSE(json->whole_seconds);
    EXPECT_EQ(json->time, record.time);
    EXPECT_EQ(json->client, record.client);
    EXPECT_EQ(json->path, record.path);
    EXPECT_EQ(json->query, text);
    EXPECT_EQ(json->host, record.host);
    EXPECT_EQ(json->scheme, record.scheme);
    EXPECT_EQ(json->protocol, record.protocol);
    EXPECT_EQ(json->ja4, record.ja4);
    EXPECT_EQ(json->user_agent, text);
    EXPECT_EQ(json->referer, text);
    EXPECT_EQ(json->decision, "forward");
    EXPECT_EQ(json->pool, "app");
    line.clear();
    FormatCombined(record, true, &line);
    line.pop_back();
    const Read combined(line);
    ASSERT_EQ(combined.fault(), "") << line;
    EXPECT_EQ(combined->time, kTime);
    EXPECT_EQ(combined->user_agent, text);
    EXPECT_EQ(combined->path, "/a b?" + text);
  }
}

TEST(ReadJsonQuickly, UnderstandsWhateverTheAccessLogWrites) {
  std::minstd_rand random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 30, 0);
    for (char& c : text) c = static_cast<char>(random() % 256);
    AccessRecord record = Record(text);
    const std::string_view tags[] = {text, "b"};
    record.tags = tags;
    record.limit = "l";
    std::string line, scratch;
    FormatJson(record, true, &line);
    line.pop_back();
    LogLine quick;
    ASSERT_TRUE(ReadJsonQuickly(line, &scratch, &quick)) << line;
  }
}

TEST(ReadJsonQuickly, LeavesOtherJsonToTheLibraryWhichReadsIt) {
  for (const char* more : {R"("x":{"y":1})", R"("x":[1])", R"("x":1e3)", R"("x":"\ud83d\ude00")",
                           R"("x":12345678901234567890123456789012345)"}) {
    const std::string line =
        R"({"ts":"2026-07-01T12:34:56Z", "client" : "192.0.2.7","ua":"a\u00e4",)" +
        std::string(more) + "}";
    std::string scratch;
    LogLine quick;
    EXPECT_FALSE(ReadJsonQuickly(line, &scratch, &quick)) << line;
    const Read read(line);
    EXPECT_EQ(read.fault(), "") << line;
    EXPECT_EQ(read->client, "192.0.2.7");
    EXPECT_EQ(read->user_agent, "a\xc3\xa4");
    EXPECT_EQ(read->time, kTime);
    EXPECT_TRUE(read->whole_seconds);
  }
}

TEST(ReadLogLine, ReadsWhatTheServerSaidInBothWays) {
  const struct {
    const char* value;
    int status;
  } kTable[] = {{"401", 401},     {"200", 200}, {"4010", 0}, {"40", 0},   {"401.0", 0},
                {"4.01e2", 0},    {"-40", 0},   {"4.0", 0},  {"null", 0}, {"\"401\"", 401},
                {"[\"401\"]", 0}, {"true", 0},  {"0", 0}};
  for (const auto& row : kTable) {
    const std::string line = R"({"ts":"2026-07-01T12:34:56Z","client":"192.0.2.7","ua":7,)"
                             R"("upstream_status":)" +
                             std::string(row.value) + "}";
    const Read read(line);
    EXPECT_EQ(read.fault(), "") << line;
    EXPECT_EQ(read->upstream_status, row.status) << line;
    EXPECT_EQ(read->user_agent, "") << line;
    std::string scratch;
    LogLine library;
    ReadJsonByLibrary(line, &scratch, &library);
    EXPECT_EQ(library.request.upstream_status, row.status) << line;
  }
}

}  // namespace
}  // namespace spillway
