// SPDX-License-Identifier: MIT
// Responses, to GET and to HEAD: fed whole and in pieces they read the same; llhttp finds the same
// body; what is forwarded parses to the same message.
#include "tests/fuzz/http1_second_reading.h"

namespace spillway::testing {
namespace {

constexpr MessageLimits kLimits[] = {{}, {.head = 200, .headers = 6, .target = 40}};

void CheckPieces(std::string_view bytes, std::string_view method, const MessageLimits& limits) {
  ResponseParser parser(limits);
  parser.Reset(method);
  const Reading whole = Read(parser, bytes, {}, true);
  parser.Reset(method);
  Require(SameVerdict(Read(parser, bytes, Cuts(bytes), true), whole),
          "pieces read otherwise than the whole", bytes);
  if (bytes.size() > 400) return;
  std::vector<std::size_t> every;
  for (std::size_t at = 0; at < bytes.size(); ++at) every.push_back(at);
  parser.Reset(method);
  Require(SameVerdict(Read(parser, bytes, every, true), whole),
          "bytes read otherwise than the whole", bytes);
}

// `before` is the head of what was read as `came`.
void CheckForwarding(const ResponseHead& before, const Reading& came, std::string_view method) {
  ForwardResponse forward;
  forward.framing = {before.body, before.content_length};
  forward.request_id = "id";
  forward.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  std::string out;
  WriteResponseHead(before, forward, &out);
  out += BodyAgain(came);

  ResponseParser again({.head = 256 * 1024, .headers = 1000, .target = 16 * 1024});
  again.Reset(method);
  const Reading went = Read(again, out, Cuts(out), true);
  Require(went.last == ParseStep::kEnd && went.consumed == out.size(),
          "forwarded message does not parse", out);
  Require(went.start == came.start && went.body == came.body && went.kind == came.kind,
          "another message", out);
  Require(went.upgrade == came.upgrade, "another message", out);
  Require(IsPartOf(PlainFields(went.headers), PlainFields(came.headers)), "fields made up", out);
}

}  // namespace
}  // namespace spillway::testing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spillway;
  using namespace spillway::testing;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (std::string_view method : {"GET", "HEAD"}) {
    for (const MessageLimits& limits : kLimits) CheckPieces(bytes, method, limits);
    // The head's views must hold while it is written, so here they stay in the bytes themselves.
    ResponseParser parser({});
    parser.Reset(method);
    const Reading whole = Read(parser, bytes, {}, true);
    if (whole.last != ParseStep::kEnd || whole.heads != 1) continue;
    const std::string_view own = bytes.substr(0, whole.consumed);
    parser.Reset(method);
    Require(parser.Feed(own.data(), 0, own.size()) == ParseStep::kHead, "a head only once", own);
    CheckForwarding(parser.head(), whole, method);
    // What llhttp must be told, or doesn't know: these have no body, whatever their fields say.
    const bool bodiless =
        method == "HEAD" || whole.start.starts_with("204") || whole.start.starts_with("304");
    if (bodiless) continue;
    const Oracle oracle = ReadWithLlhttp(HTTP_RESPONSE, own, true);
    Require(oracle.agrees(whole.body), "llhttp reads another body", own);
  }
  return 0;
}
