// SPDX-License-Identifier: MIT
// Fields of HTTP/2 put together into the response head that HTTP/1 would have had, or refused.
#include "proxy/upstream_http2_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace spillway {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using List = std::vector<std::pair<std::string, std::string>>;

constexpr MessageLimits kLimits{.head = 1000, .headers = 10};

// The fields come in strings that are gone afterwards: only what the builder kept may be used.
std::string_view Build(const List& fields, Http2Response* response, bool ended = true,
                       bool to_head = false) {
  for (const auto& [name, value] : fields) {
    EXPECT_TRUE(response->Add(std::string(name), std::string(value), kLimits));
  }
  return response->TakeHead(ended, to_head);
}

List Copy(const std::vector<HeaderField>& fields) {
  List copy;
  for (const HeaderField& field : fields) copy.emplace_back(field.name, field.value);
  return copy;
}

TEST(Http2Response, TurnsItsStatusIntoAStatusAndKeepsTheRest) {
  Http2Response response;
  EXPECT_EQ(Build({{":status", "404"}, {"x-a", "1"}, {"date", "d"}}, &response), "");
  const ResponseHead& head = response.head();
  EXPECT_EQ(head.status, 404);
  EXPECT_EQ(head.reason, "Not Found");
  EXPECT_EQ(head.major, 2);
  EXPECT_THAT(Copy(head.headers), ElementsAre(Pair("x-a", "1"), Pair("date", "d")));
  EXPECT_THAT(head.fields, ElementsAre(Field::kOther, Field::kDate));
}

TEST(Http2Response, KnowsWhatKindOfBodyFollows) {
  struct Row {
    const char* status;
    const char* length;
    bool ended, to_head;
    BodyKind body;
    std::uint64_t size;
  };
  const Row rows[] = {
      {"200", nullptr, true, false, BodyKind::kLength, 0},
      {"200", nullptr, false, false, BodyKind::kChunked, 0},
      {"200", "5", false, false, BodyKind::kLength, 5},
      {"200", "0", true, false, BodyKind::kLength, 0},
      {"200", "0", false, false, BodyKind::kChunked, 0},  // trailers may follow
      {"200", "5", true, true, BodyKind::kNone, 5},
      {"200", nullptr, false, true, BodyKind::kNone, 0},
      {"204", nullptr, true, false, BodyKind::kNone, 0},
      {"304", "5", true, false, BodyKind::kNone, 5},
      {"103", nullptr, false, false, BodyKind::kNone, 0},
  };
  for (const Row& row : rows) {
    Http2Response response;
    List fields = {{":status", row.status}};
    if (row.length != nullptr) fields.emplace_back("content-length", row.length);
    EXPECT_EQ(Build(fields, &response, row.ended, row.to_head), "") << row.status;
    EXPECT_EQ(response.head().body, row.body) << row.status;
    EXPECT_EQ(response.head().content_length, row.size) << row.status;
  }
}

TEST(Http2Response, RefusesWhatCouldBeTakenInTwoWays) {
  const List rows[] = {
      {},
      {{":status", "20"}},
      {{":status", "2000"}},
      {{":status", "+20"}},
      {{":status", "099"}},
      {{":status", "600"}},
      {{":status", "101"}, {"upgrade", "websocket"}},
      {{":status", "200"}, {"connection", "close"}},
      {{":status", "200"}, {"keep-alive", "5"}},
      {{":status", "200"}, {"transfer-encoding", "chunked"}},
      {{":status", "200"}, {"upgrade", "h2c"}},
      {{":status", "200"}, {"proxy-connection", "close"}},
      {{":status", "200"}, {"content-length", "5"}},  // and it has ended
      {{":status", "200"}, {"content-length", "0"}, {"content-length", "0"}},
      {{":status", "200"}, {"content-length", "x"}},
      {{":status", "103"}, {"content-length", "5"}},
  };
  for (const List& row : rows) {
    Http2Response response;
    EXPECT_NE(Build(row, &response), "") << ::testing::PrintToString(row);
  }
}

TEST(Http2Response, KeepsNoMoreThanItsLimits) {
  Http2Response large;
  EXPECT_TRUE(large.Add(":status", "200", kLimits));
  EXPECT_TRUE(large.Add("x", std::string(900, 'y'), kLimits));
  EXPECT_FALSE(large.Add("x", std::string(100, 'y'), kLimits));
  Http2Response many;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(many.Add("x", "", kLimits));
  EXPECT_FALSE(many.Add("x", "", kLimits));
}

TEST(Http2Response, GivesTrailersAsTheyCame) {
  Http2Response trailers;
  EXPECT_TRUE(trailers.Add("grpc-status", "0", kLimits));
  EXPECT_TRUE(trailers.Add("grpc-message", "", kLimits));
  EXPECT_THAT(Copy(trailers.TakeTrailers()),
              ElementsAre(Pair("grpc-status", "0"), Pair("grpc-message", "")));
}

}  // namespace
}  // namespace spillway
