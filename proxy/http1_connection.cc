// SPDX-License-Identifier: MIT
// HTTP/1's requests, one after another: from a head's first byte to the next one's.
#include "proxy/http1_connection.h"

#include <algorithm>
#include <utility>

#include "proxy/reuse.h"

namespace spillway {
namespace {

// The first line by which a client says that it speaks HTTP/2 (RFC 9113 3.4).
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n";

// How often one readiness event reads from one connection before others get their turn.
constexpr int kReadsPerTurn = 8;

}  // namespace

Http1Connection::Http1Connection(WorkerContext& worker)
    : worker_(worker), in_(worker.blocks), parser_(MessageLimits{}), exchange_(*this) {}

void Http1Connection::Serve(ClientConnection& carrier) {
  carrier_ = &carrier;
  if (const std::uint64_t number = worker_.generation->shared->number; number != limits_of_) {
    const ClientConfig::Sizes& sizes = config().sizes;
    parser_.SetLimits(
        {.head = sizes.head.count, .headers = sizes.headers, .target = sizes.target.count});
    limits_of_ = number;
  }
  if (carrier.peer() == peer_ && !peer_text_.empty()) return;
  peer_ = carrier.peer();
  peer_text_ = peer_.ToString();
}

// What is left over of one connection must not meet another's.
bool Http1Connection::Forget() {
  carrier_ = nullptr;
  in_.Release();
  parsed_ = body_from_ = 0;
  parser_.Reset();
  ClearForReuse(&response_head_);
  state_ = State::kHead;
  body_wanted_ = awaits_continue_ = keep_after_flush_ = request_ended_ = false;
  return true;
}

// ---- events

void Http1Connection::OnReadable() {
  switch (state_) {
    case State::kHead:
      return ReadHeads();
    case State::kExchange:
      return ReadDuringExchange();
    case State::kTunnel:
      return exchange_.OnClientReadable();
    case State::kFlush:
      return carrier_->WantRead(false);  // the next request waits for this answer
    case State::kOver:
      return;
  }
}

void Http1Connection::OnFlushed() {
  if (state_ == State::kExchange || state_ == State::kTunnel) {
    exchange_.OnClientWritable();
  } else if (state_ == State::kFlush) {
    keep_after_flush_ ? NextRequest() : Linger();
  }
}

void Http1Connection::OnReadExpired() {
  switch (state_) {
    case State::kHead:
      if (!parser_.started()) return GiveUp();
      worker_.counters.timeouts_client.Add();
      return Refuse(408, "the request head did not come in time");
    case State::kExchange:
      worker_.counters.timeouts_client.Add();
      return exchange_.OnBodyTimeout();
    case State::kTunnel:
      return exchange_.OnClientTimeout();
    case State::kFlush:
    case State::kOver:
      return carrier_->Close();
  }
}

void Http1Connection::OnWriteExpired() {
  if (exchange_.active()) return exchange_.OnClientTimeout();
  carrier_->Close(/*reset=*/true);
}

void Http1Connection::OnBroken() {
  if (exchange_.active()) return exchange_.OnClientGone();
  carrier_->Close();
}

// Nothing is under way, and over TLS the client is told so.
void Http1Connection::GiveUp() {
  state_ = State::kOver;
  carrier_->Linger(/*all_read=*/true);
}

void Http1Connection::OnClosed() {
  state_ = State::kOver;
  exchange_.OnConnectionClosed();
}

void Http1Connection::Drain() {
  if (state_ == State::kHead && !parser_.started()) carrier_->AwaitFirstByte();
}

// ---- read head

IoStatus Http1Connection::ReadMore() {
  in_.Reserve(kSmallBlock);
  const std::span<char> room = in_.room();
  if (room.empty()) return IoStatus::kWouldBlock;
  const IoResult result = carrier_->Read(room);
  if (result.status == IoStatus::kOk) in_.Added(result.bytes);
  return result.status;
}

void Http1Connection::ReadHeads() {
  // What TLS has decrypted already (at most a record) no event will tell of: that much is read in
  // any case.
  for (int turn = 0; state_ == State::kHead && (turn < kReadsPerTurn || carrier_->has_pending());
       ++turn) {
    const std::size_t before = in_.end();
    const IoStatus status = ReadMore();
    if (status == IoStatus::kEnd || status == IoStatus::kBroken) {
      state_ = State::kOver;
      return carrier_->Close();
    }
    if (status == IoStatus::kWouldBlock) return;
    const bool filled = in_.end() == in_.capacity();
    const std::size_t preface = carrier_->may_speak_http2() ? PrefaceBytes() : 0;
    if (preface == kPreface.size()) {
      state_ = State::kOver;
      return carrier_->BeginHttp2({in_.data(), in_.end()});
    }
    if (preface == 0 || preface < in_.end()) ParseHeads();
    // From a head's first byte its own clock runs, and is not started again by later bytes.
    if (state_ == State::kHead && before == 0 && in_.end() > 0)
      carrier_->SetReadDeadline(config().timeouts.head);
    // A plain socket that filled less than the room is empty: another read would be a wasted call.
    if (!encrypted() && !filled) return;
  }
}

// How much of HTTP/2's preface has come; 0 when it is something else.
std::size_t Http1Connection::PrefaceBytes() {
  const std::string_view begun(in_.data(), std::min(in_.end(), kPreface.size()));
  return kPreface.starts_with(begun) ? begun.size() : 0;
}

void Http1Connection::ParseHeads() {
  if (parsing_) return;  // the loop below goes on with the next one
  parsing_ = true;
  while (state_ == State::kHead) {
    if (parsed_ == in_.end()) {
      if (!parser_.started()) AwaitRequest();
      break;
    }
    const ParseStep step = parser_.Feed(in_.data(), parsed_, in_.end());
    parsed_ = parser_.taken();
    if (step == ParseStep::kHead) {
      BeginExchange();
    } else if (step == ParseStep::kFailed) {
      Refuse(parser_.status(), parser_.error());
    } else {
      // The parser refuses a head beyond its limit; until then the block grows with it.
      if (in_.room().empty()) in_.Reserve(in_.capacity() * 2);
      break;
    }
  }
  parsing_ = false;
}

void Http1Connection::Refuse(int status, std::string_view why) {
  state_ = State::kExchange;
  carrier_->SetWaiting(false);
  exchange_.Refuse(status, why);
}

void Http1Connection::AwaitRequest() {
  in_.Release();
  parsed_ = 0;
  carrier_->SetWaiting(true);
  carrier_->AwaitFirstByte();
  carrier_->WantRead(true);
}

void Http1Connection::BeginExchange() {
  carrier_->CountRequest();
  carrier_->SetWaiting(false);
  request_ended_ = false;
  body_wanted_ = false;
  answering_ = false;
  patience_ = config().timeouts.body;
  body_from_ = parsed_;
  const RequestHead& head = parser_.head();
  awaits_continue_ = head.expect_continue && head.body != BodyKind::kNone;
  if (head.body != BodyKind::kNone) {
    // A window for the body behind the head; the head itself stays where its views point.
    const std::uint64_t window =
        head.body == BodyKind::kChunked ? kLargeBlock : head.content_length;
    const std::size_t wanted =
        std::max(std::min<std::size_t>(parsed_ + window, kLargeBlock), parsed_ + kSmallBlock / 2);
    const char* old = in_.data();
    in_.Reserve(wanted);
    if (in_.data() != old) parser_.Rebase(old, in_.data());
  }
  state_ = State::kExchange;
  carrier_->ClearReadDeadline();
  exchange_.Begin();
}

// ---- after the answer

void Http1Connection::FinishExchange(bool keep) {
  if (state_ == State::kOver) return;
  body_wanted_ = false;
  carrier_->ClearReadDeadline();
  if (carrier_->output_full()) {
    state_ = State::kFlush;
    keep_after_flush_ = keep;
  } else if (keep) {
    NextRequest();
  } else {
    Linger();
  }
}

void Http1Connection::NextRequest() {
  state_ = State::kHead;
  in_.DropFront(parsed_);
  parsed_ = 0;
  request_ended_ = false;
  parser_.Reset();
  carrier_->WantRead(true);
  if (in_.end() > 0) {
    carrier_->SetWaiting(true);
    carrier_->SetReadDeadline(config().timeouts.head);
    ParseHeads();
  } else {
    AwaitRequest();
  }
  // What TLS holds already, no event will tell of.
  if (state_ == State::kHead && !parsing_ && carrier_->has_pending()) ReadHeads();
}

void Http1Connection::Linger() {
  const bool all_read = request_ended_ && parsed_ == in_.end();
  state_ = State::kOver;
  in_.Release();
  parsed_ = 0;
  carrier_->Linger(all_read);
}

}  // namespace spillway
