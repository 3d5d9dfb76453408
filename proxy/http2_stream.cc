// SPDX-License-Identifier: MIT
#include "proxy/http2_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "proxy/client_connection.h"
#include "proxy/fields.h"
#include "proxy/http2_connection.h"
#include "proxy/patience.h"

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

Http2Stream::Http2Stream(Http2Connection& connection, std::int32_t id,
                         std::shared_ptr<Http2Request> request)
    : connection_(connection),
      id_(id),
      request_(std::move(request)),
      patience_(connection.config().timeouts.body),
      awaits_continue_(request_->head.expect_continue && !request_->ended),
      ended_(request_->ended),
      read_deadline_(connection.carrier().worker().loop, this, &OnReadExpired),
      write_deadline_(connection.carrier().worker().loop, this, &OnWriteExpired),
      exchange_(*this) {}

WorkerContext& Http2Stream::worker() {
  return connection_.carrier().worker();
}
const IpAddress& Http2Stream::peer() const {
  return connection_.carrier().peer();
}
std::string_view Http2Stream::peer_text() const {
  return connection_.peer_text();
}
bool Http2Stream::encrypted() const {
  return connection_.carrier().encrypted();
}
TlsFacts Http2Stream::tls_facts() const {
  return connection_.carrier().tls_facts();
}

void Http2Stream::Begin() {
  if (request_->refusal != 0) return exchange_.Refuse(request_->refusal, request_->reason);
  if (request_->tunnel && FindHeader(request_->head.headers, "sec-websocket-key") == nullptr) {
    // HTTP/1.1's handshake wants a key; HTTP/2's has none (RFC 8441 5.1). It guards nothing here.
    websocket_key_ = MakeWebSocketKey(worker().chance);
    request_->head.headers.push_back({"Sec-WebSocket-Key", websocket_key_});
    request_->head.fields.push_back(Field::kOther);
  }
  exchange_.Begin();
}

// ---- the request's body

void Http2Stream::TakeBody(std::string_view bytes) {
  if (closed_ || finished_) return Free(bytes.size());  // nobody reads it any more
  in_.append(bytes);
  awaits_continue_ = false;
  if (!body_wanted_) return;
  if (!tunnel_) {
    const ClientConfig& config = connection_.config();
    const Duration left = read_deadline_.armed() ? read_deadline_.left() : patience_;
    // Once the answer has begun the two take turns as they like: only silence counts.
    const Bytes rate = answering_ ? Bytes{0} : config.min_rate.body;
    patience_ = Patience(left, bytes.size(), rate, config.timeouts.body);
    read_deadline_.SetAfter(patience_);
  }
  exchange_.OnClientReadable();
}

void Http2Stream::TakeEnd() {
  ended_ = true;
  if (body_wanted_ && !closed_ && !finished_) exchange_.OnClientReadable();
}

ParseStep Http2Stream::NextBodyPiece() {
  if (request_->tunnel) return ParseStep::kEnd;  // what comes belongs to the tunnel
  if (given_ < in_.size()) {
    piece_ = std::string_view(in_).substr(given_);
    given_ = in_.size();
    return ParseStep::kBody;
  }
  if (!ended_) return ParseStep::kNeedMore;
  return request_->refusal == 0 ? ParseStep::kEnd : ParseStep::kFailed;  // of the trailers
}

bool Http2Stream::ReadBodyAgain() {
  if (given_ == 0) return false;
  const std::size_t used = given_;
  in_.erase(0, used);
  given_ = 0;
  Free(used);
  return false;
}

// The client may send as many bytes more.
void Http2Stream::Free(std::size_t bytes) {
  if (session_closed_) return;  // when they were given back
  connection_.session().Consume(id_, bytes);
  connection_.PumpSoon();
}

void Http2Stream::WantBody(bool want) {
  if (want == body_wanted_) return;
  body_wanted_ = want;
  if (tunnel_) {
    wake_ = want && (!in_.empty() || ended_);
    if (wake_) connection_.PumpSoon();
    return;
  }
  ArmBody();
}

