// SPDX-License-Identifier: MIT
// Requests, honest and treacherous. Every row is read whole, cut at each byte, and byte by byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/fields.h"
#include "proxy/http1.h"
#include "proxy/http1_body.h"
#include "tests/unit/http1_feeding.h"

namespace spillway {
namespace {

using namespace std::string_literals;
using testing::Reading;

constexpr MessageLimits kSmall{.head = 512, .headers = 8, .target = 64};

Reading ReadAll(std::string_view bytes, const MessageLimits& limits = {}) {
  return testing::ReadEveryWay([&] { return RequestParser(limits); }, bytes, false,
                               [&](std::size_t cut, const Reading& whole, const Reading& parts) {
                                 ADD_FAILURE() << "cut at " << cut << "\nwhole: " << whole
                                               << "\nparts: " << parts;
                               });
}

// A request that is fine but for what is put into it.
std::string With(std::string_view line) {
  return "GET /a HTTP/1.1\r\nHost: h\r\n" + std::string(line) + "\r\n\r\n";
}
std::string Post(std::string_view fields, std::string_view body) {
  return "POST /a HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n\r\n" + std::string(body);
}
std::string Chunked(std::string_view body) {
  return Post("Transfer-Encoding: chunked", body);
}

struct Refused {
  const char* why;
  std::string bytes;
  int status = 400;
};

const Refused kRefused[] = {
    // The request line.
    {"no request at all", "\x16\x03\x01\x02 hello\r\n\r\n"},
    {"NUL first", "\0GET / HTTP/1.1\r\nHost: h\r\n\r\n"s},
    {"space first", " GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"LF first", "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"CR first", "\rGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"two CR first", "\r\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"unknown method", "FOO / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
    {"method in lower case", "get / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
    {"longer than a method", "GETX / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
    {"method with a separator", "G@T / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 501},
    {"CONNECT with a path", "CONNECT /a HTTP/1.1\r\nHost: h\r\n\r\n", 501},
    {"HTTP/0.9", "GET /\r\n", 505},
    {"HTTP/0.9 with fields", "GET /\r\nHost: h\r\n\r\n", 505},
    {"HTTP/0.9 in numbers", "GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505},
    {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505},
    {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
    {"HTTP/3.0", "GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505},
    {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"minor version of two digits", "GET / HTTP/1.10\r\nHost: h\r\n\r\n"},
    {"version without a point", "GET / HTTP/11\r\nHost: h\r\n\r\n"},
    {"version in lower case", "GET / http/1.1\r\nHost: h\r\n\r\n"},
    {"another protocol", "GET / RTSP/1.0\r\nHost: h\r\n\r\n"},
    {"a third protocol", "SOURCE / ICE/1.0\r\nHost: h\r\n\r\n"},
    {"a method of RTSP", "DESCRIBE / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"space after the version", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n"},
    {"two spaces before the target", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"two spaces after the target", "GET /  HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"tab instead of a space", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"no target", "GET  HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"tab in the target", "GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"form feed in the target", "GET /a\fb HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"NUL in the target", "GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n"s},
    {"DEL in the target", "GET /a\x7f HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"8-bit byte in the target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"8-bit byte in the query", "GET /?\xff HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"CR in the target", "GET /a\rb HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"* without OPTIONS", "GET * HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"* and more", "OPTIONS *x HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"relative target", "GET a/b HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"authority form without CONNECT", "GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"foreign scheme", "GET ftp://h/a HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"scheme and nothing more", "GET http:// HTTP/1.1\r\nHost: h\r\n\r\n"},
    {"request line ends in LF", "GET / HTTP/1.1\nHost: h\r\n\r\n"},

    // The lines of the head.
    {"field line ends in LF", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"},
    {"head ends in LF", "GET / HTTP/1.1\r\nHost: h\r\n\n"},
    {"bare CR in a value", With("X: a\rb")},
    {"CR CR LF", With("X: a\r")},
    {"bare CR ends the head", "GET / HTTP/1.1\r\nHost: h\r\n\rX"},
    {"NUL in a value", With("X: a\0b"s)},
    {"VT in a value", With("X: a\vb")},
    {"escape in a value", With("X: \x1b[2J")},
    {"DEL in a value", With("X: a\x7f")},
    {"obs-fold with a space", With("X: a\r\n b")},
    {"obs-fold with a tab", With("X: a\r\n\tb")},
    {"obs-fold of nothing", With("X: a\r\n ")},
    {"obs-fold after nothing", With("X:\r\n b")},
    {"obs-fold of Content-Length", Post("Content-Length:\r\n 3", "abc")},
    {"obs-fold of Transfer-Encoding", Post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n")},
    {"first field line begins with a space", "GET / HTTP/1.1\r\n Host: h\r\n\r\n"},
    {"space before the colon", With("X : y")},
    {"tab before the colon", With("X\t: y")},
    {"space before the colon of Content-Length", Post("Content-Length : 3", "abc")},
    {"space in a name", With("X y: z")},
    {"no colon", With("Xyz")},
    {"empty name", With(": y")},
    {"empty name first", "GET / HTTP/1.1\r\n: y\r\nHost: h\r\n\r\n"},
    {"NUL in a name", With("X\0y: z"s)},
    {"8-bit byte in a name", With("X\xc3\xa4: z")},
    {"quote in a name", With("X\"y: z")},
    {"bracket in a name", With("X(y): z")},

    // Host.
    {"no Host", "GET / HTTP/1.1\r\n\r\n"},
    {"no Host but a target with one", "GET http://h/ HTTP/1.1\r\n\r\n"},
    {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
    {"two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n"},
    {"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"},

    // Length.
    {"Content-Length with a sign", Post("Content-Length: +3", "abc")},
    {"negative Content-Length", Post("Content-Length: -3", "abc")},
    {"empty Content-Length", Post("Content-Length:", "")},
    {"Content-Length of spaces", Post("Content-Length:   ", "")},
    {"Content-Length in hex", Post("Content-Length: 0x3", "abc")},
    {"Content-Length with letters", Post("Content-Length: 3a", "abc")},
    {"Content-Length with a space in it", Post("Content-Length: 3 3", "abc")},
    {"Content-Length with a fraction", Post("Content-Length: 3.0", "abc")},
    {"Content-Length as a list", Post("Content-Length: 3, 3", "abc")},
    {"two Content-Lengths", Post("Content-Length: 3\r\nContent-Length: 4", "abcd")},
    {"two equal Content-Lengths", Post("Content-Length: 3\r\nContent-Length: 3", "abc")},
    {"Content-Length beyond 64 bits", Post("Content-Length: 18446744073709551616", "")},
    {"Content-Length far beyond", Post("Content-Length: 99999999999999999999999999", "")},

    // Transfer-Encoding.
    {"TE after CL", Post("Content-Length: 3\r\nTransfer-Encoding: chunked", "0\r\n\r\n")},
    {"CL after TE", Post("Transfer-Encoding: chunked\r\nContent-Length: 3", "0\r\n\r\n")},
    {"CL 0 and TE", Post("Content-Length: 0\r\nTransfer-Encoding: chunked", "0\r\n\r\n")},
    {"TE in HTTP/1.0", "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {"gzip, chunked", Post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), 501},
    {"chunked, gzip", Post("Transfer-Encoding: chunked, gzip", "0\r\n\r\n")},
    {"gzip", Post("Transfer-Encoding: gzip", "abc"), 501},
    {"identity", Post("Transfer-Encoding: identity", "abc"), 501},
    {"chunked, identity", Post("Transfer-Encoding: chunked, identity", "0\r\n\r\n")},
    {"xchunked", Post("Transfer-Encoding: xchunked", "0\r\n\r\n"), 501},
    {"chunkedx", Post("Transfer-Encoding: chunkedx", "0\r\n\r\n"), 501},
    {"chunked twice", Post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n")},
    {"chunked with a comma", Post("Transfer-Encoding: chunked,", "0\r\n\r\n")},
    {"chunked after a comma", Post("Transfer-Encoding: ,chunked", "0\r\n\r\n")},
    {"chunked in quotes", Post("Transfer-Encoding: \"chunked\"", "0\r\n\r\n")},
    {"chunked with a parameter", Post("Transfer-Encoding: chunked;q=1", "0\r\n\r\n")},
    {"VT before chunked", Post("Transfer-Encoding: \vchunked", "0\r\n\r\n")},
    {"empty TE", Post("Transfer-Encoding:", "0\r\n\r\n")},
    {"TE twice", Post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n")},
    {"TE twice, identity last",
     Post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n")},
    {"TE with a space before the colon", Post("Transfer-Encoding : chunked", "0\r\n\r\n")},

    // Chunks.
    {"no chunk size", Chunked("\r\nabc\r\n0\r\n\r\n")},
    {"chunk size 0x3", Chunked("0x3\r\nabc\r\n0\r\n\r\n")},
    {"chunk size with a sign", Chunked("+3\r\nabc\r\n0\r\n\r\n")},
    {"chunk size after a space", Chunked(" 3\r\nabc\r\n0\r\n\r\n")},
    {"chunk size before a space", Chunked("3 \r\nabc\r\n0\r\n\r\n")},
    {"chunk size before a tab", Chunked("3\t\r\nabc\r\n0\r\n\r\n")},
    {"chunk size with a letter", Chunked("3g\r\nabc\r\n0\r\n\r\n")},
    {"chunk size beyond 64 bits", Chunked("10000000000000003\r\nabc\r\n0\r\n\r\n")},
    {"endless zeros as a chunk size", Chunked(std::string(400, '0') + "3\r\nabc\r\n0\r\n\r\n")},
    {"chunk size ends in LF", Chunked("3\nabc\r\n0\r\n\r\n")},
    {"chunk size ends in CR", Chunked("3\rabc\r\n0\r\n\r\n")},
    {"chunk longer than its size", Chunked("3\r\nabcd\r\n0\r\n\r\n")},
    {"chunk shorter than its size", Chunked("5\r\nabc\r\n0\r\n\r\n")},
    {"other bytes after the chunk", Chunked("3\r\nabcXX0\r\n\r\n")},
    {"chunk ends in LF", Chunked("3\r\nabc\n0\r\n\r\n")},
    {"LF in an extension", Chunked("3;a\nb\r\nabc\r\n0\r\n\r\n")},
    {"CR in an extension", Chunked("3;a\rb\r\nabc\r\n0\r\n\r\n")},
    {"NUL in an extension", Chunked("3;a\0b\r\nabc\r\n0\r\n\r\n"s)},
    {"extension without a name", Chunked("3;\r\nabc\r\n0\r\n\r\n")},
    {"extension without a value", Chunked("3;a=\r\nabc\r\n0\r\n\r\n")},
    {"extension with an open quote", Chunked("3;a=\"b\r\nabc\r\n0\r\n\r\n")},
    {"CR LF in a quoted extension", Chunked("3;a=\"b\r\n\"\r\nabc\r\n0\r\n\r\n")},
    {"last chunk ends in LF", Chunked("0\n\r\n")},
    {"trailers end in LF", Chunked("0\r\nX: y\r\n\n")},
    {"trailer ends in LF", Chunked("0\r\nX: y\n\r\n")},
    {"trailer is folded", Chunked("0\r\nX: y\r\n z\r\n\r\n")},
    {"trailer without a colon", Chunked("0\r\nxyz\r\n\r\n")},
    {"trailer without a name", Chunked("0\r\n: y\r\n\r\n")},
    {"trailer with a space before the colon", Chunked("0\r\nX : y\r\n\r\n")},
    {"NUL in a trailer", Chunked("0\r\nX: \0\r\n\r\n"s)},
    {"Content-Length as a trailer", Chunked("0\r\nContent-Length: 3\r\n\r\n")},
    {"Transfer-Encoding as a trailer", Chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {"Host as a trailer", Chunked("0\r\nHost: evil\r\n\r\n")},

    // Expectations and the rest.
    {"unknown expectation", With("Expect: 200-ok"), 417},
    {"expectation as a list", With("Expect: 100-continue, 100-continue"), 417},
    {"empty expectation", With("Expect:"), 417},
};

TEST(RequestParser, RefusesWhatCouldBeReadInTwoWays) {
  for (const Refused& row : kRefused) {
    SCOPED_TRACE(row.why);
    const Reading r = ReadAll(row.bytes);
    EXPECT_EQ(r.last, ParseStep::kFailed) << r;
    EXPECT_EQ(r.status, row.status) << r;
    EXPECT_FALSE(r.error.empty());
  }
  EXPECT_GE(std::size(kRefused), 80u);
}

TEST(RequestParser, AllowsInNamesExactlyTheCharactersOfTokens) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    RequestParser parser({});
    const Reading r = testing::Read(parser, With("X"s + c + "y: z"), {});
    const bool colon = c == ':';  // "X::y: z" is the field X
    EXPECT_EQ(r.last == ParseStep::kEnd, IsTokenChar(c) || colon) << byte;
  }
}

TEST(RequestParser, AllowsInValuesExactlyTabSpaceVisibleAndEightBitBytes) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    RequestParser parser({});
    const Reading r = testing::Read(parser, With("X: a"s + c + "b"), {});
    EXPECT_EQ(r.last == ParseStep::kEnd, IsValueChar(c)) << byte;
    if (IsValueChar(c)) {
      EXPECT_EQ(r.headers[1].second, "a"s + c + "b");
    }
  }
}

TEST(RequestParser, AllowsInTargetsOnlyVisibleCharactersAndNoFragment) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    RequestParser parser({});
    const Reading r =
        testing::Read(parser, "GET /a"s + c + "b?c"s + c + " HTTP/1.1\r\nHost: h\r\n\r\n", {});
    EXPECT_EQ(r.last == ParseStep::kEnd, byte > 0x20 && byte < 0x7f && c != '#') << byte;
  }
}

TEST(RequestParser, ReadsAPlainGet) {
  const std::string bytes =
      "GET /a?b=c HTTP/1.1\r\nHost: h:80\r\nUser-Agent:  x y \t\r\nX-Empty:\r\nX-Blank: \t "
      "\r\n\r\n";
  const Reading r = ReadAll(bytes);
  EXPECT_EQ(r.last, ParseStep::kEnd) << r;
  EXPECT_EQ(r.start, "GET /a?b=c");
  EXPECT_EQ(r.minor, 1);
  EXPECT_EQ(
      r.headers,
      (testing::Fields{{"Host", "h:80"}, {"User-Agent", "x y"}, {"X-Empty", ""}, {"X-Blank", ""}}));
  EXPECT_EQ(r.fields, (std::vector{Field::kHost, Field::kUserAgent, Field::kOther, Field::kOther}));
  EXPECT_EQ(r.kind, BodyKind::kNone);
  EXPECT_TRUE(r.keep_alive);
  EXPECT_EQ(r.consumed, bytes.size());
}

struct Accepted {
  const char* what;
  std::string bytes;
  std::string body = "";
  BodyKind kind = BodyKind::kNone;
};

TEST(RequestParser, ReadsBodiesHoweverTheyAreFramed) {
  const Accepted kRows[] = {
      {"Content-Length", Post("Content-Length: 3", "abc"), "abc", BodyKind::kLength},
      {"Content-Length 0", Post("Content-Length: 0", ""), "", BodyKind::kLength},
      {"leading zeros", Post("Content-Length: 0003", "abc"), "abc", BodyKind::kLength},
      {"body of a GET", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab", "ab",
       BodyKind::kLength},
      {"body of a HEAD", "HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab", "ab",
       BodyKind::kLength},
      {"chunked", Chunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "abcde", BodyKind::kChunked},
      {"chunked and empty", Chunked("0\r\n\r\n"), "", BodyKind::kChunked},
      {"chunked, many zeros at the end", Chunked("1\r\na\r\n0000\r\n\r\n"), "a",
       BodyKind::kChunked},
      {"chunked in capitals", Post("TRANSFER-encoding: CHUNKED", "A\r\n0123456789\r\n0\r\n\r\n"),
       "0123456789", BodyKind::kChunked},
      {"chunk extensions", Chunked("1;a;b=c;d=\"e \\\" f\"\r\nx\r\n0;z\r\n\r\n"), "x",
       BodyKind::kChunked},
      {"HTTP/1.0 with a length", "POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", "x",
       BodyKind::kLength},
      {"CR LF in data", Chunked("4\r\n\r\n\r\n\r\n0\r\n\r\n"), "\r\n\r\n", BodyKind::kChunked},
      {"one empty line first", "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"Host without a value", "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
      {"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n"},
      {"absolute form", "GET HTTP://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"absolute form without a path", "GET https://h HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"8-bit bytes in a value", With("X: \xc3\xa4")},
      {"a colon in a value", With("X: a: b")},
      {"colon first in a value", With("X::")},
      {"all the characters of tokens", With("!#$%&'*+-.^_`|~09azAZ: y")},
      {"TRACE", "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"a method with a dash", "M-SEARCH / HTTP/1.1\r\nHost: h\r\n\r\n"},
  };
  for (const Accepted& row : kRows) {
    SCOPED_TRACE(row.what);
    const Reading r = ReadAll(row.bytes);
    EXPECT_EQ(r.last, ParseStep::kEnd) << r;
    EXPECT_EQ(r.body, row.body);
    EXPECT_EQ(r.kind, row.kind);
    EXPECT_EQ(r.consumed, row.bytes.size());
    EXPECT_EQ(r.status, 0);
  }
}

TEST(RequestParser, LeavesTheNextMessagesBytes) {
  for (const std::string& first :
       {With("X: y"), Post("Content-Length: 3", "abc"), Chunked("3\r\nabc\r\n0\r\nA: b\r\n\r\n"),
        With("Connection: upgrade\r\nUpgrade: websocket")}) {
    const Reading r = ReadAll(first + "\x81\x05hello");
    EXPECT_EQ(r.last, ParseStep::kEnd) << r;
    EXPECT_EQ(r.consumed, first.size());
  }
}

TEST(RequestParser, ReadsPipelinedRequestsOneAfterTheOther) {
  const std::string bytes = With("X: 1") + Chunked("1\r\na\r\n0\r\n\r\n") + "\r\n" + With("X: 3");
  RequestParser parser({});
  std::size_t at = 0;
  std::vector<std::string> starts;
  while (at < bytes.size()) {
    EXPECT_FALSE(parser.started());
    const Reading r = testing::Read(parser, std::string_view(bytes).substr(at), {});
    ASSERT_EQ(r.last, ParseStep::kEnd) << r;
    EXPECT_TRUE(parser.started());
    starts.push_back(r.start);
    at += r.consumed;
    parser.Reset();
  }
  EXPECT_EQ(starts, (std::vector<std::string>{"GET /a", "POST /a", "GET /a"}));
}

TEST(RequestParser, KeepsTrailersBeyondTheCallersBuffer) {
  const Reading r = ReadAll(Chunked("1\r\na\r\n0\r\nX-Sum:  1 2 \r\nEmpty:\r\n\r\n"));
  EXPECT_EQ(r.last, ParseStep::kEnd) << r;
  EXPECT_EQ(r.trailers, (testing::Fields{{"X-Sum", "1 2"}, {"Empty", ""}}));
}

TEST(RequestParser, PointsIntoTheCallersBufferForBodies) {
  const std::string bytes = Chunked("3\r\nabc\r\n0\r\n\r\n");
  RequestParser parser({});
  ASSERT_EQ(parser.Feed(bytes.data(), 0, bytes.size()), ParseStep::kHead);
  ASSERT_EQ(parser.Feed(bytes.data(), parser.taken(), bytes.size()), ParseStep::kBody);
  EXPECT_EQ(parser.body().data(), bytes.data() + bytes.find("abc"));
}

TEST(RequestParser, ToldOfAnEmptyLineOnlyHasNotStarted) {
  RequestParser parser({});
  EXPECT_EQ(parser.Feed("\r\n", 0, 1), ParseStep::kNeedMore);
  EXPECT_EQ(parser.Feed("\r\n", 1, 2), ParseStep::kNeedMore);
  EXPECT_FALSE(parser.started());
  EXPECT_EQ(parser.Feed("\r\nG", 2, 3), ParseStep::kNeedMore);
  EXPECT_TRUE(parser.started());
}

TEST(RequestParser, KeepsTheConnectionAsVersionAndFieldsSay) {
  const std::pair<std::string, bool> kRows[] = {
      {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", false},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: x\r\nConnection: close\r\n\r\n", false},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, close\r\n\r\n", false},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n", true},
      {"GET / HTTP/1.0\r\n\r\n", false},
      {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
      {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
      {"GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n", false},
  };
  for (const auto& [bytes, kept] : kRows) EXPECT_EQ(ReadAll(bytes).keep_alive, kept) << bytes;
}

TEST(RequestParser, TakesExpectationsFromVersionOneOneOnly) {
  EXPECT_TRUE(ReadAll(Post("Expect: 100-Continue\r\nContent-Length: 1", "a")).expects);
  EXPECT_FALSE(ReadAll(Post("Content-Length: 1", "a")).expects);
  const Reading old =
      ReadAll("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na");
  EXPECT_EQ(old.last, ParseStep::kEnd);
  EXPECT_FALSE(old.expects);
  EXPECT_EQ(ReadAll("POST / HTTP/1.0\r\nExpect: wonders\r\n\r\n").last, ParseStep::kEnd);
}

TEST(RequestParser, OffersAnUpgradeOnlyWhenItIsWholeAndSafe) {
  const std::string start = "GET / HTTP/1.1\r\nHost: h\r\n";
  EXPECT_EQ(ReadAll(start + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade,
            "websocket");
  EXPECT_EQ(
      ReadAll(start + "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n").upgrade,
      "WebSocket");
  const std::string kNone[] = {
      start + "Upgrade: websocket\r\n\r\n",
      start + "Connection: upgrade\r\n\r\n",
      start + "Connection: upgrade\r\nUpgrade:\r\n\r\n",
      start + "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n\r\n",
      start + "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
      start + "Connection: upgrade, HTTP2-Settings\r\nUpgrade: websocket, H2C\r\n\r\n",
      start + "Connection: upgrade\r\nUpgrade: HTTP/3.0\r\n\r\n",
      start + "Connection: upgrade\r\nUpgrade: TLS/1.2\r\n\r\n",
      start + "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\na",
      "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
  };
  for (const std::string& bytes : kNone) {
    const Reading r = ReadAll(bytes);
    EXPECT_EQ(r.last, ParseStep::kEnd) << r;
    EXPECT_EQ(r.upgrade, "") << bytes;
  }
}

TEST(RequestParser, RefusesOneByteMoreThanEachLimit) {
  const auto get = [](std::size_t target, std::size_t fields, std::size_t pad) {
    std::string bytes = "GET /" + std::string(target - 1, 'a') + " HTTP/1.1\r\nHost: h\r\n";
    for (std::size_t i = 1; i < fields; ++i) bytes += "X: y\r\n";
    if (pad > 0) bytes += "P: " + std::string(pad, 'p') + "\r\n";
    return bytes + "\r\n";
  };
  EXPECT_EQ(ReadAll(get(64, 1, 0), kSmall).last, ParseStep::kEnd);
  EXPECT_EQ(ReadAll(get(65, 1, 0), kSmall).status, 414);
  EXPECT_EQ(ReadAll(get(900, 1, 0), kSmall).status, 414);
  EXPECT_EQ(ReadAll(get(1, 8, 0), kSmall).last, ParseStep::kEnd);
  EXPECT_EQ(ReadAll(get(1, 9, 0), kSmall).status, 431);
  const std::size_t room = 512 - get(1, 1, 1).size() + 1;
  EXPECT_EQ(ReadAll(get(1, 1, room), kSmall).last, ParseStep::kEnd);
  EXPECT_EQ(ReadAll(get(1, 1, room + 1), kSmall).status, 431);
  EXPECT_EQ(ReadAll(get(1, 1, 2000), kSmall).status, 431);
}

TEST(RequestParser, RefusesAnUnfinishedHeadAtItsLimitAlready) {
  const std::string bytes = "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(1000, 'x');
  RequestParser parser(kSmall);
  EXPECT_EQ(parser.Feed(bytes.data(), 0, 511), ParseStep::kNeedMore);
  EXPECT_EQ(parser.Feed(bytes.data(), 511, 512), ParseStep::kFailed);
  EXPECT_EQ(parser.status(), 431);
}

TEST(RequestParser, BoundsChunkExtensionsOverTheWholeMessage) {
  std::string body;
  for (int i = 0; i < 16; ++i) body += "1;" + std::string(1023, 'e') + "\r\nx\r\n";
  RequestParser parser({});
  EXPECT_EQ(testing::Read(parser, Chunked(body + "0\r\n\r\n"), {}).last, ParseStep::kEnd);
  RequestParser other({});
  EXPECT_EQ(testing::Read(other, Chunked(body + "0;e\r\n\r\n"), {}).last, ParseStep::kFailed);
}

TEST(RequestParser, BoundsTrailersLikeHeads) {
  const auto trailers = [](std::size_t count, std::size_t pad) {
    std::string body = "0\r\n";
    for (std::size_t i = 0; i < count; ++i) body += "X: y\r\n";
    if (pad > 0) body += "P:" + std::string(pad - 4, ' ') + "\r\n";
    return Chunked(body + "\r\n");
  };
  EXPECT_EQ(ReadAll(trailers(8, 0), kSmall).last, ParseStep::kEnd);
  EXPECT_EQ(ReadAll(trailers(9, 0), kSmall).status, 431);
  EXPECT_EQ(ReadAll(trailers(0, 510), kSmall).last, ParseStep::kEnd);
  EXPECT_EQ(ReadAll(trailers(0, 511), kSmall).status, 431);
}

TEST(RequestParser, RefusesMoreConnectionOptionsThanCanBeLookedFor) {
  std::string options = "a";
  for (std::size_t i = 1; i < kMaxConnectionOptions; ++i) options += ",a";
  EXPECT_EQ(ReadAll(With("Connection: " + options)).last, ParseStep::kEnd);
  EXPECT_EQ(ReadAll(With("Connection: " + options + ",a")).status, 400);
}

TEST(RequestParser, CanBeUsedAgainAfterARefusal) {
  RequestParser parser({});
  EXPECT_EQ(testing::Read(parser, With("X : y"), {}).last, ParseStep::kFailed);
  EXPECT_EQ(parser.Feed("GET", 0, 3), ParseStep::kFailed);
  parser.Reset();
  EXPECT_EQ(testing::Read(parser, With("X: y"), {}).last, ParseStep::kEnd);
  EXPECT_EQ(parser.status(), 0);
}

TEST(RequestHead, GivesTheFirstFieldOfAKind) {
  const std::string bytes = With("Cookie: a\r\nCookie: b");
  RequestParser parser({});
  ASSERT_EQ(parser.Feed(bytes.data(), 0, bytes.size()), ParseStep::kHead);
  EXPECT_EQ(parser.head().Get(Field::kCookie), "a");
  EXPECT_TRUE(parser.head().Has(Field::kHost));
  EXPECT_FALSE(parser.head().Has(Field::kReferer));
  EXPECT_EQ(parser.head().Get(Field::kReferer), "");
}

TEST(ClassifyField, KnowsEachNameInAnyCaseAndNothingElse) {
  const std::pair<const char*, Field> kRows[] = {
      {"Host", Field::kHost},
      {"te", Field::kTe},
      {"CONTENT-LENGTH", Field::kContentLength},
      {"Transfer-Encoding", Field::kTransferEncoding},
      {"x-forwarded-proto", Field::kXForwardedProto},
      {"Proxy-Authorization", Field::kProxyAuthorization},
      {"Sec-Fetch-Dest", Field::kSecFetchDest},
      {"Sec-Fetch-Mode", Field::kSecFetchMode},
      {"HTTP2-Settings", Field::kHttp2Settings},
      {"Via", Field::kVia},
      {"Keep-Alive", Field::kKeepAlive},
      {"User-Agent", Field::kUserAgent},
      {"Hos", Field::kOther},
      {"Hosts", Field::kOther},
      {"", Field::kOther},
      {"Content\rLength", Field::kOther},
      {"Content_Length", Field::kOther},
      {"a-name-that-is-longer-than-any", Field::kOther},
  };
  for (const auto& [name, field] : kRows) EXPECT_EQ(ClassifyField(name), field) << name;
  EXPECT_EQ(ClassifyLoosely("Content_Length"), Field::kContentLength);
  EXPECT_EQ(ClassifyLoosely("X_FORWARDED-for"), Field::kXForwardedFor);
}

}  // namespace
}  // namespace spillway
