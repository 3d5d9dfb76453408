// SPDX-License-Identifier: MIT
#include "proxy/http2_connection.h"

#include <utility>

#include "proxy/client_connection.h"
#include "proxy/http2_stream.h"

namespace spillway {
namespace {

// Frames that are gathered for one system call.
constexpr std::size_t kBatch = 64 * 1024;
constexpr std::size_t kMostFrame = 17 * 1024;  // by which they may be more

// How often one readiness event reads from one connection before others get their turn.
constexpr int kReadsPerTurn = 8;

// A record of TLS that holds requests; those of a body are larger.
constexpr std::size_t kSmallRecord = 4 * 1024;

// After saying that no more streams are wanted, those that are on their way are still taken.
constexpr Duration kGrace = 1s;

Http2Limits LimitsOf(const ClientConfig& config) {
  Http2Limits limits;
  limits.message = {.head = config.sizes.head.count,
                    .headers = config.sizes.headers,
                    .target = config.sizes.target.count};
  limits.streams = config.http2.streams;
  return limits;
}

}  // namespace

Http2Connection::Http2Connection(ClientConnection& carrier)
    : carrier_(carrier),
      peer_text_(carrier.peer().ToString()),
      session_(*this, LimitsOf(carrier.config())),
      later_(carrier.worker().loop, this, &OnLater),
      grace_(carrier.worker().loop, this, &OnGrace) {
  if (carrier.worker().draining) GoAwaySoon();
  Pump();
  SetDeadline();
}

Http2Connection::~Http2Connection() = default;

const ClientConfig& Http2Connection::config() const {
  return carrier_.config();
}

Http2Stream* Http2Connection::Find(std::int32_t id) {
  const auto* found = streams_.Find(id);
  return found == nullptr ? nullptr : found->get();
}

Http2Spares& Http2Connection::spares() {
  return carrier_.worker().http2_spares;
}

bool Http2Connection::over() const {
  return ending_ || broken_ || session_.over();
}

// ---- events

void Http2Connection::OnReadable() {
  if (ending_) return;
  // A block for as long as something is read: between frames a connection holds none.
  BlockPool& blocks = carrier_.worker().blocks;
  Block block = blocks.Take(kSmallBlock);
  for (int turn = 0; !ending_ && (turn < kReadsPerTurn || carrier_.has_pending()); ++turn) {
    const IoResult read = carrier_.Read({block.data.get(), block.size});
    if (read.status == IoStatus::kWouldBlock) break;
    if (read.status != IoStatus::kOk) {
      carrier_.Close();
      break;
    }
    Receive({block.data.get(), read.bytes});
    // Another read would mostly be a wasted call: a plain socket that filled less than the room is
    // empty, and behind a small record of TLS there is seldom another (then the loop tells).
    const std::size_t full = carrier_.encrypted() ? kSmallRecord : block.size;
    if (read.bytes < full && !carrier_.has_pending()) break;
  }
  blocks.Give(std::move(block));
}

void Http2Connection::Receive(std::string_view bytes) {
  if (ending_) return;
  receiving_ = true;
  ending_ = !session_.Receive(bytes, carrier_.worker().loop.now());
  receiving_ = false;
  Pump();
  SetDeadline();
}

void Http2Connection::OnFlushed() {
  Pump();
}

void Http2Connection::OnReadExpired() {
  const bool in_head = clock_ == Clock::kHead;
  if (in_head) carrier_.worker().counters.timeouts_client.Add();
  session_.Terminate(in_head ? Http2Error::kProtocol : Http2Error::kNone);
  ending_ = true;
  Pump();
}

void Http2Connection::OnWriteExpired() {
  carrier_.Close(/*reset=*/true);
}

void Http2Connection::OnBroken() {
  carrier_.Close();
}

void Http2Connection::OnClosed() {
  later_.Forget();
  grace_.Clear();
  ending_ = broken_ = true;
  auto streams = std::exchange(streams_, {});
  for (auto& [id, stream] : streams) {
    stream->OnGone();
    graveyard_.push_back(std::move(stream));
  }
}

void Http2Connection::Drain() {
  GoAwaySoon();
}

// At once: its place is wanted now, and a client without a request has nothing to lose.
void Http2Connection::GiveUp() {
  session_.Terminate(Http2Error::kNone);
  ending_ = true;
  Pump();
  carrier_.Linger(/*all_read=*/true);
}

// The client may still have to take what tells it so.
void Http2Connection::End() {
  OnClosed();
  carrier_.Linger(/*all_read=*/false);
}

void Http2Connection::GoAwaySoon() {
  if (going_) return;
  going_ = true;
  session_.ShutdownNotice();
  grace_.SetAfter(kGrace);
  PumpSoon();
}

void Http2Connection::OnGrace(void* self) {
  auto& connection = *static_cast<Http2Connection*>(self);
  connection.session_.GoAway();
  connection.Pump();
}

void Http2Connection::OnLater(void* self) {
  static_cast<Http2Connection*>(self)->Later();
}

void Http2Connection::Later() {
  settling_ = true;  // what Pump would ask to be done later is done below
  Pump();
  settling_ = false;
  // Those that were held up may go on. What they do may close streams: the list is taken first.
  std::vector<std::int32_t> due;
  for (const auto& [id, stream] : streams_) {
    if (stream->due()) due.push_back(id);
  }
  for (const std::int32_t id : due) {
    if (Http2Stream* stream = Find(id)) stream->GoOn();
  }
  for (auto& stream : graveyard_) spares().Give(std::move(stream));
  graveyard_.clear();
  if (!over() || carrier_.output_full()) return;
  broken_ ? carrier_.Close(/*reset=*/true) : End();
}

// A connection without streams is idle, whatever else it sends; an unfinished head has a clock that
// later bytes don't wind up.
void Http2Connection::SetDeadline() {
  const ClientConfig::Timeouts& timeouts = config().timeouts;
  const Clock wanted = session_.in_head() ? Clock::kHead
                       : streams_.empty() ? Clock::kIdle
                                          : Clock::kNone;
  if (wanted == clock_) return;
  clock_ = wanted;
  carrier_.SetWaiting(streams_.empty());
  switch (wanted) {
    case Clock::kHead:
      return carrier_.SetReadDeadline(timeouts.head);
    case Clock::kIdle:
      return carrier_.SetReadDeadline(timeouts.idle);
    case Clock::kNone:
      return carrier_.ClearReadDeadline();
  }
}

// ---- output

bool Http2Connection::Send(std::string_view frames) {
  iovec vector = ToVector(frames);
  return carrier_.Send({&vector, 1});
}

bool Http2Connection::Pump() {
  if (receiving_ || pumping_ || broken_) return !broken_;
  pumping_ = true;
  bool due = false;
  std::string frames = spares().TakeFrames();
  frames.reserve(kBatch + kMostFrame);
  while (!broken_ && !carrier_.output_full()) {
    frames.clear();
    broken_ = !session_.Produce(kBatch, &frames);
    bool more = false;
    for (const auto& [id, stream] : streams_) {
      if (stream->TakeEarlyAnswer()) {
        session_.Reset(id, Http2Error::kNone);
        more = true;
      }
      due = due || stream->due();
    }
    if (frames.empty() && !more) break;
    if (!frames.empty()) broken_ = broken_ || !Send(frames);
  }
  spares().GiveFrames(std::move(frames));
  pumping_ = false;
  if (!settling_ && (due || over() || !graveyard_.empty())) later_.Ask();
  return !broken_;
}

bool Http2Connection::PumpSoon() {
  if (!broken_) later_.Ask();
  return !broken_;
}

// ---- streams

std::shared_ptr<Http2Request> Http2Connection::NewHttp2Request() {
  return spares().TakeRequest();
}

void Http2Connection::OnHttp2Head(std::int32_t id, std::shared_ptr<Http2Request> request) {
  if (++requests_ >= config().max_requests) GoAwaySoon();
  clock_ = Clock::kNone;
  carrier_.SetWaiting(false);
  carrier_.ClearReadDeadline();
  auto taken = spares().TakeStream();
  Http2Stream* stream = taken.get();
  stream->Serve(*this, id, std::move(request));
  streams_.Add(id, std::move(taken));
  stream->Begin();
}

void Http2Connection::OnHttp2Body(std::int32_t id, std::string_view bytes) {
  if (Http2Stream* stream = Find(id)) {
    stream->TakeBody(bytes);
  } else {
    session_.Consume(id, bytes.size());
  }
}

void Http2Connection::OnHttp2End(std::int32_t id) {
  if (Http2Stream* stream = Find(id)) stream->TakeEnd();
}

void Http2Connection::OnHttp2Closed(std::int32_t id, Http2Error error) {
  Http2Stream* stream = Find(id);
  if (stream == nullptr) return;
  // What it has not taken counts against the connection's window no more.
  if (stream->untaken() > 0) session_.Consume(id, stream->untaken());
  if (!stream->OnSessionClosed(error)) return;
  Bury(id);
}

void Http2Connection::Bury(std::int32_t id) {
  if (Find(id) == nullptr) return;
  graveyard_.push_back(streams_.Take(id));
  if (!settling_) later_.Ask();
  if (streams_.empty()) SetDeadline();
}

Http2Part Http2Connection::OnHttp2Want(std::int32_t id, std::span<char> into,
                                       std::vector<HeaderField>* trailers) {
  Http2Stream* stream = Find(id);
  return stream != nullptr ? stream->GiveBody(into, trailers) : Http2Part{0, true};
}

}  // namespace spillway
