// SPDX-License-Identifier: MIT
// Fields of HTTP/2 put together into the head that HTTP/1 would have had, or refused.
#include "proxy/http2_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/fields.h"
#include "proxy/http2.h"

namespace spillway {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using List = std::vector<std::pair<std::string, std::string>>;

// The fields come in strings that are gone afterwards: only what the builder kept may be used.
std::unique_ptr<Http2Request> Build(const List& fields, bool ended = true,
                                    const MessageLimits& limits = {}) {
  auto request = std::make_unique<Http2Request>();
  for (const auto& [name, value] : fields) {
    request->builder.Add(std::string(name), std::string(value), limits);
  }
  request->builder.TakeHead(ended, request.get());
  return request;
}

List With(List more, const std::string& method = "GET", const std::string& path = "/") {
  List fields = {
      {":method", method}, {":scheme", "https"}, {":path", path}, {":authority", "a.example"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

List Headers(const Http2Request& request) {
  List copy;
  for (const HeaderField& field : request.head.headers) copy.emplace_back(field.name, field.value);
  return copy;
}

TEST(Http2Head, TurnsPseudoFieldsIntoMethodTargetAndHost) {
  const auto request = Build(With({{"x-a", "1"}, {"user-agent", "u"}}, "DELETE", "/p?q"));
  EXPECT_EQ(request->refusal, 0);
  EXPECT_EQ(request->head.method, "DELETE");
  EXPECT_EQ(request->head.target, "/p?q");
  EXPECT_EQ(request->head.major, 2);
  EXPECT_EQ(request->head.minor, 1);
  EXPECT_TRUE(request->ended);
  EXPECT_FALSE(request->tunnel);
  EXPECT_THAT(Headers(*request),
              ElementsAre(Pair("host", "a.example"), Pair("x-a", "1"), Pair("user-agent", "u")));
  EXPECT_THAT(request->head.fields, ElementsAre(Field::kHost, Field::kOther, Field::kUserAgent));
}

TEST(Http2Head, JoinsCookieCrumbsInOrderBehindTheRest) {
  EXPECT_THAT(
      Headers(*Build(With({{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}, {"cookie", ""}}))),
      ElementsAre(Pair("host", "a.example"), Pair("x", "y"), Pair("cookie", "a=1; b=2; ")));
  EXPECT_THAT(Headers(*Build(With({{"cookie", "a=1"}}))),
              ElementsAre(Pair("host", "a.example"), Pair("cookie", "a=1")));
}

TEST(Http2Head, KeepsOneHostHoweverItIsNamed) {
  const List no_authority = {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}};
  List host = no_authority, two = no_authority;
  host.emplace_back("host", "h.example");
  two.emplace_back("host", "h.example");
  two.emplace_back("host", "h.example");
  EXPECT_THAT(Headers(*Build(host)), ElementsAre(Pair("host", "h.example")));
  EXPECT_EQ(Build(two)->refusal, 400);
  EXPECT_EQ(Build(no_authority)->refusal, 400);
  EXPECT_THAT(Headers(*Build(With({{"host", "A.Example"}}))),
              ElementsAre(Pair("host", "a.example")));
  EXPECT_EQ(Build(With({{"host", "b.example"}}))->refusal, 400);
}

struct Body {
  const char* why;
  List fields;
  bool ended;
  BodyKind kind;
  std::uint64_t length;
};
const Body kBodies[] = {
    {"nothing follows", With({}), true, BodyKind::kNone, 0},
    {"something follows", With({}, "POST"), false, BodyKind::kChunked, 0},
    {"its length is known", With({{"content-length", "7"}}, "POST"), false, BodyKind::kLength, 7},
    {"its length is 0", With({{"content-length", "0"}}, "POST"), false, BodyKind::kLength, 0},
    {"its length is 0 and it has ended", With({{"content-length", "0"}}, "POST"), true,
     BodyKind::kLength, 0},
};
TEST(Http2Head, FramesTheBodyByItsLengthOrElseInChunks) {
  for (const Body& each : kBodies) {
    SCOPED_TRACE(each.why);
    const auto request = Build(each.fields, each.ended);
    EXPECT_EQ(request->refusal, 0);
    EXPECT_EQ(request->head.body, each.kind);
    EXPECT_EQ(request->head.content_length, each.length);
  }
}

struct Refused {
  const char* why;
  List fields;
  int status = 400;
};
const Refused kRefused[] = {
    {"unknown method", With({}, "BREW"), 501},
    {"method in lower case", With({}, "get"), 501},
    {"CONNECT to anywhere", {{":method", "CONNECT"}, {":authority", "a:443"}}, 501},
    {"another protocol over CONNECT", With({{":protocol", "connect-udp"}}, "CONNECT"), 501},
    {"a protocol without CONNECT", With({{":protocol", "websocket"}}), 501},
    {"a scheme that is not HTTP's",
     {{":method", "GET"}, {":scheme", "ftp"}, {":path", "/"}, {":authority", "a.example"}}},
    {"a scheme with a URL in it",
     {{":method", "GET"}, {":scheme", "http://b/?"}, {":path", "/"}, {":authority", "a.example"}}},
    {"no target", With({}, "GET", "")},
    {"target without a slash", With({}, "GET", "x")},
    {"target in the absolute form", With({}, "GET", "http://b.example/")},
    {"target * without OPTIONS", With({}, "GET", "*")},
    {"space in the target", With({}, "GET", "/a b")},
    {"CR and LF in the target", With({}, "GET", "/\r\nx: y")},
    {"fragment", With({}, "GET", "/#x")},
    {"two lengths", With({{"content-length", "1"}, {"content-length", "1"}}, "POST")},
    {"a length that is none", With({{"content-length", "+1"}}, "POST")},
    {"expects something else", With({{"expect", "x"}}, "POST"), 417},
    {"hops that are no number", With({{"max-forwards", "x"}}, "OPTIONS")},
    {"two numbers of hops", With({{"max-forwards", "1"}, {"max-forwards", "1"}}, "TRACE")},
};
TEST(Http2Head, RefusesWhatTheFrameLayerDoesNotLookAt) {
  for (const Refused& each : kRefused) {
    SCOPED_TRACE(each.why);
    const auto request = Build(each.fields, false);
    EXPECT_EQ(request->refusal, each.status);
    EXPECT_NE(request->reason, "");
  }
}

TEST(Http2Head, LimitsTargetHeadAndNumberOfFields) {
  const MessageLimits limits{.head = 200, .headers = 8, .target = 20};
  EXPECT_EQ(Build(With({}, "GET", "/" + std::string(19, 'x')), true, limits)->refusal, 0);
  EXPECT_EQ(Build(With({}, "GET", "/" + std::string(20, 'x')), true, limits)->refusal, 414);
  EXPECT_EQ(Build(With({{"x", std::string(200, 'y')}}), true, limits)->refusal, 431);
  EXPECT_EQ(Build(With(List(8, {"x", "y"})), true, limits)->refusal, 0);
  EXPECT_EQ(Build(With(List(9, {"x", "y"})), true, limits)->refusal, 431);
  EXPECT_EQ(Build(With(List(9, {"cookie", "y"})), true, limits)->refusal, 431);
}

TEST(Http2Head, KeepsNothingBeyondTheLimitsButCountsIt) {
  Http2Request request;
  for (int i = 0; i < 1000; ++i) {
    request.builder.Add("x-name", std::string(1000, 'y'), {.head = 4096});
  }
  EXPECT_GT(request.builder.bytes(), 1'000'000u);
  request.builder.TakeHead(true, &request);
  EXPECT_EQ(request.refusal, 431);
  EXPECT_LE(request.head.headers.size(), 5u);
}

TEST(Http2Head, IsAsNewWhenCleared) {
  auto request =
      Build(With({{":protocol", "other"}, {"cookie", "a=1"}, {"x", "y"}}, "BREW"), false);
  request->builder.BeginTrailers();
  request->builder.Add("x-sum", "1", {});
  request->builder.TakeTrailers(request.get());
  EXPECT_NE(request->refusal, 0);
  request->Clear();
  for (const auto& [name, value] : With({{"accept", "*/*"}})) request->builder.Add(name, value, {});
  request->builder.TakeHead(true, request.get());
  EXPECT_EQ(request->refusal, 0);
  EXPECT_EQ(request->reason, "");
  EXPECT_TRUE(request->ended);
  EXPECT_EQ(request->head.method, "GET");
  EXPECT_EQ(request->head.body, BodyKind::kNone);
  EXPECT_THAT(Headers(*request), ElementsAre(Pair("host", "a.example"), Pair("accept", "*/*")));
  EXPECT_EQ(request->head.fields.size(), 2u);
  EXPECT_TRUE(request->trailers.empty());
}

TEST(Http2Head, SeesAWebSocketOverConnectAsAnUpgrade) {
  const auto request =
      Build(With({{":protocol", "websocket"}, {"sec-websocket-version", "13"}}, "CONNECT"), false);
  EXPECT_EQ(request->refusal, 0);
  EXPECT_TRUE(request->tunnel);
  EXPECT_EQ(request->head.method, "GET");
  EXPECT_EQ(request->head.upgrade, "websocket");
  EXPECT_EQ(request->head.body, BodyKind::kNone);
  const auto ended = Build(With({{":protocol", "websocket"}}, "CONNECT"), true);
  EXPECT_FALSE(ended->tunnel);
  EXPECT_EQ(ended->refusal, 501);
}

TEST(Http2Head, TakesTrailersWithoutMovingTheHead) {
  auto request = Build(With({{"x", "y"}}, "POST"), false);
  request->builder.BeginTrailers();
  for (int i = 0; i < 50; ++i) {
    request->builder.Add("t-" + std::to_string(i), std::string(100, 'z'), {});
  }
  request->builder.Add("cookie", "c", {});
  request->builder.TakeTrailers(request.get());
  EXPECT_EQ(request->refusal, 0);
  ASSERT_EQ(request->trailers.size(), 51u);
  EXPECT_EQ(request->trailers[49].name, "t-49");
  EXPECT_EQ(request->trailers[50].name, "cookie");
  EXPECT_THAT(Headers(*request), ElementsAre(Pair("host", "a.example"), Pair("x", "y")));
}

TEST(Http2Head, RefusesTrailersBeyondTheLimits) {
  auto request = Build(With({}, "POST"), false);
  request->builder.BeginTrailers();
  request->builder.Add("t", std::string(40'000, 'z'), {});
  request->builder.TakeTrailers(request.get());
  EXPECT_EQ(request->refusal, 431);
}

}  // namespace
}  // namespace spillway
