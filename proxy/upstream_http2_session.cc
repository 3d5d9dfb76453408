// SPDX-License-Identifier: MIT
// nghttp2's callbacks turned into a handler's calls.
#include "proxy/upstream_http2_session.h"

#include <algorithm>
#include <unordered_map>

#include "proxy/http2_parts.h"

namespace spillway {
namespace {

using http2::Fields;
using http2::View;

// More interim heads than this before a final one is an upstream that will never answer.
constexpr int kMostInterim = 16;

// Larger than any request head that is accepted from a client, with what is added to it.
constexpr std::size_t kMostRequestHead = 4 * 1024 * 1024;

constexpr std::size_t kFrame = 16 * 1024;  // the largest, unless we allow more
constexpr std::size_t kMostContinuations = 8;

// A window of all streams together never holds one of them up for another's client.
std::int32_t ConnectionWindow(const Http2UpstreamLimits& limits) {
  const std::uint64_t all = std::uint64_t{limits.streams} * limits.window;
  return static_cast<std::int32_t>(std::min<std::uint64_t>(all, (1U << 31) - 1));
}

}  // namespace

struct Http2UpstreamSession::Impl {
  Impl(Http2UpstreamHandler& heard_by, const Http2UpstreamLimits& limited)
      : handler(heard_by), limits(limited) {}
  ~Impl() { nghttp2_session_del(session); }

  struct OpenStream {
    std::unique_ptr<Http2Response> coming;  // a head or the trailers
    int interim = 0;
    bool to_head = false;
    bool answered = false;  // its final head has been told
    bool ended = false;     // and its end
    bool reset = false;     // by the server
    std::string_view fault;
  };

  OpenStream* Find(std::int32_t id) {
    const auto found = streams.find(id);
    return found == streams.end() ? nullptr : &found->second;
  }
  void Charge(double cost);
  int Fail(OpenStream* stream, std::string_view why);
  int EndHead(std::int32_t id, OpenStream* stream, bool ended);
  void Close(std::int32_t id, std::uint32_t error);

  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                      std::uint8_t flags, void* self);
  static int OnInvalidHeader(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t*,
                             std::size_t, const std::uint8_t*, std::size_t, std::uint8_t,
                             void* self);
  static int OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* frame, void* self);
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnData(nghttp2_session*, std::uint8_t flags, std::int32_t id, const std::uint8_t* data,
                    std::size_t size, void* self);
  static int OnClose(nghttp2_session*, std::int32_t id, std::uint32_t error, void* self);
  static int OnNotSent(nghttp2_session*, const nghttp2_frame* frame, int, void* self);
  static ssize_t ReadBody(nghttp2_session* session, std::int32_t id, std::uint8_t* into,
                          std::size_t size, std::uint32_t* flags, nghttp2_data_source*, void* self);

  Http2UpstreamHandler& handler;
  const Http2UpstreamLimits limits;
  nghttp2_session* session = nullptr;
  std::unordered_map<std::int32_t, OpenStream> streams;  // at most limits.streams
  http2::PeerCost cost;
  TimePoint now{};
};

void Http2UpstreamSession::Impl::Charge(double more) {
  if (cost.Charge(more, now)) return;
  nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
}

// For a callback to return: the stream is reset.
int Http2UpstreamSession::Impl::Fail(OpenStream* stream, std::string_view why) {
  if (stream->fault.empty()) stream->fault = why;
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

int Http2UpstreamSession::Impl::OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame,
                                               void* self) {
  OpenStream* stream = static_cast<Impl*>(self)->Find(frame->hd.stream_id);
  if (stream != nullptr) stream->coming = std::make_unique<Http2Response>();
  return 0;
}

int Http2UpstreamSession::Impl::OnHeader(nghttp2_session*, const nghttp2_frame* frame,
                                         const std::uint8_t* name, std::size_t name_size,
                                         const std::uint8_t* value, std::size_t value_size,
                                         std::uint8_t, void* self) {
  auto& impl = *static_cast<Impl*>(self);
  OpenStream* stream = impl.Find(frame->hd.stream_id);
  if (stream == nullptr || !stream->coming) return 0;
  const bool fits =
      stream->coming->Add(View(name, name_size), View(value, value_size), impl.limits.message);
  return fits ? 0 : impl.Fail(stream, "the head is too large");
}

// Without this nghttp2 would pass over a malformed field, which is to guess.
int Http2UpstreamSession::Impl::OnInvalidHeader(nghttp2_session*, const nghttp2_frame* frame,
                                                const std::uint8_t*, std::size_t,
                                                const std::uint8_t*, std::size_t, std::uint8_t,
                                                void* self) {
  auto& impl = *static_cast<Impl*>(self);
  OpenStream* stream = impl.Find(frame->hd.stream_id);
  if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  return impl.Fail(stream, "malformed header field");
}

