// SPDX-License-Identifier: MIT
// A client's frames, cut anywhere, to a session whose handler answers: streams are told of in
// order, no byte is lost or given back twice, and what would be forwarded parses to the same
// message in HTTP/1. The input's first byte says how it is to be read: as bytes of a connection, or
// as short records from which whole frames are made.
#include <algorithm>
#include <map>
#include <optional>

#include "proxy/http2.h"
#include "spillway/target.h"
#include "tests/fuzz/http1_second_reading.h"
#include "tests/fuzz/http2_frames.h"

namespace spillway::testing {
namespace {

// As HTTP/1 writes it and reads it again.
void CheckForwarding(const Http2Request& request, std::string_view body, bool trusted) {
  const RequestHead& before = request.head;
  const std::string_view host = before.Get(Field::kHost);
  std::string normal;
  const bool named = NormaliseHost(host, &normal).has_value();
  ForwardRequest forward;
  forward.target = before.target;
  forward.host = named ? host : "app";
  forward.framing = {before.body, before.content_length};
  forward.client_address = "192.0.2.1";
  forward.peer_address = "2001:db8::1";
  forward.peer_trusted = trusted;
  forward.scheme = "http";
  forward.client_host = named ? host : "";
  forward.request_id = "id";
  forward.upgrade = true;
  forward.expect_continue = before.expect_continue;
  std::string out;
  WriteRequestHead(before, forward, &out);
  Reading came;
  came.kind = before.body;
  came.body = body;
  came.headers = Copy(before.headers);
  came.trailers = Copy(request.trailers);
  if (before.body == BodyKind::kChunked) {
    out += BodyAgain(came);
  } else if (before.body == BodyKind::kLength) {
    Require(body.size() == before.content_length, "a body of another length", out);
    out += body;
  }
  RequestParser again({.head = 256 * 1024, .headers = 1000, .target = 16 * 1024});
  const Reading went = Read(again, out, Cuts(out));
  Require(went.last == ParseStep::kEnd && went.consumed == out.size(),
          "forwarded message does not parse", out);
  Require(went.start == std::string(before.method) + " " + std::string(before.target),
          "another method or target", out);
  Require(went.kind == before.body && went.body == body, "another body", out);
  Require(went.upgrade == before.upgrade, "another upgrade", out);
  Require(Value(went.headers, Field::kHost) == forward.host, "another host", out);
  std::vector<std::string> plain = PlainFields(came.headers);
  std::erase_if(plain, [](const std::string& line) {
    const std::string name = line.substr(0, line.find(':'));
    return name == "proxy" || name.find('_') != std::string::npos;
  });
  const std::vector<std::string> passed = PlainFields(went.headers);
  Require(IsPartOf(passed, plain), "fields made up", out);
  Require(!trusted || passed == plain, "fields lost", out);
  Require(trusted || Value(went.headers, Field::kXForwardedFor) == "192.0.2.1", "another client",
          out);
}

class Peer final : public Http2Handler {
 public:
  Peer(unsigned ways, const MessageLimits& limits)
      : session(*this, {.message = limits, .streams = 10}), ways_(ways) {}
  Http2Session session;

