// SPDX-License-Identifier: MIT
// What is read as a plain head, and what is left to llhttp. That both read alike is shown by the tests
// that cut messages into pieces, and by the fuzzers.
#include "proxy/http1_plain.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/http1_feeding.h"

namespace spillway {
namespace {

using namespace std::string_literals;

constexpr MessageLimits kLimits{.head = 4096, .headers = 4, .target = 16};

template <typename Head>
std::size_t Plain(const std::string& bytes) {
  const testing::Block block(bytes);  // so that reading behind its end is seen
  Head head;
  return ReadPlainHead({block.get(), bytes.size()}, kLimits, &head);
}

std::string Request(const std::string& lines) {
  return "GET / HTTP/1.1\r\n" + lines + "\r\n\r\n";
}
std::string Response(const std::string& lines) {
  return "HTTP/1.1 200 OK\r\n" + lines + "\r\n\r\n";
}

TEST(PlainHead, IsReadAsItStands) {
  const std::string bytes =
      "POST /a?b=c HTTP/1.1\r\nhOST: h\r\nX-Tab: \ta\tb \t\r\nX-Empty:\r\nContent-Length: "
      "12\r\n\r\nbody";
  RequestHead head;
  ASSERT_EQ(ReadPlainHead(bytes, kLimits, &head), bytes.size() - 4);
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/a?b=c");
  EXPECT_EQ(testing::Copy(head.headers),
            (testing::Fields{
                {"hOST", "h"}, {"X-Tab", "a\tb"}, {"X-Empty", ""}, {"Content-Length", "12"}}));
  EXPECT_EQ(std::vector(head.fields.begin(), head.fields.end()),
            (std::vector{Field::kHost, Field::kOther, Field::kOther, Field::kContentLength}));
  EXPECT_TRUE(head.Has(Field::kHost));
  EXPECT_FALSE(head.Has(Field::kCookie));
}

TEST(PlainHead, OfAResponseHasItsStatusAndReason) {
  const std::string bytes = "HTTP/1.1 404 Not Found\r\nServer: s\r\n\r\n";
  ResponseHead head;
  ASSERT_EQ(ReadPlainHead(bytes, kLimits, &head), bytes.size());
  EXPECT_EQ(head.status, 404);
  EXPECT_EQ(head.reason, "Not Found");
  EXPECT_EQ(head.Get(Field::kServer), "s");
}

TEST(PlainHead, IsNotSeenBeforeItIsWhole) {
  const std::string request = Request("Host: host.example\r\nA: b"),
                    response = Response("Server: s");
  for (std::size_t size = 0; size < request.size(); ++size) {
    EXPECT_EQ(Plain<RequestHead>(request.substr(0, size)), 0u) << size;
  }
  for (std::size_t size = 0; size < response.size(); ++size) {
    EXPECT_EQ(Plain<ResponseHead>(response.substr(0, size)), 0u) << size;
  }
  EXPECT_EQ(Plain<RequestHead>(request), request.size());
  EXPECT_EQ(Plain<ResponseHead>(response), response.size());
}

TEST(PlainHead, LeavesAllThatIsUnusualToLlhttp) {
  const std::string kRequests[] = {
      "\r\n" + Request("Host: h"),
      "get / HTTP/1.1\r\nHost: h\r\n\r\n",
      "PROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n",
      "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /  HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET * HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /\x80 HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /1234567890123456 HTTP/1.1\r\nHost: h\r\n\r\n",  // longer than the limit
      "GET / HTTP/1.0\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.1\nHost: h\r\n\r\n",
      "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
      Request("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5"),  // more than the limit
  };
  for (const std::string& bytes : kRequests) EXPECT_EQ(Plain<RequestHead>(bytes), 0u) << bytes;
  const std::string kLines[] = {
      "Host : h",
      " Host: h",
      ": h",
      "Host",
      "Ho st: h",
      "H\x80st: h",
      "A: b\r\n c",
      "A: b\r\n\tc",
      "A: b\rc",
      "A: b\nB: c",
      "A: "s + '\0' + "b",
      "A: \x7f",
      "A: \x1f",
      "Content-Length: 1\r\nContent-Length: 1",
      "Content-Length:",
      "Content-Length: +1",
      "Content-Length: 1 2",
      "Content-Length: 1\t",
      "Content-Length: 1 ",
      "Content-Length: 1234567890123456789",
      "Transfer-Encoding: chunked",
      "Upgrade: websocket",
  };
  for (const std::string& lines : kLines) {
    EXPECT_EQ(Plain<RequestHead>(Request(lines)), 0u) << lines;
    EXPECT_EQ(Plain<ResponseHead>(Response(lines)), 0u) << lines;
  }
  const std::string kResponses[] = {
      "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
      "HTTP/1.1 600 No\r\n\r\n",       "HTTP/1.1 2000 No\r\n\r\n",
      "HTTP/1.1 200\r\n\r\n",          "HTTP/1.0 200 OK\r\n\r\n",
      "HTTP/1.1  200 OK\r\n\r\n",      "HTTP/1.1 200 O\x01K\r\n\r\n",
  };
  for (const std::string& bytes : kResponses) EXPECT_EQ(Plain<ResponseHead>(bytes), 0u) << bytes;
}

}  // namespace
}  // namespace spillway
