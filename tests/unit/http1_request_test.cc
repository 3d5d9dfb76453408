// SPDX-License-Identifier: MIT
// Honest requests, and the limits of what is taken.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "proxy/fields.h"
#include "proxy/http1.h"
#include "proxy/http1_body.h"
#include "tests/unit/http1_requests.h"

namespace spillway {
namespace {

using namespace std::string_literals;
using testing::Reading;

constexpr MessageLimits kSmall{.head = 512, .headers = 8, .target = 64};

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

TEST(RequestParser, CountsForwardsOfOptionsAndTraceOnly) {
  const struct {
    std::string_view method, field;
    std::optional<std::uint32_t> left;
  } kRows[] = {
      {"OPTIONS", "Max-Forwards: 0", 0},
      {"OPTIONS", "max-forwards:  7 ", 7},
      {"TRACE", "Max-Forwards: 007", 7},
      {"TRACE", "Max-Forwards: 2147483647", 2147483647},
      {"TRACE", "Max-Forwards: 2147483648", 2147483647},
      {"OPTIONS", "Max-Forwards: 99999999999999999999999", 2147483647},
      {"OPTIONS", "X: y", std::nullopt},
      {"GET", "Max-Forwards: 0", std::nullopt},
      {"GET", "Max-Forwards: none", std::nullopt},
  };
  RequestParser parser({});  // one for all: nothing is left of the request before
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.field);
    const std::string bytes = std::string(row.method) + " / HTTP/1.1\r\nHost: h\r\n" +
                              std::string(row.field) + "\r\n\r\n";
    ASSERT_EQ(parser.Feed(bytes.data(), 0, bytes.size()), ParseStep::kHead) << parser.error();
    EXPECT_EQ(parser.head().max_forwards, row.left);
    parser.Reset();
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

struct Offer {
  const char* upgrade;
  bool passes;
};
const Offer kOffers[] = {
    {"websocket", true},
    {"WebSocket/13", true},
    {", websocket ,\tfoo/1.0", true},
    {"xh2c", true},
    {",", false},
    {"web socket", false},
    {"web socket/", false},
    {"websocket/", false},
    {"/websocket", false},
    {"websocket/1/2", false},
    {"websocket\th2c", false},
    {"websocket;q=1", false},
    {"\"websocket\"", false},
    {"(websocket)", false},
    {"web\xc3\xa4socket", false},
    {"h2", false},
    {"h2c foo", false},
    {"\"h2c\"", false},
    {"h2c;q=1", false},
    {"/h2c", false},
    {"h2c-16", false},
    {"H2-14", false},
    {"h3-29", false},
    {"http2", false},
    {"HTTP/2.0", false},
    {"https", false},
    {"TLS-1.2", false},
    {"tls/1.3", false},
    {"websocket, foo bar", false},
    {"websocket, H2C-14", false},
};
TEST(RequestParser, OffersProtocolsThatAreWrittenAsSuchAndDoNotCarryHttp) {
  for (const Offer& each : kOffers) {
    const std::string upgrade = each.upgrade;
    const Reading r = ReadAll(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: " + upgrade + "\r\n\r\n");
    EXPECT_EQ(r.last, ParseStep::kEnd) << r;
    EXPECT_EQ(r.upgrade, each.passes ? upgrade : "") << upgrade;
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
