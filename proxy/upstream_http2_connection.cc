// SPDX-License-Identifier: MIT
#include "proxy/upstream_http2_connection.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "proxy/upstream_http2.h"
#include "proxy/upstream_http2_stream.h"

namespace spillway {
namespace {

// Frames that are gathered for one system call.
constexpr std::size_t kBatch = 64 * 1024;

// How often one readiness event reads before others get their turn.
constexpr int kReadsPerTurn = 4;

constexpr std::string_view kViolation = "HTTP/2 connection error";

Http2UpstreamLimits LimitsOf(const PoolConfig& config) {
  Http2UpstreamLimits limits;
  limits.message = {.head = config.response_head.count, .headers = 1000, .target = 0};
  limits.streams = Http2Upstreams::kMostStreams;
  return limits;
}

}  // namespace

// What is done here may end the last stream, and so this: the event holds it to its end.
template <class What>
void Http2UpstreamConnection::Event(void* self, What what) {
  const auto connection = static_cast<Http2UpstreamConnection*>(self)->shared_from_this();
  connection->in_event_ = true;
  what(*connection);
  connection->Pump();
  connection->Tell();
  connection->in_event_ = false;
  connection->Pump();
}

Http2UpstreamConnection::Http2UpstreamConnection(Loop& loop, Http2Upstreams& owner,
                                                 std::shared_ptr<Endpoint> endpoint,
                                                 UpstreamPlaces::Socket socket,
                                                 const TlsClientContext* tls,
                                                 const PoolConfig& config)
    : loop_(loop),
      owner_(owner),
      endpoint_(std::move(endpoint)),
      keep_(config.keep_alive),
      stall_(config.timeouts.idle),
      place_(std::move(socket.place)),
      stream_(tls == nullptr
                  ? Stream(std::move(socket.fd))
                  : Stream(std::move(socket.fd), *tls, {endpoint_->tls_name, &endpoint_->session})),
      watch_(
          loop, stream_.fd(), this,
          [](void* self) { Event(self, [](auto& it) { it.OnReadable(); }); },
          [](void* self) { Event(self, [](auto& it) { it.OnWritable(); }); }),
      deadline_(loop, this, [](void* self) { Event(self, [](auto& it) { it.OnExpired(); }); }),
      later_(loop, this, [](void* self) { Event(self, [](auto&) {}); }),
      session_(*this, LimitsOf(config)) {
  watch_.WantWrite(true);
}

Http2UpstreamConnection::~Http2UpstreamConnection() {
  if (clock_ == Clock::kIdle) owner_.CountIdle(false);
}

// ---- its streams

bool Http2UpstreamConnection::has_room() const {
  // While the kernel takes nothing requests queue up, and those that are given up leave a trace.
  return !broken_ && !doubted_ && queued_ < Http2Upstreams::kMostStreams &&
         streams_.size() < session_.most_streams();
}

std::unique_ptr<Http2UpstreamStream> Http2UpstreamConnection::Attach(UpstreamUser& user) {
  auto stream = std::make_unique<Http2UpstreamStream>(shared_from_this(), user);
  streams_.push_back(stream.get());
  if (!out_.empty()) ++queued_;
  if (clock_ == Clock::kIdle) SetClock(Clock::kNone, {});
  return stream;
}

void Http2UpstreamConnection::Detach(Http2UpstreamStream& stream, std::int32_t id, bool expired) {
  std::erase(streams_, &stream);
  std::replace(news_.begin(), news_.end(), &stream, static_cast<Http2UpstreamStream*>(nullptr));
  if (id != 0) known_.erase(id);
  if (broken_) return;
  if (expired && !std::exchange(doubted_, true)) session_.Ping();
  PumpSoon();
  if (!streams_.empty()) return;
  const bool wanted =
      connected_ && session_.most_streams() > 0 && owner_.MayIdle(*endpoint_, keep_.connections);
  if (!wanted) return Close();
  SetClock(Clock::kIdle, keep_.idle);
}

void Http2UpstreamConnection::Close() {
  const auto self = shared_from_this();
  session_.Terminate(Http2Error::kNone);
  Pump();
  Break({});
}

bool Http2UpstreamConnection::StillGood() {
  Receive();
  Pump();
  return has_room();
}

Http2UpstreamStream* Http2UpstreamConnection::Find(std::int32_t id) {
  const auto found = known_.find(id);
  return found == known_.end() ? nullptr : found->second;
}

void Http2UpstreamConnection::PumpSoon() {
  if (!in_event_) later_.Ask();
}

void Http2UpstreamConnection::TellSoon(Http2UpstreamStream& stream) {
  if (std::exchange(stream.to_be_told, true)) return;
  news_.push_back(&stream);
  if (!in_event_) later_.Ask();
}

// Those that get news meanwhile are told too. A stream is told again only when something new came,
// so this ends.
void Http2UpstreamConnection::Tell() {
  for (std::size_t i = 0; i < news_.size(); ++i) {
    Http2UpstreamStream* stream = std::exchange(news_[i], nullptr);
    if (stream == nullptr) continue;
    stream->to_be_told = false;
    stream->Tell();
  }
  news_.clear();
}

// ---- events

void Http2UpstreamConnection::OnReadable() {
  if (!connected_) return Establish();
  Receive();
  // A TLS stream may have waited for this to write.
  if (!broken_ && !out_.empty()) Flush();
}

void Http2UpstreamConnection::OnWritable() {
  if (connected_) {
    if (stream_.read_wants_write()) Receive();  // TLS
    if (!broken_) Flush();
    return;
  }
  Establish();
}

// The connect, and the TLS handshake behind it, in which the server agrees to HTTP/2.
void Http2UpstreamConnection::Establish() {
  const Connecting::Step step = connecting_.GoOn(stream_, watch_);
  if (step == Connecting::Step::kWaits) return;
  if (step == Connecting::Step::kFailed) return Break({});
  if (stream_.encrypted() && !stream_.chose_http2()) {
    connecting_.Fail("the server does not offer HTTP/2");
    return Break({});
  }
  connected_ = true;
  watch_.WantWrite(false);
  watch_.WantRead(true);
  for (Http2UpstreamStream* stream : streams_) TellSoon(*stream);
}

void Http2UpstreamConnection::OnExpired() {
  clock_ == Clock::kIdle ? Close() : Break({});
}

void Http2UpstreamConnection::SetClock(Clock clock, Duration after) {
  if ((clock == Clock::kIdle) != (clock_ == Clock::kIdle)) owner_.CountIdle(clock == Clock::kIdle);
  clock_ = clock;
  clock == Clock::kNone ? deadline_.Clear() : deadline_.SetAfter(after);
}

void Http2UpstreamConnection::Receive() {
  for (int turn = 0; turn < kReadsPerTurn && !broken_; ++turn) {
    const std::span<char> room(owner_.input_.get(), kLargeBlock);
    const IoResult read = stream_.Read(room);
    if (read.status == IoStatus::kWouldBlock) return;
    if (read.status != IoStatus::kOk) return Break({});
    doubted_ = false;
    working_ = true;
    const bool good = session_.Receive({room.data(), read.bytes}, loop_.now());
    working_ = false;
    if (!good) {
      Fail(Http2End::kViolation, kViolation);
      Pump();  // says why, if the server still listens
      return Break(kViolation);
    }
    if (read.bytes < room.size() && !stream_.has_pending()) return;
  }
}

void Http2UpstreamConnection::Flush() {
  const std::size_t before = out_.size();
  if (out_.Flush(stream_) == IoStatus::kBroken) return Break({});
  if (out_.size() < before && clock_ == Clock::kStall) SetClock(Clock::kStall, stall_);
}

bool Http2UpstreamConnection::Pump() {
  if (broken_ || working_ || !connected_) return !broken_;
  working_ = true;
  bool good = true;
  while (good && out_.empty()) {
    std::string& frames = owner_.frames_;
    frames.clear();
    good = session_.Produce(kBatch, &frames);
    if (frames.empty()) break;
    iovec vector = ToVector(frames);
    good = good && out_.Write(stream_, {&vector, 1}) == IoStatus::kOk;
  }
  working_ = false;
  if (!good) Break({});
  if (!broken_ && session_.over()) Break(kViolation);
  if (broken_) return false;
  if (out_.empty()) queued_ = 0;
  watch_.WantWrite((!out_.empty() && !stream_.write_wants_read()) || stream_.read_wants_write());
  if (clock_ != Clock::kIdle && out_.empty() != (clock_ == Clock::kNone)) {
    SetClock(out_.empty() ? Clock::kNone : Clock::kStall, stall_);
  }
  return true;
}

// Its streams get what came before and are then at their end.
void Http2UpstreamConnection::Break(std::string_view violation) {
  if (std::exchange(broken_, true)) return;
  watch_.WantRead(false);
  watch_.WantWrite(false);
  SetClock(Clock::kNone, {});
  stream_.ShutdownWrite();
  Fail(violation.empty() ? Http2End::kReset : Http2End::kViolation, violation);
  owner_.Remove(*this);
}

void Http2UpstreamConnection::Fail(Http2End how, std::string_view why) {
  for (Http2UpstreamStream* stream : streams_) {
    stream->TakeClose(how, why);
    TellSoon(*stream);
  }
}

// ---- what the session says

void Http2UpstreamConnection::OnHttp2Response(std::int32_t id,
                                              std::unique_ptr<Http2Response> head) {
  if (Http2UpstreamStream* stream = Find(id)) {
    stream->TakeHead(std::move(head));
    TellSoon(*stream);
  }
}

void Http2UpstreamConnection::OnHttp2Body(std::int32_t id, std::string_view bytes) {
  if (Http2UpstreamStream* stream = Find(id)) {
    stream->TakeBody(bytes);
    TellSoon(*stream);
  }
}

void Http2UpstreamConnection::OnHttp2End(std::int32_t id, std::unique_ptr<Http2Response> trailers) {
  if (Http2UpstreamStream* stream = Find(id)) {
    stream->TakeEnd(std::move(trailers));
    TellSoon(*stream);
  }
}

void Http2UpstreamConnection::OnHttp2Closed(std::int32_t id, Http2End how, std::string_view why) {
  if (Http2UpstreamStream* stream = Find(id)) {
    stream->TakeClose(how, why);
    TellSoon(*stream);
  }
}

Http2Part Http2UpstreamConnection::OnHttp2Want(std::int32_t id, std::span<char> into,
                                               std::vector<HeaderField>* trailers) {
  Http2UpstreamStream* stream = Find(id);
  return stream != nullptr ? stream->GiveBody(into, trailers) : Http2Part{};
}

}  // namespace spillway
