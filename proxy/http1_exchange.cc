// SPDX-License-Identifier: MIT
// HTTP/1 as an exchange sees it: the request's body on its way in, the answer on its way out, a
// tunnel.
#include <algorithm>
#include <cstring>

#include "proxy/http1_connection.h"
#include "proxy/patience.h"
#include "proxy/reuse.h"

namespace spillway {
namespace {

constexpr std::size_t kSmallBody = 2048;

}  // namespace

// ---- the request's body

void Http1Connection::ReadDuringExchange() {
  // Bytes are read even when no body is wanted: a pipelined request may wait in the block, and an
  // end or a reset must be heard of. When the block is full, reading stops.
  const std::size_t before = in_.end();
  const IoStatus status = ReadMore();
  if (status == IoStatus::kEnd || status == IoStatus::kBroken) return exchange_.OnClientGone();
  if (body_wanted_ && status == IoStatus::kOk) {
    const Duration left = awaits_continue_ ? patience_ : carrier_->read_time_left();
    awaits_continue_ = false;
    // Once the answer has begun the two take turns as they like: only silence counts.
    const Bytes rate = answering_ ? Bytes{0} : config().min_rate.body;
    patience_ = Patience(left, in_.end() - before, rate, config().timeouts.body);
    carrier_->SetReadDeadline(patience_);
    return exchange_.OnClientReadable();
  }
  if (in_.room().empty()) carrier_->WantRead(false);
}

ParseStep Http1Connection::NextBodyPiece() {
  if (request_ended_) return ParseStep::kEnd;
  if (parsed_ < in_.end()) awaits_continue_ = false;
  const ParseStep step = parser_.Feed(in_.data(), parsed_, in_.end());
  parsed_ = parser_.taken();
  request_ended_ = step == ParseStep::kEnd;
  return step;
}

bool Http1Connection::ReadBodyAgain() {
  if (!request_ended_ && parsed_ == in_.end()) {
    in_.CutTo(body_from_);
    parsed_ = body_from_;
  }
  return carrier_->has_pending() && ReadMore() == IoStatus::kOk;
}

void Http1Connection::WantBody(bool want) {
  if (state_ == State::kOver) return;
  if (state_ == State::kTunnel) return carrier_->WantRead(want);
  if (want) {
    if (answering_) patience_ = config().timeouts.body;
    if (!body_wanted_ && !awaits_continue_) carrier_->SetReadDeadline(patience_);
    carrier_->WantRead(true);
  } else if (body_wanted_) {
    if (!awaits_continue_) patience_ = carrier_->read_time_left();
    carrier_->ClearReadDeadline();
  }
  body_wanted_ = want;
}

std::string_view Http1Connection::protocol() const {
  return parser_.head().minor == 0 ? "HTTP/1.0" : "HTTP/1.1";
}

// ---- the answer

bool Http1Connection::SendInterim(const ResponseHead& head) {
  if (parser_.head().minor == 0) return true;  // HTTP/1.0 knows none
  std::string text;                            // interim heads are rare
  WriteResponseHead(head, ForwardResponse{}, &text);
  if (head.status == 100 && awaits_continue_) {
    awaits_continue_ = false;
    if (body_wanted_) carrier_->SetReadDeadline(patience_);
  }
  iovec vector = ToVector(text);
  return carrier_->Send({&vector, 1});
}

bool Http1Connection::BeginResponse(const ResponseHead& head, const ForwardResponse& forward,
                                    bool keep) {
  answering_ = true;
  ForwardResponse mine = forward;
  mine.client_is_1_0 = parser_.head().minor == 0;
  mine.framing = {head.body, head.content_length};
  if (head.body == BodyKind::kUntilClose || head.body == BodyKind::kChunked) {
    mine.framing.body = mine.client_is_1_0 ? BodyKind::kUntilClose : BodyKind::kChunked;
  }
  keep = keep && may_keep() && mine.framing.body != BodyKind::kUntilClose;
  mine.close = !keep;
  response_chunked_ = mine.framing.body == BodyKind::kChunked;
  WriteResponseHead(head, mine, &response_head_);
  return keep;
}

// Head, pieces and framing leave in one system call.
bool Http1Connection::SendBody(std::vector<iovec>* pieces, bool last,
                               std::span<const HeaderField> trailers) {
  char chunk_head[kMaxChunkHead];
  std::string last_chunk;
  if (response_chunked_) {
    FrameChunk(0, pieces, chunk_head);
    if (last) {
      WriteLastChunk(trailers, &last_chunk);
      pieces->push_back(ToVector(last_chunk));
    }
  }
  if (!response_head_.empty()) {
    // A small body is cheaper to copy behind the head than to be a vector of its own.
    if (pieces->size() == 1 && pieces->front().iov_len <= kSmallBody) {
      const iovec& body = pieces->front();
      response_head_.append(static_cast<const char*>(body.iov_base), body.iov_len);
      pieces->front() = ToVector(response_head_);
    } else {
      pieces->insert(pieces->begin(), ToVector(response_head_));
    }
  }
  const bool sent = pieces->empty() || carrier_->Send(*pieces);
  ClearForReuse(&response_head_);
  return sent;
}

bool Http1Connection::SendAnswer(const Answer& answer, bool head_only, bool keep) {
  if (answer.mould != nullptr) {
    iovec message = ToVector(MessageOf(answer, !keep, worker_.date()));
    return carrier_->Send({&message, 1});
  }
  WriteAnswerHead(answer, !keep, parser_.head().minor == 0, worker_.date(), &response_head_);
  std::string_view body = head_only ? std::string_view{} : BodyToSend(answer);
  // A small body is copied behind its head, as one piece costs the kernel less than two. A large
  // one is not, but for what the kernel does not take at once.
  if (body.size() <= kMostKept / 2) {
    response_head_.append(body);
    body = {};
  }
  iovec vectors[] = {ToVector(response_head_), ToVector(body)};
  const bool sent = carrier_->Send({vectors, body.empty() ? std::size_t{1} : std::size_t{2}});
  ClearForReuse(&response_head_);
  return sent;
}

bool Http1Connection::may_keep() const {
  return parser_.head().keep_alive && !worker_.draining &&
         carrier_->requests() < config().max_requests;
}

// ---- a tunnel

bool Http1Connection::EnterTunnel(const ResponseHead& head, const ForwardResponse& forward,
                                  std::string_view early) {
  state_ = State::kTunnel;
  TouchTunnel();
  WriteResponseHead(head, forward, &response_head_);
  iovec vectors[] = {ToVector(response_head_), ToVector(early)};
  const bool sent = carrier_->Send(vectors);
  ClearForReuse(&response_head_);
  return sent;
}

IoResult Http1Connection::ReadTunnel(std::span<char> into) {
  if (parsed_ == in_.end()) return carrier_->Read(into);
  // What came right behind the head was read with it.
  const std::size_t size = std::min(into.size(), in_.end() - parsed_);
  std::memcpy(into.data(), in_.data() + parsed_, size);
  parsed_ += size;
  if (parsed_ == in_.end()) in_.CutTo(parsed_);
  return {IoStatus::kOk, size};
}

bool Http1Connection::WriteTunnel(std::string_view bytes) {
  iovec vector = ToVector(bytes);
  return carrier_->Send({&vector, 1});
}

void Http1Connection::TouchTunnel() {
  carrier_->SetReadDeadline(config().timeouts.tunnel);
}

}  // namespace spillway
