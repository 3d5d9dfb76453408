// SPDX-License-Identifier: MIT
// Responses, as honest and as broken upstreams give them. Every row is read whole, cut at each
// byte, and byte by byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/fields.h"
#include "proxy/http1.h"
#include "proxy/http1_rules.h"
#include "tests/unit/http1_feeding.h"

namespace spillway {
namespace {

using namespace std::string_literals;
using testing::Reading;

constexpr MessageLimits kSmall{.head = 256, .headers = 6, .target = 64};

Reading ReadAll(std::string_view bytes, std::string_view method = "GET", bool ends = false,
                const MessageLimits& limits = {}) {
  return testing::ReadEveryWay(
      [&] {
        ResponseParser parser(limits);
        parser.Reset(method);
        return parser;
      },
      bytes, ends,
      [&](std::size_t cut, const Reading& whole, const Reading& parts) {
        ADD_FAILURE() << "cut at " << cut << "\nwhole: " << whole << "\nparts: " << parts;
      });
}

std::string With(std::string_view line) {
  return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + std::string(line) + "\r\n\r\n";
}
std::string Ok(std::string_view fields, std::string_view body) {
  return "HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n\r\n" + std::string(body);
}
std::string Chunked(std::string_view body) {
  return Ok("Transfer-Encoding: chunked", body);
}

struct Refused {
  const char* why;
  std::string bytes;
};

const Refused kRefused[] = {
    {"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n"},
    {"a request", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"empty line first", "\r\nHTTP/1.1 204 No Content\r\n\r\n"},
    {"LF first", "\nHTTP/1.1 204 No Content\r\n\r\n"},
    {"a body without a head", "<html>"},
    {"version in lower case", "http/1.1 200 OK\r\n\r\n"},
    {"HTTP/2", "HTTP/2 200\r\n\r\n"},
    {"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n"},
    {"HTTP/0.9", "HTTP/0.9 200 OK\r\n\r\n"},
    {"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n"},
    {"HTTP/1.10", "HTTP/1.10 200 OK\r\n\r\n"},
    {"no status", "HTTP/1.1\r\n\r\n"},
    {"status of two digits", "HTTP/1.1 20 OK\r\n\r\n"},
    {"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"},
    {"status below 100", "HTTP/1.1 099 OK\r\n\r\n"},
    {"status 000", "HTTP/1.1 000 OK\r\n\r\n"},
    {"status 600", "HTTP/1.1 600 OK\r\n\r\n"},
    {"status with a sign", "HTTP/1.1 +20 OK\r\n\r\n"},
    {"status with a letter", "HTTP/1.1 2x0 OK\r\n\r\n"},
    {"two spaces before the status", "HTTP/1.1  200 OK\r\n\r\n"},
    {"tab before the status", "HTTP/1.1\t200 OK\r\n\r\n"},
    {"tab after the status", "HTTP/1.1 200\tOK\r\n\r\n"},
    {"bare CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n"},
    {"NUL in the reason", "HTTP/1.1 200 O\0K\r\n\r\n"s},
    {"escape in the reason", "HTTP/1.1 200 \x1b[2J\r\n\r\n"},
    {"status line ends in LF", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"},
    {"status line ends in LF, no reason", "HTTP/1.1 200\nContent-Length: 0\r\n\r\n"},
    {"field line ends in LF", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n"},
    {"head ends in LF", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"},
    {"bare CR in a value", With("X: a\rb")},
    {"NUL in a value", With("X: a\0b"s)},
    {"obs-fold", With("X: a\r\n b")},
    {"obs-fold with a tab", With("X:\r\n\tb")},
    {"obs-fold of Content-Length", Ok("Content-Length: 1\r\n 0", "abcdefghij")},
    {"space before the colon", With("X : y")},
    {"space first", "HTTP/1.1 200 OK\r\n X: y\r\n\r\n"},
    {"no colon", With("Xyz")},
    {"empty name", With(": y")},
    {"two Content-Lengths", Ok("Content-Length: 1\r\nContent-Length: 2", "ab")},
    {"two equal Content-Lengths", Ok("Content-Length: 1\r\nContent-Length: 1", "a")},
    {"Content-Length as a list", Ok("Content-Length: 1, 1", "a")},
    {"Content-Length with a sign", Ok("Content-Length: +1", "a")},
    {"negative Content-Length", Ok("Content-Length: -1", "a")},
    {"empty Content-Length", Ok("Content-Length:", "a")},
    {"Content-Length beyond 64 bits", Ok("Content-Length: 18446744073709551616", "a")},
    {"CL and TE", Ok("Content-Length: 3\r\nTransfer-Encoding: chunked", "0\r\n\r\n")},
    {"TE and CL", Ok("Transfer-Encoding: chunked\r\nContent-Length: 3", "0\r\n\r\n")},
    {"gzip, chunked", Ok("Transfer-Encoding: gzip, chunked", "0\r\n\r\n")},
    {"chunked, identity", Ok("Transfer-Encoding: chunked, identity", "0\r\n\r\n")},
    {"identity", Ok("Transfer-Encoding: identity", "a")},
    {"TE twice", Ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n")},
    {"TE in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {"chunk size 0x1", Chunked("0x1\r\na\r\n0\r\n\r\n")},
    {"chunk size before a space", Chunked("1 \r\na\r\n0\r\n\r\n")},
    {"chunk size ends in LF", Chunked("1\na\r\n0\r\n\r\n")},
    {"chunk longer than its size", Chunked("1\r\nab\r\n0\r\n\r\n")},
    {"chunk ends in LF", Chunked("1\r\na\n0\r\n\r\n")},
    {"trailers end in LF", Chunked("0\r\n\n")},
    {"folded trailer", Chunked("0\r\nX: y\r\n z\r\n\r\n")},
    {"Content-Length as a trailer", Chunked("0\r\nContent-Length: 1\r\n\r\n")},
    {"interim with a body", "HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\n\r\na"},
    {"interim with chunks", "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {"interim in HTTP/1.0", "HTTP/1.0 100 Continue\r\n\r\n"},
    {"101 without Upgrade", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n"},
    {"101 without Connection", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"},
    {"101 with two of Upgrade",
     "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nUpgrade: "
     "websocket\r\n\r\n"},
};

TEST(ResponseParser, RefusesWhatCouldBeReadInTwoWays) {
  for (const Refused& row : kRefused) {
    SCOPED_TRACE(row.why);
    const Reading r = ReadAll(row.bytes);
    EXPECT_EQ(r.last, ParseStep::kFailed) << r;
    EXPECT_FALSE(r.error.empty());
  }
  EXPECT_GE(std::size(kRefused), 40u);
}

struct Accepted {
  const char* what;
  std::string bytes;
  std::string body = "";
  BodyKind kind = BodyKind::kLength;
  bool keep_alive = true;
  const char* method = "GET";
  bool ends = false;
};

TEST(ResponseParser, ReadsBodiesHoweverTheyAreFramed) {
  const Accepted kRows[] = {
      {"Content-Length", Ok("Content-Length: 3", "abc"), "abc"},
      {"Content-Length 0", Ok("Content-Length: 0", "")},
      {"no reason", "HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\na", "a"},
      {"no reason and no space", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", "a"},
      {"8-bit reason", "HTTP/1.1 200 \xc3\xa4\r\nContent-Length: 1\r\n\r\na", "a"},
      {"chunked", Chunked("3\r\nabc\r\n0\r\nX: y\r\n\r\n"), "abc", BodyKind::kChunked},
      {"until close", Ok("X: y", "abc"), "abc", BodyKind::kUntilClose, false, "GET", true},
      {"until close, empty", Ok("X: y", ""), "", BodyKind::kUntilClose, false, "GET", true},
      {"until close in HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nabc", "abc", BodyKind::kUntilClose, false,
       "GET", true},
      {"1.0 keep-alive without a length", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nabc",
       "abc", BodyKind::kUntilClose, false, "GET", true},
      {"1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "a", BodyKind::kLength,
       false},
      {"1.0 keep-alive with a length",
       "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", "a"},
      {"close", Ok("Connection: close\r\nContent-Length: 1", "a"), "a", BodyKind::kLength, false},
      {"HEAD with a length", Ok("Content-Length: 300", ""), "", BodyKind::kNone, true, "HEAD"},
      {"HEAD with chunks", Ok("Transfer-Encoding: chunked", ""), "", BodyKind::kNone, true, "HEAD"},
      {"HEAD with nothing", Ok("X: y", ""), "", BodyKind::kNone, true, "HEAD"},
      {"204", "HTTP/1.1 204 No Content\r\n\r\n", "", BodyKind::kNone},
      {"204 with length 0", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "",
       BodyKind::kNone},
      {"204 that promises a body", "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", "",
       BodyKind::kNone, false},
      {"204 that promises chunks", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
       "", BodyKind::kNone, false},
      {"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "",
       BodyKind::kNone},
      {"205 with length 0", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"},
      {"status 599", "HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n"},
  };
  for (const Accepted& row : kRows) {
    SCOPED_TRACE(row.what);
    const Reading r = ReadAll(row.bytes, row.method, row.ends);
    EXPECT_EQ(r.last, ParseStep::kEnd) << r;
    EXPECT_EQ(r.body, row.body);
    EXPECT_EQ(r.kind, row.kind);
    EXPECT_EQ(r.keep_alive, row.keep_alive);
    EXPECT_EQ(r.consumed, row.bytes.size());
  }
}

TEST(ResponseParser, LeavesBytesAfterTheMessageToTheCaller) {
  const std::pair<std::string, const char*> kRows[] = {
      {Ok("Content-Length: 1", "a"), "GET"},
      {Ok("Content-Length: 1", ""), "HEAD"},
      {Chunked("0\r\n\r\n"), "GET"},
      {"HTTP/1.1 204 No Content\r\n\r\n", "GET"},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET"},
      {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
       "GET"},
  };
  for (const auto& [bytes, method] : kRows) {
    const Reading r = ReadAll(bytes + "HTTP/1.1 200 OK\r\n\r\n", method);
    EXPECT_EQ(r.last, ParseStep::kEnd) << r;
    EXPECT_EQ(r.consumed, bytes.size()) << bytes;
  }
}

TEST(ResponseParser, PassesInterimHeadsBeforeTheFinalOne) {
  const std::string bytes =
      "HTTP/1.1 100 Continue\r\n\r\n"
      "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nContent-Length: 0\r\n\r\n" +
      Ok("Content-Length: 1", "a");
  const Reading r = ReadAll(bytes);
  EXPECT_EQ(r.last, ParseStep::kEnd) << r;
  EXPECT_EQ(r.heads, 3);
  EXPECT_EQ(r.start, "200 OK");
  EXPECT_EQ(r.headers.size(), 1u);
  EXPECT_EQ(r.body, "a");
  EXPECT_EQ(r.consumed, bytes.size());
}

TEST(ResponseParser, RefusesTheSeventeenthInterimHead) {
  std::string bytes;
  for (int i = 0; i < 16; ++i) bytes += "HTTP/1.1 102 Processing\r\n\r\n";
  EXPECT_EQ(ReadAll(bytes + Ok("Content-Length: 0", "")).last, ParseStep::kEnd);
  EXPECT_EQ(ReadAll(bytes + "HTTP/1.1 102 Processing\r\n\r\n").last, ParseStep::kFailed);
}

struct Taken {
  std::string_view protocols, offers;
  bool well;
};
constexpr Taken kTaken[] = {
    {"websocket", "websocket", true},
    {"WebSocket", "websocket", true},
    {"foo/1", "bar, foo/1", true},
    {"foo/1, bar", "bar,foo/1", true},
    {" websocket ,", "websocket", true},
    {"h2c", "websocket", false},
    {"websocket, h2c", "websocket", false},
    {"websocket/13", "websocket", false},
    {"foo", "foo/1", false},
    {"websocke", "websocket", false},
    {"", "websocket", false},
    {",", "websocket", false},
    {"websocket", "", false},
    {"", "", false},
};
TEST(WereOffered, WantsAllThatA101NamesToBeWhatTheRequestNamed) {
  for (const Taken& each : kTaken) {
    EXPECT_EQ(WereOffered(each.protocols, each.offers), each.well)
        << each.protocols << " of " << each.offers;
  }
}

TEST(ResponseParser, TellsAnUpgradeByStatusOneHundredAndOneOnly) {
  const std::string fields = "Connection: Upgrade\r\nUpgrade: websocket";
  const Reading r = ReadAll("HTTP/1.1 101 Switching Protocols\r\n" + fields + "\r\n\r\n");
  EXPECT_EQ(r.last, ParseStep::kEnd) << r;
  EXPECT_EQ(r.heads, 1);
  EXPECT_EQ(r.upgrade, "yes");
  EXPECT_EQ(r.kind, BodyKind::kNone);
  EXPECT_EQ(ReadAll(Ok(fields + "\r\nContent-Length: 0", "")).upgrade, "");
}

TEST(ResponseParser, EndsWithTheConnectionOnlyWhereAMessageMayEnd) {
  const std::pair<std::string, ParseStep> kRows[] = {
      {"", ParseStep::kFailed},
      {"HTTP/1.1 200 OK\r\nX:", ParseStep::kFailed},
      {"HTTP/1.1 100 Continue\r\n\r\n", ParseStep::kFailed},
      {Ok("Content-Length: 3", "ab"), ParseStep::kFailed},
      {Ok("Content-Length: 3", ""), ParseStep::kFailed},
      {Chunked("3\r\nab"), ParseStep::kFailed},
      {Chunked("3\r\nabc"), ParseStep::kFailed},
      {Chunked("3\r\nabc\r\n"), ParseStep::kFailed},
      {Chunked("3\r\nabc\r\n0\r\n"), ParseStep::kFailed},
      {Chunked("3\r\nabc\r\n0\r\n\r"), ParseStep::kFailed},
      {Chunked("3\r\nabc\r\n0\r\n\r\n"), ParseStep::kEnd},
      {Ok("X: y", "abc"), ParseStep::kEnd},
  };
  for (const auto& [bytes, step] : kRows)
    EXPECT_EQ(ReadAll(bytes, "GET", true).last, step) << bytes;
}

TEST(ResponseParser, RefusesOneByteMoreThanEachLimit) {
  const auto ok = [](std::size_t fields, std::size_t pad) {
    std::string bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    for (std::size_t i = 1; i < fields; ++i) bytes += "X: y\r\n";
    if (pad > 0) bytes += "P: " + std::string(pad, 'p') + "\r\n";
    return bytes + "\r\n";
  };
  EXPECT_EQ(ReadAll(ok(6, 0), "GET", false, kSmall).last, ParseStep::kEnd);
  EXPECT_EQ(ReadAll(ok(7, 0), "GET", false, kSmall).last, ParseStep::kFailed);
  const std::size_t room = 256 - ok(1, 1).size() + 1;
  EXPECT_EQ(ReadAll(ok(1, room), "GET", false, kSmall).last, ParseStep::kEnd);
  EXPECT_EQ(ReadAll(ok(1, room + 1), "GET", false, kSmall).last, ParseStep::kFailed);
  EXPECT_EQ(ReadAll("HTTP/1.1 200 " + std::string(300, 'r'), "GET", false, kSmall).last,
            ParseStep::kFailed);
}

TEST(ResponseParser, ServesOneResponseAfterTheOtherOnAKeptConnection) {
  ResponseParser parser({});
  for (int i = 0; i < 3; ++i) {
    parser.Reset("HEAD");
    EXPECT_EQ(testing::Read(parser, Ok("Content-Length: 7", ""), {}).last, ParseStep::kEnd);
    parser.Reset("GET");
    const Reading r = testing::Read(parser, Chunked("1\r\na\r\n0\r\nT: u\r\n\r\n"), {});
    EXPECT_EQ(r.last, ParseStep::kEnd);
    EXPECT_EQ(r.trailers, (testing::Fields{{"T", "u"}}));
    parser.Reset("GET");
    EXPECT_EQ(testing::Read(parser, "junk", {}).last, ParseStep::kFailed);
  }
}

}  // namespace
}  // namespace spillway
