// SPDX-License-Identifier: MIT
// Requests: fed whole and in pieces they read the same; llhttp finds the same body; what is
// forwarded parses to the same message.
#include "tests/fuzz/http1_second_reading.h"

namespace spillway::testing {
namespace {

constexpr MessageLimits kLimits[] = {{}, {.head = 300, .headers = 6, .target = 40}};

void CheckPieces(std::string_view bytes, const MessageLimits& limits, const Reading& whole) {
  RequestParser parser(limits);
  Require(SameVerdict(Read(parser, bytes, Cuts(bytes)), whole),
          "pieces read otherwise than the whole", bytes);
  if (bytes.size() > 400) return;
  std::vector<std::size_t> every;
  for (std::size_t at = 0; at < bytes.size(); ++at) every.push_back(at);
  parser.Reset();
  Require(SameVerdict(Read(parser, bytes, every), whole), "bytes read otherwise than the whole",
          bytes);
}

void CheckForwarding(std::string_view bytes, const Reading& came, bool trusted) {
  RequestParser parser({});
  Require(parser.Feed(bytes.data(), 0, bytes.size()) == ParseStep::kHead, "a head only once",
          bytes);
  const RequestHead& before = parser.head();
  ForwardRequest forward;
  forward.target = before.target;
  forward.host = "app";
  forward.framing = {before.body, before.content_length};
  forward.client_address = "192.0.2.1";
  forward.peer_address = "2001:db8::1";
  forward.peer_trusted = trusted;
  forward.scheme = "http";
  forward.client_host = before.Get(Field::kHost);
  forward.request_id = "id";
  forward.upgrade = true;
  forward.expect_continue = before.expect_continue;
  std::string out;
  WriteRequestHead(before, forward, &out);
  out += BodyAgain(came);

  RequestParser again({.head = 256 * 1024, .headers = 1000, .target = 16 * 1024});
  const Reading went = Read(again, out, Cuts(out));
  Require(went.last == ParseStep::kEnd && went.consumed == out.size(),
          "forwarded message does not parse", out);
  Require(went.start == came.start && went.body == came.body && went.kind == came.kind,
          "another message", out);
  Require(went.upgrade == came.upgrade && went.expects == came.expects, "another message", out);
  Require(IsPartOf(PlainFields(went.headers), PlainFields(came.headers)), "fields made up", out);
  Require(Value(went.headers, Field::kHost) == "app", "another host", out);
  Require(trusted || Value(went.headers, Field::kXForwardedFor) == "192.0.2.1", "another client",
          out);
}

}  // namespace
}  // namespace spillway::testing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spillway;
  using namespace spillway::testing;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (int message = 0; message < 4 && !bytes.empty(); ++message) {
    for (const MessageLimits& limits : kLimits) {
      RequestParser parser(limits);
      CheckPieces(bytes, limits, Read(parser, bytes, {}));
    }
    RequestParser parser({});
    const Reading whole = Read(parser, bytes, {});
    if (whole.last != ParseStep::kEnd) break;
    const std::string_view own = bytes.substr(0, whole.consumed);
    const Oracle oracle = ReadWithLlhttp(HTTP_REQUEST, own, false);
    Require(oracle.agrees(whole.body), "llhttp reads another body", own);
    CheckForwarding(own, whole, message % 2 == 0);
    CheckForwarding(own, whole, message % 2 != 0);
    bytes.remove_prefix(whole.consumed);
  }
  return 0;
}
