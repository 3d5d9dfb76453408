// SPDX-License-Identifier: MIT
#include "proxy/http2_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "proxy/client_connection.h"
#include "proxy/fields.h"
#include "proxy/http2_connection.h"
#include "proxy/patience.h"
#include "proxy/reuse.h"

namespace spillway {
namespace {

// As base64 of 16 bytes looks, all but two bits of them by chance.
std::string MakeWebSocketKey(Chance& chance) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string key;
  while (key.size() < 21) {
    std::uint64_t bits = chance.Next();
    for (int i = 0; i < 7; ++i, bits >>= 6) key.push_back(kDigits[bits & 63]);
  }
  return key.append("A==");
}

}  // namespace

Http2Stream::Http2Stream(WorkerContext& worker)
    : worker_(worker),
      read_deadline_(worker.loop, this, &OnReadExpired),
      write_deadline_(worker.loop, this, &OnWriteExpired),
      exchange_(*this) {}

void Http2Stream::Serve(Http2Connection& connection, std::int32_t id,
                        std::shared_ptr<Http2Request> request) {
  state_.connection = &connection;
  state_.id = id;
  state_.request = std::move(request);
  state_.patience = connection.config().timeouts.body;
  state_.ended = state_.request->ended;
  state_.awaits_continue = state_.request->head.expect_continue && !state_.ended;
}

std::shared_ptr<Http2Request> Http2Stream::Forget() {
  read_deadline_.Clear();
  write_deadline_.Clear();
  std::shared_ptr<Http2Request> request = std::move(state_.request);
  state_ = {};
  for (std::string* text : {&websocket_key_, &in_, &out_, &field_text_}) ClearForReuse(text);
  ClearForReuse(&trailers_);
  ClearForReuse(&fields_);
  return request;
}

const IpAddress& Http2Stream::peer() const {
  return state_.connection->carrier().peer();
}
std::string_view Http2Stream::peer_text() const {
  return state_.connection->peer_text();
}
bool Http2Stream::encrypted() const {
  return state_.connection->carrier().encrypted();
}
TlsFacts Http2Stream::tls_facts() const {
  return state_.connection->carrier().tls_facts();
}

void Http2Stream::Begin() {
  if (state_.request->refusal != 0)
    return exchange_.Refuse(state_.request->refusal, state_.request->reason);
  if (state_.request->tunnel &&
      FindHeader(state_.request->head.headers, "sec-websocket-key") == nullptr) {
    // HTTP/1.1's handshake wants a key; HTTP/2's has none (RFC 8441 5.1). It guards nothing here.
    websocket_key_ = MakeWebSocketKey(worker_.chance);
    state_.request->head.headers.push_back({"Sec-WebSocket-Key", websocket_key_});
    state_.request->head.fields.push_back(Field::kOther);
  }
  exchange_.Begin();
}

// ---- the request's body

void Http2Stream::TakeBody(std::string_view bytes) {
  if (state_.closed || state_.finished) return Free(bytes.size());  // nobody reads it any more
  in_.append(bytes);
  state_.awaits_continue = false;
  if (!state_.body_wanted) return;
  if (!state_.tunnel) {
    const ClientConfig& config = state_.connection->config();
    const Duration left = read_deadline_.armed() ? read_deadline_.left() : state_.patience;
    // Once the answer has begun the two take turns as they like: only silence counts.
    const Bytes rate = state_.answering ? Bytes{0} : config.min_rate.body;
    state_.patience = Patience(left, bytes.size(), rate, config.timeouts.body);
    read_deadline_.SetAfter(state_.patience);
  }
  exchange_.OnClientReadable();
}

void Http2Stream::TakeEnd() {
  state_.ended = true;
  if (state_.body_wanted && !state_.closed && !state_.finished) exchange_.OnClientReadable();
}

ParseStep Http2Stream::NextBodyPiece() {
  if (state_.request->tunnel) return ParseStep::kEnd;  // what comes belongs to the tunnel
  if (state_.given < in_.size()) {
    state_.piece = std::string_view(in_).substr(state_.given);
    state_.given = in_.size();
    return ParseStep::kBody;
  }
  if (!state_.ended) return ParseStep::kNeedMore;
  return state_.request->refusal == 0 ? ParseStep::kEnd : ParseStep::kFailed;  // of the trailers
}

bool Http2Stream::ReadBodyAgain() {
  if (state_.given == 0) return false;
  const std::size_t used = state_.given;
  in_.erase(0, used);
  state_.given = 0;
  Free(used);
  return false;
}