  // What one stream's head was put together in serves the next.
  std::shared_ptr<Http2Request> NewHttp2Request() override {
    if (!spare_ || spare_.use_count() != 1) return std::make_shared<Http2Request>();
    spare_->Clear();
    return std::move(spare_);
  }
  void OnHttp2Head(std::int32_t id, std::shared_ptr<Http2Request> request) override {
    Require(id % 2 == 1 && id > newest_, "streams in another order", "");
    newest_ = id;
    Stream& stream = streams_[id];
    stream.request = std::move(request);
    Require(streams_.size() <= 10, "more streams than allowed", "");
    Require(stream.request->head.headers.size() <= 102, "more fields than allowed", "");
    switch ((ways_ + static_cast<unsigned>(id) / 2) % 5) {
      case 0:
        return Answer(id, true);
      case 1:
        session.RespondInterim(id, 103, {});
        return Answer(id, false);
      case 2:
        return session.Reset(id, Http2Error::kInternal);
      default:
        break;  // when the request has ended
    }
  }
  void OnHttp2Body(std::int32_t id, std::string_view bytes) override {
    Stream& stream = Known(id);
    Require(!stream.ended, "a body behind its end", bytes);
    stream.body += bytes;
    stream.kept += bytes.size();
    Require(stream.kept <= 64 * 1024, "more than a window", "");
    if (ways_ % 2 == 0) Consume(id, stream);
  }
  void OnHttp2End(std::int32_t id) override {
    Stream& stream = Known(id);
    Require(!stream.ended, "two ends", "");
    stream.ended = true;
    Consume(id, stream);
    if (stream.request->refusal == 0 && !stream.request->tunnel) {
      CheckForwarding(*stream.request, stream.body, false);
      CheckForwarding(*stream.request, stream.body, true);
    }
    if (!stream.answered) Answer(id, true);
  }
  void OnHttp2Closed(std::int32_t id, Http2Error) override {
    Consume(id, Known(id));
    spare_ = std::move(Known(id).request);
    streams_.erase(id);
  }
  Http2Part OnHttp2Want(std::int32_t id, std::span<char> into,
                        std::vector<HeaderField>* trailers) override {
    Stream& stream = Known(id);
    Require(stream.answered && stream.left > 0, "wanted more than there is", "");
    if (ways_ % 3 == 0 && !stream.deferred) {
      stream.deferred = true;
      return {};
    }
    const std::size_t size = std::min({into.size(), stream.left, std::size_t{1000}});
    std::fill_n(into.begin(), size, 'a');
    stream.left -= size;
    if (stream.left > 0) return {size, false};
    if (ways_ % 4 == 0) trailers->push_back({"X-Sum", "1"});
    return {size, true};
  }
  void ResumeAll() {
    for (const auto& [id, stream] : streams_) session.Resume(id);
  }

 private:
  struct Stream {
    std::shared_ptr<Http2Request> request;
    std::string body;
    std::size_t kept = 0, left = 3000;
    bool ended = false, answered = false, deferred = false;
  };
  Stream& Known(std::int32_t id) {
    const auto found = streams_.find(id);
    Require(found != streams_.end(), "an unknown stream", std::to_string(id));
    return found->second;
  }
  void Consume(std::int32_t id, Stream& stream) {
    if (stream.kept > 0) session.Consume(id, std::exchange(stream.kept, 0));
  }
  void Answer(std::int32_t id, bool has_body) {
    Stream& stream = Known(id);
    stream.answered = true;
    const HeaderField fields[] = {{"Server", "x"}, {"X-Way", "1"}};
    session.Respond(id, 200, fields, has_body);
  }

  const unsigned ways_;
  std::map<std::int32_t, Stream> streams_;
  std::shared_ptr<Http2Request> spare_;
  std::int32_t newest_ = 0;
};

}  // namespace
}  // namespace spillway::testing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spillway;
  using namespace spillway::testing;
  if (size == 0) return 0;
  const unsigned ways = data[0];
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string bytes;
  if (ways < 192) bytes = kPreface;
  bytes += ways < 128 ? FramesOf(rest) : std::string(rest);
  const MessageLimits limits[] = {{}, {.head = 300, .headers = 6, .target = 40}};
  Peer peer(ways, limits[ways / 2 % 2]);
  std::vector<std::size_t> cuts = ways / 4 % 2 == 0 ? Cuts(bytes) : std::vector<std::size_t>{};
  cuts.push_back(bytes.size());
  TimePoint now{};
  std::size_t from = 0;
  for (const std::size_t cut : cuts) {
    const Block block(std::string_view(bytes).substr(from, cut - from));
    const bool open = peer.session.Receive({block.get(), cut - from}, now += Duration(1000000));
    from = cut;
    std::string out;
    for (int turn = 0; turn < 3; ++turn) {
      Require(peer.session.Produce(64 * 1024, &out), "out of memory", bytes);
      peer.ResumeAll();
    }
    CheckFrames(out);
    if (!open || peer.session.over()) break;
  }
  return 0;
}