int Http2UpstreamSession::Impl::OnBeginFrame(nghttp2_session* session,
                                             const nghttp2_frame_hd* frame, void* self) {
  auto& impl = *static_cast<Impl*>(self);
  switch (frame->type) {
    case NGHTTP2_HEADERS:
      if (!impl.Find(frame->stream_id)) impl.Charge(1);  // of a stream that has just been dropped
      break;
    case NGHTTP2_DATA:
      if (frame->length == 0 && (frame->flags & NGHTTP2_FLAG_END_STREAM) == 0) impl.Charge(1);
      break;
    case NGHTTP2_WINDOW_UPDATE:
      impl.Charge(http2::kWindowCost);
      break;
    case NGHTTP2_RST_STREAM:
      if (!impl.Find(frame->stream_id)) impl.Charge(1);
      break;
    case NGHTTP2_PUSH_PROMISE:  // our SETTINGS say not to
      nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
      break;
    default:
      if ((frame->flags & NGHTTP2_FLAG_ACK) == 0) impl.Charge(1);
      break;
  }
  return 0;
}

int Http2UpstreamSession::Impl::EndHead(std::int32_t id, OpenStream* stream, bool ended) {
  if (!stream->coming || stream->answered) return 0;
  if (const std::string_view why = stream->coming->TakeHead(ended, stream->to_head); !why.empty()) {
    stream->fault = why;
  } else if (stream->coming->head().interim() && ++stream->interim > kMostInterim) {
    stream->fault = "too many interim responses";
  }
  if (!stream->fault.empty()) {
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
  }
  stream->answered = !stream->coming->head().interim();
  handler.OnHttp2Response(id, std::move(stream->coming));
  return 0;
}

int Http2UpstreamSession::Impl::OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
  auto& impl = *static_cast<Impl*>(self);
  const std::int32_t id = frame->hd.stream_id;
  OpenStream* stream = impl.Find(id);
  if (stream == nullptr) return 0;
  if (frame->hd.type == NGHTTP2_RST_STREAM) stream->reset = true;
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  const bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  const bool padded = frame->hd.type == NGHTTP2_DATA && frame->data.padlen > 0;
  if (padded && !ended && frame->data.padlen == frame->hd.length) impl.Charge(1);
  if (frame->hd.type == NGHTTP2_HEADERS) {
    if (impl.EndHead(id, stream, ended) != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  stream = impl.Find(id);  // the handler may have dropped it
  if (stream == nullptr || !ended || !stream->answered || !stream->fault.empty()) return 0;
  stream->ended = true;
  impl.handler.OnHttp2End(id, std::move(stream->coming));
  return 0;
}

int Http2UpstreamSession::Impl::OnData(nghttp2_session*, std::uint8_t, std::int32_t id,
                                       const std::uint8_t* data, std::size_t size, void* self) {
  auto& impl = *static_cast<Impl*>(self);
  if (impl.Find(id) != nullptr) {
    impl.handler.OnHttp2Body(id, View(data, size));
  } else {
    nghttp2_session_consume(impl.session, id, size);
  }
  return 0;
}

void Http2UpstreamSession::Impl::Close(std::int32_t id, std::uint32_t error) {
  const OpenStream* stream = Find(id);
  if (stream == nullptr) return;
  const bool by_server = stream->reset;
  const std::string_view fault = stream->fault.empty() ? "malformed response" : stream->fault;
  Http2End how = Http2End::kViolation;
  if (stream->ended) {
    how = error == NGHTTP2_NO_ERROR && !by_server ? Http2End::kWell : Http2End::kStopped;
  } else if (error == NGHTTP2_REFUSED_STREAM && !stream->answered) {
    how = Http2End::kUnprocessed;  // by RST_STREAM, or beyond what a GOAWAY says was seen
  } else if (by_server || error == NGHTTP2_REFUSED_STREAM) {
    how = Http2End::kReset;
  }
  streams.erase(id);
  handler.OnHttp2Closed(id, how, fault);
}

int Http2UpstreamSession::Impl::OnClose(nghttp2_session*, std::int32_t id, std::uint32_t error,
                                        void* self) {
  static_cast<Impl*>(self)->Close(id, error);
  return 0;
}

// A request that waited for its turn until the server said that it takes no more.
int Http2UpstreamSession::Impl::OnNotSent(nghttp2_session*, const nghttp2_frame* frame, int,
                                          void* self) {
  if (frame->hd.type == NGHTTP2_HEADERS) {
    static_cast<Impl*>(self)->Close(frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
  }
  return 0;
}

ssize_t Http2UpstreamSession::Impl::ReadBody(nghttp2_session* session, std::int32_t id,
                                             std::uint8_t* into, std::size_t size,
                                             std::uint32_t* flags, nghttp2_data_source*,
                                             void* self) {
  auto& impl = *static_cast<Impl*>(self);
  if (impl.Find(id) == nullptr) return NGHTTP2_ERR_DEFERRED;  // it is about to be reset
  std::vector<HeaderField> trailers;
  const Http2Part part =
      impl.handler.OnHttp2Want(id, {reinterpret_cast<char*>(into), size}, &trailers);
  if (part.bytes == 0 && !part.last) return NGHTTP2_ERR_DEFERRED;
  // Some servers measure the way with a PING for what they are sent.
  impl.cost.Pay(1 + static_cast<double>(part.bytes) / http2::kBytesThatPay);
  if (part.last) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!trailers.empty()) {
      const Fields fields(0, trailers);
      if (nghttp2_submit_trailer(session, id, fields.data(), fields.size()) == 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      }
    }
  }
  return static_cast<ssize_t>(part.bytes);
}