// The body's silence counts from when the client may send it.
void Http2Stream::ArmBody() {
  if (body_wanted_ && !awaits_continue_) {
    if (answering_) patience_ = connection_.config().timeouts.body;
    read_deadline_.SetAfter(patience_);
  } else {
    if (read_deadline_.armed()) patience_ = read_deadline_.left();
    read_deadline_.Clear();
  }
}

// ---- the answer

bool Http2Stream::SendInterim(const ResponseHead& head) {
  std::vector<HeaderField> fields;
  std::vector<std::string> texts;
  ListResponseFields(head, ForwardResponse{}, &fields, &texts);
  connection_.session().RespondInterim(id_, head.status, fields);
  if (head.status == 100 && awaits_continue_) {
    awaits_continue_ = false;
    ArmBody();
  }
  return connection_.Pump();
}

// To a client that asked for a tunnel any 2xx is one (RFC 8441 5): an answer is none.
int Http2Stream::StatusFor(int status) const {
  return request_->tunnel && status / 100 == 2 ? 502 : status;
}

bool Http2Stream::BeginResponse(const ResponseHead& head, const ForwardResponse& forward,
                                bool keep) {
  answering_ = true;
  ForwardResponse mine = forward;
  mine.framing = {head.body, head.content_length};
  // What is known to be empty ends with its head, as it may have come: to gRPC that is an answer in
  // itself. A length that nobody gave is not added.
  const bool empty = head.body == BodyKind::kLength && head.content_length == 0;
  if (empty && !head.Has(Field::kContentLength)) mine.framing.body = BodyKind::kNone;
  std::vector<HeaderField> fields;
  std::vector<std::string> texts;
  ListResponseFields(head, mine, &fields, &texts);
  const bool has_body = head.body != BodyKind::kNone && !empty;
  connection_.session().Respond(id_, StatusFor(head.status), fields, has_body);
  if (!has_body) all_given_ = true;
  return keep;
}

