// SPDX-License-Identifier: MIT
#include "proxy/upstream_http2_stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proxy/upstream_http2_connection.h"

namespace spillway {

Http2UpstreamStream::Http2UpstreamStream(std::shared_ptr<Http2UpstreamConnection> connection,
                                         UpstreamUser& user)
    : connection_(std::move(connection)),
      user_(user),
      deadline_(connection_->loop(), this, &OnExpired),
      reused_(connection_->connected()),
      connected_(reused_) {}

Http2UpstreamStream::~Http2UpstreamStream() {
  Consume(used_ + in_.size());
  if (id_ != 0 && !closed_) connection_->session().Drop(id_, Http2Error::kCancel);
  connection_->Detach(*this, id_, expired_);
}

// ---- for the connection

void Http2UpstreamStream::TakeEnd(std::unique_ptr<Http2Response> trailers) {
  ended_ = true;
  end_ = std::move(trailers);
  if (end_) trailers_ = end_->TakeTrailers();
}

void Http2UpstreamStream::TakeClose(Http2End how, std::string_view why) {
  if (closed_) return;
  closed_ = true;
  how_ = id_ == 0 && connected_ ? Http2End::kUnprocessed : how;
  why_ = why;
  moved_ = wants_write_;
}

Http2Part Http2UpstreamStream::GiveBody(std::span<char> into, std::vector<HeaderField>* trailers) {
  const std::size_t size = std::min(into.size(), out_.size() - sent_);
  if (size > 0) std::memcpy(into.data(), out_.data() + sent_, size);
  sent_ += size;
  const bool empty = sent_ == out_.size();
  if (empty) {
    out_.clear();
    sent_ = 0;
  }
  if (size > 0 && wants_write_) {
    moved_ = true;
    connection_->TellSoon(*this);
  }
  const bool last = all_out_ && empty;
  if (last) {
    for (const auto& [name, value] : trailers_out_) trailers->push_back({name, value});
  }
  return {size, last};
}

void Http2UpstreamStream::Tell() {
  if (!connected_) {
    if (connection_->connected() || connection_->broken()) user_.OnUpstreamWritable();
    return;
  }
  const bool write = wants_write_ && moved_;
  const bool read = wants_read_ && (readable() || closed_ || used_ > 0);
  if (write) {
    if (read) connection_->TellSoon(*this);  // the user may end this
    return user_.OnUpstreamWritable();
  }
  if (read) user_.OnUpstreamReadable();
}

void Http2UpstreamStream::OnExpired(void* self) {
  auto& stream = *static_cast<Http2UpstreamStream*>(self);
  stream.expired_ = true;
  stream.user_.OnUpstreamDeadline();
}

// ---- the connection

std::string_view Http2UpstreamStream::FinishConnect() {
  if (!connection_->connect_fault().empty()) return connection_->connect_fault();
  if (connection_->broken()) return "the connection broke";
  connected_ = true;
  return {};
}

bool Http2UpstreamStream::reached() const {
  return connection_->reached();
}
std::string_view Http2UpstreamStream::tls_fault() const {
  return connection_->tls_fault();
}
bool Http2UpstreamStream::certificate_refused() const {
  return connection_->certificate_refused();
}

// That the connection ended may be what a server does to one that it has kept for long enough. A
// stream that it resets by itself is its answer.
bool Http2UpstreamStream::stale() const {
  return unprocessed() || (reused_ && connection_->broken());
}

// ---- the request

void Http2UpstreamStream::BeginRequest(const RequestHead& head, const ForwardRequest& forward,
                                       std::string* room, std::vector<iovec>*) {
  relied_on_ = forward.relied_on;
  wants_read_ = true;
  if (connection_->broken()) return TakeClose(Http2End::kUnprocessed, {});
  // nghttp2 copies them: the list lives no longer than this.
  std::vector<HeaderField> fields;
  fields.reserve(head.headers.size() + forward.set_headers.size() + 16);
  fields.push_back({":scheme", connection_->encrypted() ? "https" : "http"});
  room->clear();
  ListRequestFields(head, forward, &fields, room);
  has_body_ = forward.framing.body == BodyKind::kChunked ||
              (forward.framing.body == BodyKind::kLength && forward.framing.content_length > 0);
  id_ = connection_->session().Open(fields, has_body_, head.method == "HEAD");
  if (id_ > 0) return connection_->Know(id_, *this);
  id_ = 0;
  TakeClose(Http2End::kUnprocessed, {});
}

IoStatus Http2UpstreamStream::SendBody(std::vector<iovec>* pieces, bool last,
                                       std::span<const HeaderField> trailers) {
  if (closed_) return IoStatus::kBroken;
  for (const iovec& piece : *pieces) {
    out_.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  if (last) {
    all_out_ = true;
    for (const HeaderField& trailer : trailers) {
      if (MayBeTrailerOfRequest(trailer.name, relied_on_))
        trailers_out_.emplace_back(trailer.name, trailer.value);
    }
  }
  if (has_body_) connection_->session().Resume(id_);
  connection_->Pump();
  return closed_ ? IoStatus::kBroken : IoStatus::kOk;
}

IoStatus Http2UpstreamStream::Flush(bool* moved) {
  *moved = *moved || moved_;
  moved_ = false;
  if (unsent() == 0) wants_write_ = false;
  return closed_ ? IoStatus::kBroken : IoStatus::kOk;
}

// ---- the response

void Http2UpstreamStream::WantRead(bool want) {
  wants_read_ = want;
  if (want && (readable() || closed_ || used_ > 0)) connection_->TellSoon(*this);
}

bool Http2UpstreamStream::readable() const {
  return heads_given_ < heads_.size() || given_ < in_.size() || ended_;
}

// The server may send as many bytes more.
void Http2UpstreamStream::Consume(std::size_t bytes) {
  if (bytes == 0 || id_ == 0 || connection_->broken()) return;
  connection_->session().Consume(id_, bytes);
  connection_->PumpSoon();
}

// It is asked for more when the client has taken what came before: this is where the window opens.
UpstreamSide::ReadResult Http2UpstreamStream::Read() {
  Consume(std::exchange(used_, 0));
  if (readable()) return {IoStatus::kOk, true};
  if (!closed_) return {};
  return {how_ == Http2End::kViolation ? IoStatus::kOk : IoStatus::kBroken, false};
}

ParseStep Http2UpstreamStream::Next(bool) {
  if (!head_ && heads_given_ < heads_.size()) {
    head_ = std::move(heads_[heads_given_++]);
    return ParseStep::kHead;
  }
  if (head_ && given_ < in_.size()) {
    piece_ = std::string_view(in_).substr(given_);
    given_ = in_.size();
    return ParseStep::kBody;
  }
  if (head_ && ended_) return ParseStep::kEnd;
  const bool failed = closed_ && how_ == Http2End::kViolation;
  return failed ? ParseStep::kFailed : ParseStep::kNeedMore;
}

void Http2UpstreamStream::ReleasePieces() {
  used_ += given_;
  in_.erase(0, std::exchange(given_, 0));
}

void Http2UpstreamStream::Finish(const UpstreamFinish&) {
  delete this;  // the connection is kept by its owner, whatever becomes of one stream
}

}  // namespace spillway