// The client may send as many bytes more.
void Http2Stream::Free(std::size_t bytes) {
  if (state_.session_closed) return;  // when they were given back
  state_.connection->session().Consume(state_.id, bytes);
  state_.connection->PumpSoon();
}

void Http2Stream::WantBody(bool want) {
  if (want == state_.body_wanted) return;
  state_.body_wanted = want;
  if (state_.tunnel) {
    state_.wake = want && (!in_.empty() || state_.ended);
    if (state_.wake) state_.connection->PumpSoon();
    return;
  }
  ArmBody();
}

// The body's silence counts from when the client may send it.
void Http2Stream::ArmBody() {
  if (state_.body_wanted && !state_.awaits_continue) {
    if (state_.answering) state_.patience = state_.connection->config().timeouts.body;
    read_deadline_.SetAfter(state_.patience);
  } else {
    if (read_deadline_.armed()) state_.patience = read_deadline_.left();
    read_deadline_.Clear();
  }
}

// ---- the answer

bool Http2Stream::SendInterim(const ResponseHead& head) {
  ListResponseFields(head, ForwardResponse{}, &fields_, &field_text_);
  state_.connection->session().RespondInterim(state_.id, head.status, fields_);
  if (head.status == 100 && state_.awaits_continue) {
    state_.awaits_continue = false;
    ArmBody();
  }
  return state_.connection->Pump();
}

// To a client that asked for a tunnel any 2xx is one (RFC 8441 5): an answer is none.
int Http2Stream::StatusFor(int status) const {
  return state_.request->tunnel && status / 100 == 2 ? 502 : status;
}

bool Http2Stream::BeginResponse(const ResponseHead& head, const ForwardResponse& forward,
                                bool keep) {
  state_.answering = true;
  ForwardResponse mine = forward;
  mine.framing = {head.body, head.content_length};
  // What is known to be empty ends with its head, as it may have come: to gRPC that is an answer in
  // itself. A length that nobody gave is not added.
  const bool empty = head.body == BodyKind::kLength && head.content_length == 0;
  if (empty && !head.Has(Field::kContentLength)) mine.framing.body = BodyKind::kNone;
  ListResponseFields(head, mine, &fields_, &field_text_);
  const bool has_body = head.body != BodyKind::kNone && !empty;
  state_.connection->session().Respond(state_.id, StatusFor(head.status), fields_, has_body);
  if (!has_body) state_.all_given = true;
  return keep;
}