bool Http2Stream::SendBody(std::vector<iovec>* pieces, bool last,
                           std::span<const HeaderField> trailers) {
  for (const iovec& piece : *pieces) {
    out_.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  if (last) {
    last_ = true;
    for (const HeaderField& trailer : trailers) {
      if (MayBeTrailer(trailer.name)) trailers_.emplace_back(trailer.name, trailer.value);
    }
  }
  return Push();
}

bool Http2Stream::Push() {
  connection_.session().Resume(id_);
  // The end of an answer waits for other streams' to go out together with it.
  const bool good = last_ ? connection_.PumpSoon() : connection_.Pump();
  blocked_ = output_full();
  if (unsent()) write_deadline_.SetAfter(connection_.config().timeouts.write);
  return good && !closed_;
}

bool Http2Stream::SendAnswer(const Answer& answer, bool head_only, bool) {
  head_only = head_only || request_->head.method == "HEAD";  // also where no head was accepted
  std::vector<HeaderField> fields;
  std::string length;
  ListAnswerFields(answer, worker().date(), &fields, &length);
  if (!head_only) out_.append(BodyToSend(answer));
  last_ = true;
  connection_.session().Respond(id_, StatusFor(answer.status), fields, !out_.empty());
  all_given_ = out_.empty();
  return Push();
}

Http2Part Http2Stream::GiveBody(std::span<char> into, std::vector<HeaderField>* trailers) {
  const std::size_t size = std::min(into.size(), out_.size() - sent_);
  if (size > 0) std::memcpy(into.data(), out_.data() + sent_, size);
  sent_ += size;
  const bool empty = sent_ == out_.size();
  if (empty) {
    out_.clear();
    sent_ = 0;
    write_deadline_.Clear();
  } else if (write_deadline_.armed()) {
    const ClientConfig& config = connection_.config();
    write_deadline_.SetAfter(
        Patience(write_deadline_.left(), size, config.min_rate.answer, config.timeouts.write));
  }
  const bool last = last_ && empty;
  if (last) {
    all_given_ = true;
    for (const auto& [name, value] : trailers_) trailers->push_back({name, value});
  }
  return {size, last};
}

bool Http2Stream::TakeEarlyAnswer() {
  const bool early = finished_ && all_given_ && !ended_ && !stopped_;
  stopped_ = stopped_ || early;
  return early;
}

void Http2Stream::GoOn() {
  const bool drained = std::exchange(blocked_, output_full()) && !blocked_;
  const bool woken = std::exchange(wake_, false);
  if (drained && !closed_ && !finished_) exchange_.OnClientWritable();
  if (woken && !closed_ && !finished_) exchange_.OnClientReadable();
}

void Http2Stream::FinishExchange(bool) {
  finished_ = true;
  body_wanted_ = false;
  read_deadline_.Clear();
  if (session_closed_) return connection_.Bury(id_);
  const std::size_t left = in_.size();
  in_.clear();
  given_ = 0;
  if (left > 0) Free(left);
  if (!ended_) connection_.PumpSoon();  // and tells the client to stop
}

void Http2Stream::Close(bool reset) {
  if (closed_) return;
  if (!reset && tunnel_ && ended_ && last_) {
    return FinishExchange(true);  // both sides have ended as they should: nothing is left to tell
  }
  closed_ = true;
  LetGo();
  if (session_closed_) return connection_.Bury(id_);
  connection_.session().Reset(id_, reset ? Http2Error::kInternal : Http2Error::kCancel);
  connection_.PumpSoon();
}

void Http2Stream::OnGone() {
  if (closed_) return;
  closed_ = true;  // Close, which may follow, has nothing left to do
  if (exchange_.active()) exchange_.OnClientGone();
  LetGo();
}

bool Http2Stream::OnSessionClosed(Http2Error error) {
  session_closed_ = true;
  const bool well = error == Http2Error::kNone && all_given_ && ended_;
  if (!well && !finished_) OnGone();
  return finished_ || closed_;
}

void Http2Stream::LetGo() {
  read_deadline_.Clear();
  write_deadline_.Clear();
  exchange_.OnConnectionClosed();
}

// ---- a tunnel

bool Http2Stream::EnterTunnel(const ResponseHead& head, const ForwardResponse& forward,
                              std::string_view early) {
  tunnel_ = true;
  std::vector<HeaderField> fields;
  std::vector<std::string> texts;
  ListResponseFields(head, forward, &fields, &texts);
  std::erase_if(fields, [](const HeaderField& field) {
    return EqualsIgnoreCase(field.name, "sec-websocket-accept");  // of the key that we made up
  });
  connection_.session().Respond(id_, 200, fields, true);
  out_.append(early);
  TouchTunnel();
  return Push();
}

IoResult Http2Stream::ReadTunnel(std::span<char> into) {
  if (in_.empty()) return {ended_ ? IoStatus::kEnd : IoStatus::kWouldBlock, 0};
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
  last_ = true;
  Push();
}

void Http2Stream::TouchTunnel() {
  read_deadline_.SetAfter(connection_.config().timeouts.tunnel);
}

// ---- time

void Http2Stream::OnReadExpired(void* self) {
  auto& stream = *static_cast<Http2Stream*>(self);
  stream.worker().counters.timeouts_client.Add();
  if (stream.tunnel_) return stream.exchange_.OnClientTimeout();
  stream.exchange_.OnBodyTimeout();
}

void Http2Stream::OnWriteExpired(void* self) {
  auto& stream = *static_cast<Http2Stream*>(self);
  // Other streams may have had the connection to themselves; its own deadline is the carrier's.
  if (!stream.connection_.session().client_stalls(stream.id_)) {
    return stream.write_deadline_.SetAfter(stream.connection_.config().timeouts.write);
  }
  stream.worker().counters.timeouts_client.Add();
  if (stream.exchange_.active()) return stream.exchange_.OnClientTimeout();
  stream.Close(true);
}

}  // namespace spillway
