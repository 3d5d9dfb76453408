// SPDX-License-Identifier: MIT
// A server's frames, cut anywhere, to a session that has asked for something: each stream is told
// of in order, no byte is lost or comes twice, no more than a window waits, and what would be
// passed on parses to the same message in HTTP/1. The input's first byte says how it is to be read:
// as bytes of a connection, or as short records from which whole frames are made.
#include <algorithm>
#include <map>
#include <utility>

#include "proxy/upstream_http2_session.h"
#include "tests/fuzz/http1_second_reading.h"
#include "tests/fuzz/http2_frames.h"

namespace spillway::testing {
namespace {

// As HTTP/1 writes the whole of it and reads it again.
void CheckPassedOn(const ResponseHead& head, std::string_view body, bool to_head) {
  ForwardResponse forward;
  forward.framing = {head.body, head.content_length};
  forward.request_id = "id";
  std::string out;
  WriteResponseHead(head, forward, &out);
  const std::size_t size = out.size();
  ResponseParser again({.head = 1 << 20, .headers = 1100});
  again.Reset(to_head ? "HEAD" : "GET");
  const Block block(out);
  Require(again.Feed(block.get(), 0, size) == ParseStep::kHead && again.taken() == size,
          "what is passed on does not parse", out);
  Require(again.head().status == head.status, "another status", out);
  Require(again.head().body == head.body, "another kind of body", out);
  Require(again.head().content_length == head.content_length || head.body != BodyKind::kLength,
          "another length", out);
  Require(head.body != BodyKind::kLength || body.size() == head.content_length,
          "a body of another length", out);
  Require(head.body != BodyKind::kNone || body.empty(), "a body where none can be", out);
}

class Asker final : public Http2UpstreamHandler {
 public:
  static constexpr std::size_t kWindow = 64 * 1024;
  Asker(unsigned ways, const MessageLimits& limits)
      : session(*this, {.message = limits, .streams = 10}), ways_(ways) {
    for (const std::string_view method : {"GET", "HEAD", "POST"}) {
      const HeaderField fields[] = {{":method", method},
                                    {":scheme", "http"},
                                    {":path", "/"},
                                    {":authority", "a"},
                                    {"X-A", "b"}};
      const std::int32_t id = session.Open(fields, method == "POST", method == "HEAD");
      Require(id > 0, "no stream", method);
      streams_[id].to_head = method == "HEAD";
    }
  }
  Http2UpstreamSession session;

  void OnHttp2Response(std::int32_t id, std::unique_ptr<Http2Response> response) override {
    Stream& stream = Known(id);
    Require(!stream.response, "a head behind the final one", "");
    const ResponseHead& head = response->head();
    Require(head.status >= 100 && head.status <= 599 && head.status != 101, "a bad status", "");
    if (head.interim()) {
      Require(++stream.interim <= 16, "too many interim heads", "");
      return;
    }
    stream.response = std::move(response);
    if (ways_ % 7 == 6) Drop(id);
  }
  void OnHttp2Body(std::int32_t id, std::string_view bytes) override {
    Stream& stream = Known(id);
    Require(stream.response != nullptr && !stream.ended, "a body in no place for it", bytes);
    stream.body += bytes;
    stream.kept += bytes.size();
    Require(stream.kept <= kWindow, "more than a window", "");
    if (ways_ % 2 == 0) session.Consume(id, std::exchange(stream.kept, 0));
  }
  void OnHttp2End(std::int32_t id, std::unique_ptr<Http2Response> trailers) override {
    Stream& stream = Known(id);
    Require(stream.response != nullptr && !std::exchange(stream.ended, true), "an end too many",
            "");
    CheckPassedOn(stream.response->head(), stream.body, stream.to_head);
    if (!trailers) return;
    for (const HeaderField& field : trailers->TakeTrailers()) {
      Require(!field.name.starts_with(':'), "a pseudo field in trailers", field.name);
    }
  }
  void OnHttp2Closed(std::int32_t id, Http2End how, std::string_view) override {
    const bool well = how == Http2End::kWell || how == Http2End::kStopped;
    Require(well == Known(id).ended, "an end of another kind", "");
    streams_.erase(id);
  }
  Http2Part OnHttp2Want(std::int32_t id, std::span<char> into,
                        std::vector<HeaderField>* trailers) override {
    Stream& stream = Known(id);
    const std::size_t size = std::min({into.size(), stream.left, std::size_t{1000}});
    std::fill_n(into.begin(), size, 'a');
    stream.left -= size;
    if (ways_ % 3 == 0 && size == 0 && !std::exchange(stream.deferred, true)) return {};
    if (stream.left > 0) return {size, false};
    if (ways_ % 4 == 0) trailers->push_back({"X-Sum", "1"});
    return {size, true};
  }
  void ResumeAll() {
    for (const auto& [id, stream] : streams_) session.Resume(id);
  }
  void ConsumeAll() {
    for (auto& [id, stream] : streams_) session.Consume(id, std::exchange(stream.kept, 0));
  }

 private:
  struct Stream {
    std::unique_ptr<Http2Response> response;
    std::string body;
    std::size_t kept = 0, left = 3000;
    int interim = 0;
    bool to_head = false, ended = false, deferred = false;
  };
  Stream& Known(std::int32_t id) {
    const auto found = streams_.find(id);
    Require(found != streams_.end(), "an unknown stream", std::to_string(id));
    return found->second;
  }
  void Drop(std::int32_t id) {
    session.Drop(id, Http2Error::kCancel);
    streams_.erase(id);
  }

  const unsigned ways_;
  std::map<std::int32_t, Stream> streams_;
};

}  // namespace
}  // namespace spillway::testing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spillway;
  using namespace spillway::testing;
  if (size == 0) return 0;
  const unsigned ways = data[0];
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string bytes = ways < 192 ? FramesOf(rest) : std::string(rest);
  const MessageLimits limits[] = {{.head = 64 * 1024, .headers = 1000},
                                  {.head = 300, .headers = 6}};
  Asker asker(ways, limits[ways / 2 % 2]);
  std::vector<std::size_t> cuts = ways / 4 % 2 == 0 ? Cuts(bytes) : std::vector<std::size_t>{};
  cuts.push_back(bytes.size());
  TimePoint now{};
  std::size_t from = 0;
  for (std::size_t turn = 0; turn <= cuts.size(); ++turn) {
    std::string out;
    for (int again = 0; again < 3; ++again) {
      Require(asker.session.Produce(64 * 1024, &out), "out of memory", bytes);
      asker.ResumeAll();
    }
    const std::string_view said = out;
    CheckFrames(said.starts_with(kPreface) ? said.substr(kPreface.size()) : said);
    if (turn == cuts.size()) break;
    const std::size_t cut = cuts[turn];
    const Block block(std::string_view(bytes).substr(from, cut - from));
    const bool open = asker.session.Receive({block.get(), cut - from}, now += Duration(1000000));
    from = cut;
    if (!open || asker.session.over()) break;
    if (turn % 2 == 1) asker.ConsumeAll();
  }
  return 0;
}
