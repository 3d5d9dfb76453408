// SPDX-License-Identifier: MIT
// What is written for the next hop: every rule of forwarding, and the property that what is written
// reads back as the same message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <span>
#include <string>
#include <vector>

#include "proxy/fields.h"
#include "proxy/http1.h"
#include "tests/unit/http1_feeding.h"

namespace spillway {
namespace {

using namespace std::string_literals;
using ::testing::HasSubstr;
using ::testing::Not;

// A request that was parsed, and the way it is to be forwarded.
struct Hop {
  explicit Hop(std::string_view fields, std::string_view start = "GET /a?b HTTP/1.1") : parser({}) {
    bytes = std::string(start) + "\r\nHost: shop.example\r\n" + std::string(fields) + "\r\n";
    step = parser.Feed(bytes.data(), 0, bytes.size());
    EXPECT_EQ(step, ParseStep::kHead) << parser.error() << "\n" << bytes;
    forward.target = parser.head().target;
    forward.host = "app.internal";
    forward.client_address = "192.0.2.7";
    forward.peer_address = "10.0.0.9";
    forward.scheme = "https";
    forward.client_host = "shop.example";
    forward.request_id = "id-1";
  }
  std::string Write() {
    std::string out = "left over";
    WriteRequestHead(parser.head(), forward, &out);
    return out;
  }

