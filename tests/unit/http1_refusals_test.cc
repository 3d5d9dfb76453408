// SPDX-License-Identifier: MIT
// Treacherous requests: what could be read in two ways is refused, however it is cut.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/fields.h"
#include "proxy/http1.h"
#include "tests/unit/http1_requests.h"

namespace spillway {
namespace {

using namespace std::string_literals;
using testing::Reading;

struct Refused {
  const char* why;
  std::string bytes;
  int status = 400;
};

std::string Options(const std::string& fields) {
  return "OPTIONS / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n\r\n";
}

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
    {"the beginning of a method", "GE / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
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
    {"Max-Forwards without a number", Options("Max-Forwards:")},
    {"Max-Forwards with a sign", Options("Max-Forwards: +1")},
    {"negative Max-Forwards", Options("Max-Forwards: -1")},
    {"Max-Forwards with letters", Options("Max-Forwards: 1a")},
    {"Max-Forwards as a list", Options("Max-Forwards: 1, 1")},
    {"two Max-Forwards", Options("Max-Forwards: 1\r\nMax-Forwards: 0")},
    {"two equal Max-Forwards", Options("Max-Forwards: 1\r\nmax-forwards: 1")},
    {"Max-Forwards of TRACE without a number",
     "TRACE / HTTP/1.1\r\nHost: h\r\nMax-Forwards: x\r\n\r\n"},
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

}  // namespace
}  // namespace spillway