Http2UpstreamSession::Http2UpstreamSession(Http2UpstreamHandler& handler,
                                           const Http2UpstreamLimits& limits)
    : impl_(std::make_unique<Impl>(handler, limits)) {
  const http2::Callbacks callbacks = http2::MakeCallbacks();
  nghttp2_session_callbacks* made = callbacks.get();
  http2::SetCallbacks<Impl>(made);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(made, &Impl::OnNotSent);

  const http2::Option option = http2::MakeOption();
  nghttp2_option* options = option.get();
  http2::SetLimits(options, kMostContinuations + limits.message.head / kFrame, kMostRequestHead);
  if (nghttp2_session_client_new2(&impl_->session, made, impl_.get(), options) != 0) {
    throw std::bad_alloc();
  }
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.window},
      // Fields count 32 bytes more than their text there (RFC 9113 6.5.2).
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
       static_cast<std::uint32_t>(limits.message.head + 32 * limits.message.headers)},
  };
  nghttp2_submit_settings(impl_->session, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(impl_->session, NGHTTP2_FLAG_NONE, 0,
                                        ConnectionWindow(limits));
}

Http2UpstreamSession::~Http2UpstreamSession() = default;

bool Http2UpstreamSession::Receive(std::string_view bytes, TimePoint now) {
  impl_->cost.Begin(now);
  impl_->now = now;
  const ssize_t taken = nghttp2_session_mem_recv(
      impl_->session, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (taken == NGHTTP2_ERR_FLOODED || taken == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) {
    Terminate(Http2Error::kEnhanceYourCalm);
  }
  return taken >= 0 && nghttp2_session_want_read(impl_->session) != 0;
}

bool Http2UpstreamSession::Produce(std::size_t most, std::string* out) {
  return http2::Produce(impl_->session, most, out);
}

bool Http2UpstreamSession::over() const {
  return nghttp2_session_want_read(impl_->session) == 0 &&
         nghttp2_session_want_write(impl_->session) == 0;
}

std::size_t Http2UpstreamSession::most_streams() const {
  if (nghttp2_session_check_request_allowed(impl_->session) == 0) return 0;
  return std::min(
      impl_->limits.streams,
      nghttp2_session_get_remote_settings(impl_->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
}

std::int32_t Http2UpstreamSession::Open(std::span<const HeaderField> fields, bool has_body,
                                        bool to_head) {
  const Fields made(0, fields);
  nghttp2_data_provider body{};
  body.read_callback = &Impl::ReadBody;
  const std::int32_t id = nghttp2_submit_request(impl_->session, nullptr, made.data(), made.size(),
                                                 has_body ? &body : nullptr, nullptr);
  if (id < 0) return -1;
  impl_->streams[id].to_head = to_head;
  impl_->cost.Pay(1);
  return id;
}

void Http2UpstreamSession::Resume(std::int32_t stream) {
  nghttp2_session_resume_data(impl_->session, stream);
}

void Http2UpstreamSession::Consume(std::int32_t stream, std::size_t bytes) {
  nghttp2_session_consume(impl_->session, stream, bytes);
}

void Http2UpstreamSession::Drop(std::int32_t stream, Http2Error error) {
  impl_->streams.erase(stream);
  nghttp2_submit_rst_stream(impl_->session, NGHTTP2_FLAG_NONE, stream,
                            static_cast<std::uint32_t>(error));
}

void Http2UpstreamSession::Ping() {
  nghttp2_submit_ping(impl_->session, NGHTTP2_FLAG_NONE, nullptr);
}

void Http2UpstreamSession::Terminate(Http2Error error) {
  nghttp2_session_terminate_session(impl_->session, static_cast<std::uint32_t>(error));
}

}  // namespace spillway