  RequestParser parser;
  std::string bytes;
  ParseStep step;
  ForwardRequest forward;
};

TEST(WriteRequestHead, WritesTheWholeHeadAnew) {
  Hop hop("User-Agent:   curl\r\nX-Empty:\r\nAccept: */*\r\n");
  EXPECT_EQ(hop.Write(),
            "GET /a?b HTTP/1.1\r\n"
            "Host: app.internal\r\n"
            "User-Agent: curl\r\n"
            "X-Empty: \r\n"
            "Accept: */*\r\n"
            "X-Forwarded-For: 192.0.2.7\r\n"
            "X-Forwarded-Proto: https\r\n"
            "X-Forwarded-Host: shop.example\r\n"
            "X-Request-Id: id-1\r\n"
            "Via: 1.1 spillway\r\n"
            "\r\n");
}

TEST(WriteRequestHead, CountsItselfAsOneOfTheHopsThatPassARequestOn) {
  EXPECT_THAT(Hop("Max-Forwards: 1\r\n", "OPTIONS /a HTTP/1.1").Write(),
              HasSubstr("\r\nMax-Forwards: 0\r\n"));
  EXPECT_THAT(Hop("max-forwards: 99999999999\r\n", "TRACE /a HTTP/1.1").Write(),
              HasSubstr("\r\nMax-Forwards: 2147483646\r\n"));
  EXPECT_THAT(Hop("Max-Forwards: x\r\n").Write(), HasSubstr("\r\nMax-Forwards: x\r\n"));
  // No client may make us drop it.
  Hop hop("Max-Forwards: 3\r\nConnection: max-forwards\r\n", "OPTIONS /a HTTP/1.1");
  EXPECT_THAT(hop.Write(), HasSubstr("\r\nMax-Forwards: 2\r\n"));
  const HeaderToSet set[] = {{"max-forwards", "9"}};
  hop.forward.set_headers = set;
  EXPECT_THAT(hop.Write(), HasSubstr("\r\nmax-forwards: 9\r\n"));
  EXPECT_THAT(hop.Write(), Not(HasSubstr("Max-Forwards")));
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return lower;
}

// What goes to a server of HTTP/2 is the same head: another host, another identity would be another
// rule for each version.
TEST(ListRequestFields, SaysWhatTheWrittenHeadSays) {
  for (const bool trusted : {false, true}) {
    Hop hop(
        "User-Agent: curl\r\nX-Forwarded-For: 192.0.2.1\r\nForwarded: for=a\r\nX-Real-Ip: b\r\n"
        "Connection: x-hop\r\nX-Hop: 1\r\nX_Score: 2\r\nTE: trailers\r\nContent-Length: 3\r\n",
        "POST /a?b HTTP/1.1");
    const HeaderToSet set[] = {{"X-Set", "1\r\n2"}, {"user-agent", "rule"}};
    hop.forward.set_headers = set;
    hop.forward.peer_trusted = trusted;
    hop.forward.framing = {BodyKind::kLength, 3};
    std::vector<HeaderField> fields;
    std::string text;
    ListRequestFields(hop.parser.head(), hop.forward, &fields, &text);
    ASSERT_GE(fields.size(), 3u);
    std::vector<std::string> listed, written;
    for (const HeaderField& field : std::span(fields).subspan(3)) {
      listed.push_back(Lower(field.name) + ": " + std::string(field.value));
    }
    const std::string head = hop.Write();
    for (std::size_t at = head.find("\r\n") + 2; head.compare(at, 2, "\r\n") != 0;) {
      const std::size_t end = head.find("\r\n", at), colon = head.find(':', at);
      written.push_back(Lower(head.substr(at, colon - at)) + head.substr(colon, end - colon));
      at = end + 2;
    }
    EXPECT_EQ(fields[0].value, "POST");
    EXPECT_EQ(fields[1].value, "/a?b");
    EXPECT_EQ(fields[2].value, "app.internal");
    std::erase(written, "host: app.internal");
    EXPECT_EQ(std::erase(listed, "te: trailers"), 1u);
    EXPECT_THAT(listed, ::testing::UnorderedElementsAreArray(written));
  }
}

TEST(WriteRequestHead, PassesNoNameThatIsAKnownOneToAServerThatReadsDotsAsDashes) {
  const std::string ruled[] = {"x-role.name", "x-tenant"};
  for (const bool trusted : {false, true}) {
    Hop hop(
        "X.Forwarded.For: 1\r\nx-real.ip: 1\r\nTransfer.Encoding: 1\r\nX.Original.URL: 1\r\n"
        "X.Tenant: 1\r\nX-Edge.IP: 1\r\nX.Role.Name: 1\r\nX-Role.Name: 2\r\nX.Other: 3\r\n");
    hop.forward.relied_on = {.address_header = "x-edge-ip", .ruled_fields = ruled};
    hop.forward.peer_trusted = trusted;
    const std::string head = hop.Write();
    EXPECT_THAT(head, Not(HasSubstr(": 1\r\n")));
    EXPECT_THAT(head, HasSubstr("\r\nX-Role.Name: 2\r\nX.Other: 3\r\n"));
  }
}

TEST(WriteRequestHead, SendsAnOriginFormAlways) {
  Hop hop("", "GET http://h HTTP/1.1");
  hop.forward.target = "";
  EXPECT_THAT(hop.Write(), HasSubstr("GET / HTTP/1.1\r\n"));
  hop.forward.target = "?x";
  EXPECT_THAT(hop.Write(), HasSubstr("GET /?x HTTP/1.1\r\n"));
}

TEST(WriteRequestHead, DropsWhatBelongsToTheConnection) {
  Hop hop(
      "Connection: close, X-Hop, x-other\r\nX-Hop: 1\r\nX-OTHER: 2\r\nX-Stays: 3\r\nKeep-Alive: "
      "5\r\n"
      "Proxy-Connection: x\r\nTE: trailers\r\nTrailer: X-Sum\r\nUpgrade: "
      "websocket\r\nHTTP2-Settings: x\r\n"
      "Proxy-Authorization: secret\r\n");
  const std::string out = hop.Write();
  for (const char* name : {"Connection:", "X-Hop", "X-OTHER", "Keep-Alive", "Proxy-",
                           "TE:", "Upgrade:", "HTTP2-Settings", "secret"}) {
    EXPECT_THAT(out, Not(HasSubstr(name)));
  }
  EXPECT_THAT(out, HasSubstr("X-Stays: 3\r\n"));
  EXPECT_THAT(out, HasSubstr("Trailer: X-Sum\r\n"));
}

TEST(WriteRequestHead, LetsConnectionRemoveNoFieldThatItKnows) {
  Hop hop(
      "Connection: Host, Content-Length, X-Forwarded-For, X-Real-IP, Cookie, Authorization, Via, "
      "close\r\n"
      "X-Forwarded-For: 198.51.100.1\r\nX-Real-IP: 198.51.100.1\r\nCookie: a=b\r\nAuthorization: "
      "t\r\n"
      "Content-Length: 3\r\n",
      "POST / HTTP/1.1");
  hop.forward.peer_trusted = true;
  hop.forward.framing = {BodyKind::kLength, 3};
  const std::string out = hop.Write();
  for (const char* line : {"Host: app.internal\r\n", "Content-Length: 3\r\n", "Cookie: a=b\r\n",
                           "Authorization: t\r\n", "X-Real-IP: 198.51.100.1\r\n",
                           "X-Forwarded-For: 198.51.100.1, 10.0.0.9\r\n", "Via: "}) {
    EXPECT_THAT(out, HasSubstr(line));
  }
}

TEST(WriteRequestHead, BelievesNothingThatAnUntrustedPeerForwards) {
  Hop hop(
      "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nX-Forwarded-Proto: gopher\r\n"
      "X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /evil\r\nForwarded: "
      "for=3.3.3.3\r\n"
      "X-Real-IP: 4.4.4.4\r\nX-Request-Id: evil\r\nX_Forwarded_For: 5.5.5.5\r\nContent_Length: "
      "6\r\n");
  const std::string out = hop.Write();
  for (const char* trace : {"1.1.1.1", "2.2.2.2", "gopher", "evil", "3.3.3.3", "4.4.4.4", "5.5.5.5",
                            "Port", "Content"}) {
    EXPECT_THAT(out, Not(HasSubstr(trace)));
  }
  EXPECT_THAT(out, HasSubstr("X-Forwarded-For: 192.0.2.7\r\n"));
  EXPECT_THAT(out, HasSubstr("X-Forwarded-Proto: https\r\n"));
  EXPECT_THAT(out, HasSubstr("X-Forwarded-Host: shop.example\r\n"));
}

TEST(WriteRequestHead, PassesNoProxyFieldWhoeverSentIt) {
  Hop hop("pROXY: http://evil.example/\r\nProxy-Status: fine\r\n");
  for (bool trusted : {false, true}) {
    hop.forward.peer_trusted = trusted;
    EXPECT_THAT(hop.Write(), Not(HasSubstr("evil")));
    EXPECT_THAT(hop.Write(), HasSubstr("\r\nProxy-Status: fine\r\n"));
  }
}

TEST(WriteRequestHead, ExtendsWhatATrustedPeerForwards) {
  Hop hop(
      "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2, 3.3.3.3\r\nX-Forwarded-Proto: http\r\n"
      "X-Forwarded-Host: outer.example\r\nX-Forwarded-Port: 81\r\nForwarded: for=1.1.1.1\r\n"
      "X-Real-IP: 1.1.1.1\r\n");
  hop.forward.peer_trusted = true;
  hop.forward.peer_address = "2001:db8::9";
  hop.forward.client_host = "shop.example:8080";
  const std::string out = hop.Write();
  for (const char* line : {"X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 2001:db8::9\r\n",
                           "X-Forwarded-Proto: http\r\n", "X-Forwarded-Host: outer.example\r\n",
                           "X-Forwarded-Port: 81\r\n", "X-Real-IP: 1.1.1.1\r\n",
                           "Forwarded: for=1.1.1.1, "
                           "for=\"[2001:db8::9]\";host=\"shop.example:8080\";proto=https\r\n"}) {
    EXPECT_THAT(out, HasSubstr(line));
  }
  EXPECT_THAT(out, Not(HasSubstr("https\r\nX-Forwarded-Proto")));
}

TEST(WriteRequestHead, SaysByWhichVersionTheRequestCame) {
  Hop hop("Via: 1.1 first\r\n", "GET / HTTP/1.0");
  EXPECT_THAT(hop.Write(), HasSubstr("Via: 1.1 first\r\n"));
  EXPECT_THAT(hop.Write(), HasSubstr("Via: 1.0 spillway\r\n"));
}

TEST(WriteRequestHead, FramesTheBodyAsTold) {
  Hop hop("Content-Length: 3\r\n", "POST / HTTP/1.1");
  hop.forward.framing = {BodyKind::kLength, 0};
  EXPECT_THAT(hop.Write(), HasSubstr("Content-Length: 0\r\n"));
  hop.forward.framing = {BodyKind::kLength, UINT64_MAX};
  EXPECT_THAT(hop.Write(), HasSubstr("Content-Length: 18446744073709551615\r\n"));
  hop.forward.framing = {BodyKind::kChunked, 0};
  EXPECT_THAT(hop.Write(), HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(hop.Write(), Not(HasSubstr("Content-Length")));
  hop.forward.framing = {};
  EXPECT_THAT(hop.Write(), Not(HasSubstr("Content-Length")));
}

TEST(WriteRequestHead, PassesExpectAndUpgradeOnlyWhenTold) {
  Hop post("Expect: 100-continue\r\nContent-Length: 1\r\n", "POST / HTTP/1.1");
  EXPECT_THAT(post.Write(), Not(HasSubstr("Expect")));
  post.forward.expect_continue = true;
  EXPECT_THAT(post.Write(), HasSubstr("Expect: 100-continue\r\n"));

  Hop get("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n");
  EXPECT_THAT(get.Write(), Not(HasSubstr("pgrade")));
  get.forward.upgrade = true;
  EXPECT_THAT(get.Write(), HasSubstr("Connection: upgrade\r\nUpgrade: websocket\r\n"));
  EXPECT_THAT(get.Write(), HasSubstr("Sec-WebSocket-Key: k\r\n"));
}

TEST(WriteRequestHead, LetsRulesReplaceFieldsButNotFraming) {
  Hop hop("X-Tier: gold\r\nX-Tier: silver\r\nCookie: a\r\n");
  const HeaderToSet set[] = {
      {"x-tier", "lead"},    {"X-TIER", "bronze"},       {"Cookie", ""},
      {"Host", "other"},     {"Content-Length", "5"},    {"transfer_encoding", "chunked"},
      {"Connection", "x"},   {"X-Forwarded-For", "0.0"}, {"bad name", "x"},
      {"X-Request-Id", "r"}, {"X-Split", "a\r\nEvil: b"}};
  hop.forward.set_headers = set;
  const std::string out = hop.Write();
  for (const char* line :
       {"X-TIER: bronze\r\n", "Cookie: \r\n", "Host: other\r\n", "X-Forwarded-For: 0.0\r\n",
        "X-Request-Id: r\r\n", "X-Split: a  Evil: b\r\n"}) {
    EXPECT_THAT(out, HasSubstr(line));
  }
  for (const char* trace : {"gold", "silver", "lead", "app.internal", "Content-Length", "chunked",
                            "Connection", "192.0.2.7", "bad name", "id-1", "\r\nEvil"}) {
    EXPECT_THAT(out, Not(HasSubstr(trace)));
  }
}

// The second engine: what was written is read again by the parser, as the upstream would.
TEST(WriteRequestHead, WritesWhatReadsBackAsTheSameMessage) {
  std::mt19937 random(20240607);
  const auto pick = [&random](std::initializer_list<const char*> from) {
    return std::string(from.begin()[random() % from.size()]);
  };
  for (int round = 0; round < 3000; ++round) {
    std::string fields;
    for (auto i = random() % 12; i > 0; --i) {
      fields += pick({"Connection", "X-A", "x-b", "Via", "Forwarded", "X-Forwarded-For",
                      "X_Forwarded_For", "Cookie", "X-Real-IP", "TE", "Upgrade", "Keep-Alive",
                      "X-Forwarded-Proto", "Accept", "Trailer"}) +
                ":" +
                pick({"", " ", " a", "\tx-a, X-B ", " close", "upgrade", " host", " \xff\"\\", ",,",
                      " x-forwarded-for"}) +
                "\r\n";
    }
    Hop hop(fields, pick({"GET / HTTP/1.1", "POST /x?y=%00 HTTP/1.1", "HEAD //a/../ HTTP/1.0",
                          "PUT /; HTTP/1.1"}));
    hop.forward.peer_trusted = random() % 2 == 0;
    hop.forward.upgrade = random() % 2 == 0;
    hop.forward.framing = {static_cast<BodyKind>(random() % 3), random() % 1000};
    if (hop.forward.framing.body != BodyKind::kLength) hop.forward.framing.content_length = 0;
    const std::string out = hop.Write();

    RequestParser again({});
    ASSERT_EQ(again.Feed(out.data(), 0, out.size()), ParseStep::kHead) << again.error() << "\n"
                                                                       << out;
    const RequestHead& before = hop.parser.head();
    const RequestHead& after = again.head();
    EXPECT_EQ(again.taken(), out.size());
    EXPECT_EQ(after.method, before.method);
    EXPECT_EQ(after.target, before.target);
    EXPECT_EQ(after.Get(Field::kHost), "app.internal");
    EXPECT_EQ(after.body, hop.forward.framing.body);
    EXPECT_EQ(after.content_length, hop.forward.framing.content_length);
    EXPECT_TRUE(after.keep_alive);
    EXPECT_EQ(after.Has(Field::kConnection), hop.forward.upgrade && !before.upgrade.empty());
    // Every field that passes, passes unchanged and in order.
    std::vector<std::string> kept, came;
    for (const HeaderField& field : after.headers) {
      if (ClassifyField(field.name) == Field::kOther)
        kept.push_back(std::string(field.name) + ":" + std::string(field.value));
    }
    for (const HeaderField& field : before.headers) {
      const bool own = ClassifyLoosely(field.name) != Field::kOther ||
                       field.name.find('_') != std::string_view::npos;
      if (!own && !ConnectionLists(before.headers, before.fields, field.name)) {
        came.push_back(std::string(field.name) + ":" + std::string(field.value));
      }
    }
    EXPECT_EQ(kept, came) << hop.bytes << "\n" << out;
  }
}

// A response that was parsed, and the way it is to be forwarded.
struct Back {
  explicit Back(std::string_view head_bytes, std::string_view method = "GET")
      : bytes(std::string(head_bytes) + "\r\n"), parser({}) {
    parser.Reset(method);
    EXPECT_EQ(parser.Feed(bytes.data(), 0, bytes.size()), ParseStep::kHead) << parser.error();
    forward.framing = {parser.head().body, parser.head().content_length};
  }
  std::string Write() {
    std::string out = "left over";
    WriteResponseHead(parser.head(), forward, &out);
    return out;
  }

  std::string bytes;
  ResponseParser parser;
  ForwardResponse forward;
};

TEST(WriteResponseHead, WritesTheWholeHeadAnew) {
  Back answer(
      "HTTP/1.0 200 Fine\r\nServer: x\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: "
      "5\r\nUpgrade: h2c\r\n"
      "Proxy-Authenticate: x\r\nX-Request-Id: theirs\r\nContent-Length: 3\r\nSet-Cookie: "
      "a\r\nSet-Cookie: b\r\n");
  answer.forward.request_id = "id-1";
  answer.forward.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  EXPECT_EQ(answer.Write(),
            "HTTP/1.1 200 Fine\r\n"
            "Server: x\r\n"
            "Set-Cookie: a\r\n"
            "Set-Cookie: b\r\n"
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Via: 1.0 spillway\r\n"
            "X-Request-Id: id-1\r\n"
            "Content-Length: 3\r\n"
            "\r\n");
}

TEST(WriteResponseHead, KeepsTheUpstreamsDateAndId) {
  Back answer("HTTP/1.1 200 OK\r\nDate: theirs\r\nX-Request-Id: theirs\r\nContent-Length: 0\r\n");
  answer.forward.date = "ours";
  EXPECT_THAT(answer.Write(), HasSubstr("Date: theirs\r\nX-Request-Id: theirs\r\n"));
  EXPECT_THAT(answer.Write(), Not(HasSubstr("ours")));
}

TEST(WriteResponseHead, SaysWhatBecomesOfTheConnection) {
  Back answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
  EXPECT_THAT(answer.Write(), Not(HasSubstr("Connection")));
  answer.forward.client_is_1_0 = true;
  EXPECT_THAT(answer.Write(), HasSubstr("Connection: keep-alive\r\n"));
  answer.forward.close = true;
  EXPECT_THAT(answer.Write(), HasSubstr("Connection: close\r\n"));
  answer.forward = {.framing = {BodyKind::kUntilClose, 0}};
  EXPECT_THAT(answer.Write(), HasSubstr("Connection: close\r\n"));
}

TEST(WriteResponseHead, PassesTheLengthOfABodyThatIsNotThere) {
  EXPECT_THAT(Back("HTTP/1.1 200 OK\r\nContent-Length: 300\r\n", "HEAD").Write(),
              HasSubstr("Content-Length: 300\r\n"));
  EXPECT_THAT(Back("HTTP/1.1 304 Not Modified\r\nContent-Length: 300\r\n").Write(),
              HasSubstr("Content-Length: 300\r\n"));
  EXPECT_THAT(Back("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n").Write(),
              Not(HasSubstr("Content-Length")));
  EXPECT_THAT(Back("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", "HEAD").Write(),
              Not(HasSubstr("Transfer-Encoding")));
}

TEST(WriteResponseHead, FramesChunksAsTold) {
  EXPECT_THAT(Back("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n").Write(),
              HasSubstr("Transfer-Encoding: chunked\r\n"));
}

TEST(WriteResponseHead, WritesInterimHeadsWithoutAnythingOfOurs) {
  Back answer("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\n");
  answer.forward = {
      .framing = {}, .close = true, .request_id = "id", .date = "d", .set_headers = {}};
  EXPECT_EQ(answer.Write(), "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
}

TEST(WriteResponseHead, PassesAnUpgradeOn) {
  Back answer(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, Upgrade\r\nUpgrade: "
      "websocket\r\n"
      "Sec-WebSocket-Accept: x\r\n");
  const std::string out = answer.Write();
  EXPECT_THAT(out, HasSubstr("Connection: upgrade\r\nUpgrade: websocket\r\n"));
  EXPECT_THAT(out, HasSubstr("Sec-WebSocket-Accept: x\r\n"));
  EXPECT_THAT(out, Not(HasSubstr("Content-Length")));
  ResponseParser again({});
  EXPECT_EQ(again.Feed(out.data(), 0, out.size()), ParseStep::kHead);
  EXPECT_TRUE(again.head().upgrade);
}

TEST(WriteResponseHead, LetsNoConfiguredValueEndALine) {
  Back answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: old\r\n");
  const HeaderToSet set[] = {{"X-A", "a\r\n\r\n<script>\0"}, {"Content-Length", "9"}};
  answer.forward.set_headers = set;
  answer.forward.request_id = "i\nd";
  const std::string out = answer.Write();
  EXPECT_THAT(out, HasSubstr("X-A: a    <script>"));
  EXPECT_THAT(out, HasSubstr("X-Request-Id: i d\r\n"));
  EXPECT_THAT(out, Not(HasSubstr("old")));
  EXPECT_THAT(out, Not(HasSubstr(": 9")));
}

TEST(WriteChunkHead, WritesHexAndCrLf) {
  char out[20];
  EXPECT_EQ(std::string(out, WriteChunkHead(255, out)), "ff\r\n");
  EXPECT_EQ(std::string(out, WriteChunkHead(UINT64_MAX, out)), "ffffffffffffffff\r\n");
}

TEST(WriteLastChunk, PassesOnlyTrailersThatMeanNothingToAProxy) {
  const HeaderField trailers[] = {
      {"X-Sum", "1"},      {"Via", "x"},        {"X-Forwarded-For", "1.1.1.1"},
      {"Host", "h"},       {"Connection", "x"}, {"Content_Length", "9"},
      {"grpc-status", "0"}};
  std::string out = "left over";
  WriteLastChunk(trailers, &out);
  EXPECT_EQ(out, "0\r\nX-Sum: 1\r\ngrpc-status: 0\r\n\r\n");
  WriteLastChunk({}, &out);
  EXPECT_EQ(out, "0\r\n\r\n");
}

TEST(WriteLastChunkOfRequest, PassesNoTrailerThatRulesLookAtOrSet) {
  const HeaderField trailers[] = {{"X-Sum", "1"},    {"X-TENANT", "evil"}, {"x.tenant", "evil"},
                                  {"X.Sum.A", "2"},  {"X-Tenants", "3"},   {"x-role.name", "evil"},
                                  {"X.Real.IP", "1"}};
  const std::string ruled[] = {"x-role.name", "x-tenant"};
  std::string out = "left over";
  WriteLastChunkOfRequest(trailers, {.ruled_fields = ruled}, &out);
  EXPECT_EQ(out, "0\r\nX-Sum: 1\r\nX.Sum.A: 2\r\nX-Tenants: 3\r\n\r\n");
}

TEST(WriteLastChunkOfRequest, PassesNoTrailerThatAHeadMayNotHaveFromAStranger) {
  const HeaderField trailers[] = {{"X-Sum", "1"},
                                  {"X-Forwarded-Prefix", "/x"},
                                  {"X-Original-URL", "/x"},
                                  {"CF-Connecting-IP", ""},
                                  {"X-Edge-Client-IP", "1.1.1.1"},
                                  {"X_User", "root"},
                                  {"Proxy", "http://x"},
                                  {"Cookie", "a=b"}};
  std::string out = "left over";
  WriteLastChunkOfRequest(trailers, {.address_header = "x-edge-client-ip"}, &out);
  EXPECT_EQ(out, "0\r\nX-Sum: 1\r\n\r\n");
}

}  // namespace
}  // namespace spillway