bool Http2Stream::SendBody(std::vector<iovec>* pieces, bool last,
                           std::span<const HeaderField> trailers) {
  for (const iovec& piece : *pieces) {
    out_.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  if (last) {
    state_.last = true;
    for (const HeaderField& trailer : trailers) {
      if (MayBeTrailer(trailer.name)) trailers_.emplace_back(trailer.name, trailer.value);
    }
  }
  return Push();
}

bool Http2Stream::Push() {
  state_.connection->session().Resume(state_.id);
  // The end of an answer waits for other streams' to go out together with it.
  const bool good = state_.last ? state_.connection->PumpSoon() : state_.connection->Pump();
  state_.blocked = output_full();
  if (unsent()) write_deadline_.SetAfter(state_.connection->config().timeouts.write);
  return good && !state_.closed;
}

bool Http2Stream::SendAnswer(const Answer& answer, bool head_only, bool) {
  head_only =
      head_only || state_.request->head.method == "HEAD";  // also where no head was accepted
  ListAnswerFields(answer, worker_.date(), &fields_, &field_text_);
  if (!head_only) out_.append(BodyToSend(answer));
  state_.last = true;
  state_.connection->session().Respond(state_.id, StatusFor(answer.status), fields_, !out_.empty());
  state_.all_given = out_.empty();
  return Push();
}

Http2Part Http2Stream::GiveBody(std::span<char> into, std::vector<HeaderField>* trailers) {
  const std::size_t size = std::min(into.size(), out_.size() - state_.sent);
  if (size > 0) std::memcpy(into.data(), out_.data() + state_.sent, size);
  state_.sent += size;
  const bool empty = state_.sent == out_.size();
  if (empty) {
    out_.clear();
    state_.sent = 0;
    write_deadline_.Clear();
  } else if (write_deadline_.armed()) {
    const ClientConfig& config = state_.connection->config();
    write_deadline_.SetAfter(
        Patience(write_deadline_.left(), size, config.min_rate.answer, config.timeouts.write));
  }
  const bool last = state_.last && empty;
  if (last) {
    state_.all_given = true;
    for (const auto& [name, value] : trailers_) trailers->push_back({name, value});
  }
  return {size, last};
}

bool Http2Stream::TakeEarlyAnswer() {
  const bool early = state_.finished && state_.all_given && !state_.ended && !state_.stopped;
  state_.stopped = state_.stopped || early;
  return early;
}

void Http2Stream::GoOn() {
  const bool drained = std::exchange(state_.blocked, output_full()) && !state_.blocked;
  const bool woken = std::exchange(state_.wake, false);
  if (drained && !state_.closed && !state_.finished) exchange_.OnClientWritable();
  if (woken && !state_.closed && !state_.finished) exchange_.OnClientReadable();
}

void Http2Stream::FinishExchange(bool) {
  state_.finished = true;
  state_.body_wanted = false;
  read_deadline_.Clear();
  if (state_.session_closed) return state_.connection->Bury(state_.id);
  const std::size_t left = in_.size();
  in_.clear();
  state_.given = 0;
  if (left > 0) Free(left);
  if (!state_.ended) state_.connection->PumpSoon();  // and tells the client to stop
}

void Http2Stream::Close(bool reset) {
  if (state_.closed) return;
  if (!reset && state_.tunnel && state_.ended && state_.last) {
    return FinishExchange(true);  // both sides have ended as they should: nothing is left to tell
  }
  state_.closed = true;
  LetGo();
  if (state_.session_closed) return state_.connection->Bury(state_.id);
  state_.connection->session().Reset(state_.id,
                                     reset ? Http2Error::kInternal : Http2Error::kCancel);
  state_.connection->PumpSoon();
}

void Http2Stream::OnGone() {
  if (state_.closed) return;
  state_.closed = true;  // Close, which may follow, has nothing left to do
  if (exchange_.active()) exchange_.OnClientGone();
  LetGo();
}

bool Http2Stream::OnSessionClosed(Http2Error error) {
  state_.session_closed = true;
  const bool well = error == Http2Error::kNone && state_.all_given && state_.ended;
  if (!well && !state_.finished) OnGone();
  return state_.finished || state_.closed;
}

void Http2Stream::LetGo() {
  read_deadline_.Clear();
  write_deadline_.Clear();
  exchange_.OnConnectionClosed();
}

// ---- a tunnel

bool Http2Stream::EnterTunnel(const ResponseHead& head, const ForwardResponse& forward,
                              std::string_view early) {
  state_.tunnel = true;
  ListResponseFields(head, forward, &fields_, &field_text_);
  std::erase_if(fields_, [](const HeaderField& field) {
    return EqualsIgnoreCase(field.name, "sec-websocket-accept");  // of the key that we made up
  });
  state_.connection->session().Respond(state_.id, 200, fields_, true);
  out_.append(early);
  TouchTunnel();
  return Push();
}

IoResult Http2Stream::ReadTunnel(std::span<char> into) {
  if (in_.empty()) return {state_.ended ? IoStatus::kEnd : IoStatus::kWouldBlock, 0};
  const std::size_t size = std::min(into.size(), in_.size());
  std::memcpy(into.data(), in_.data(), size);
  in_.erase(0, size);
  Free(size);
  return {IoStatus::kOk, size};
}

bool Http2Stream::WriteTunnel(std::string_view bytes) {
  out_.append(bytes);
  return Push();
}

void Http2Stream::EndTunnelOutput() {
  state_.last = true;
  Push();
}

void Http2Stream::TouchTunnel() {
  read_deadline_.SetAfter(state_.connection->config().timeouts.tunnel);
}

// ---- time

void Http2Stream::OnReadExpired(void* self) {
  auto& stream = *static_cast<Http2Stream*>(self);
  stream.worker_.counters.timeouts_client.Add();
  if (stream.state_.tunnel) return stream.exchange_.OnClientTimeout();
  stream.exchange_.OnBodyTimeout();
}

void Http2Stream::OnWriteExpired(void* self) {
  auto& stream = *static_cast<Http2Stream*>(self);
  // Other streams may have had the connection to themselves; its own deadline is the carrier's.
  if (!stream.state_.connection->session().client_stalls(stream.state_.id)) {
    return stream.write_deadline_.SetAfter(stream.state_.connection->config().timeouts.write);
  }
  stream.worker_.counters.timeouts_client.Add();
  if (stream.exchange_.active()) return stream.exchange_.OnClientTimeout();
  stream.Close(true);
}

}  // namespace spillway
