// SPDX-License-Identifier: MIT
// nghttp2's callbacks turned into a handler's calls. Heads are gathered as text with offsets, and
// become views when they are complete.
#include "proxy/http2.h"

#include <algorithm>
#include <utility>

#include "proxy/http2_parts.h"
#include "proxy/reuse.h"
#include "proxy/stream_list.h"

namespace spillway {
namespace {

using http2::Fields;
using http2::View;

constexpr double kFramePays = 2 * http2::kWindowCost;  // on the stream and on the connection

// A stream that ends before its answer, by the client's reset or by its fault, cost us a whole
// request: 200 at once, 20 a second.
constexpr double kAbortCost = 2.5;

// A head beyond its limit is answered as long as it is not many times as large: looking at it costs
// more than sending it (HPACK repeats 4 KiB in one byte).
constexpr std::size_t kMostOverHead = 4;

constexpr std::size_t kMostContinuations = 8;  // more where a head may be larger than they hold
constexpr std::size_t kFrame = 16 * 1024;      // our SETTINGS_MAX_FRAME_SIZE, the default

// Larger than any response head that is accepted from an upstream.
constexpr std::size_t kMostResponseHead = 4 * 1024 * 1024;

}  // namespace

void Http2Request::Clear() {
  builder.Clear();
  RequestHead fresh;
  fresh.headers.swap(head.headers);
  fresh.fields.swap(head.fields);
  head = std::move(fresh);
  ClearForReuse(&head.headers);
  ClearForReuse(&head.fields);
  ClearForReuse(&trailers);
  refusal = 0;
  reason = {};
  ended = tunnel = false;
}

struct Http2Session::Impl {
  Impl(Http2Handler& heard_by, const Http2Limits& limited) : handler(heard_by), limits(limited) {}
  ~Impl() { nghttp2_session_del(session); }

  struct OpenStream {
    std::shared_ptr<Http2Request> request;
    bool told = false;     // the handler knows it
    bool dropped = false;  // by the handler
  };

  OpenStream* Find(std::int32_t id) { return streams.Find(id); }
  void Charge(double cost);
  void Pay(std::size_t bytes);
  void EndHead(std::int32_t id, bool ended);

  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                      std::uint8_t flags, void* self);
  static int OnInvalidHeader(nghttp2_session* session, const nghttp2_frame* frame,
                             const std::uint8_t*, std::size_t, const std::uint8_t*, std::size_t,
                             std::uint8_t, void* self);
  static int OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* frame, void* self);
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnData(nghttp2_session*, std::uint8_t flags, std::int32_t id, const std::uint8_t* data,
                    std::size_t size, void* self);
  static int OnClose(nghttp2_session*, std::int32_t id, std::uint32_t error, void* self);
  static ssize_t ReadBody(nghttp2_session* session, std::int32_t id, std::uint8_t* into,
                          std::size_t size, std::uint32_t* flags, nghttp2_data_source*, void* self);

  Http2Handler& handler;
  const Http2Limits limits;
  nghttp2_session* session = nullptr;
  StreamList<OpenStream> streams;  // at most limits.streams
  bool in_head = false;
  std::int32_t newest = 0;  // stream that the client has opened
  http2::PeerCost cost;
  TimePoint now{};
};

void Http2Session::Impl::Charge(double more) {
  if (cost.Charge(more, now)) return;
  nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
}

void Http2Session::Impl::Pay(std::size_t bytes) {
  cost.Pay(kFramePays + static_cast<double>(bytes) / http2::kBytesThatPay);
}

int Http2Session::Impl::OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* self) {
  auto& impl = *static_cast<Impl*>(self);
  if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
    impl.streams.Add(frame->hd.stream_id, {.request = impl.handler.NewHttp2Request()});
  } else if (OpenStream* stream = impl.Find(frame->hd.stream_id)) {
    stream->request->builder.BeginTrailers();
  }
  return 0;
}

int Http2Session::Impl::OnHeader(nghttp2_session*, const nghttp2_frame* frame,
                                 const std::uint8_t* name, std::size_t name_size,
                                 const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                                 void* self) {
  auto& impl = *static_cast<Impl*>(self);
  OpenStream* stream = impl.Find(frame->hd.stream_id);
  if (stream == nullptr) return 0;
  Http2HeadBuilder& builder = stream->request->builder;
  builder.Add(View(name, name_size), View(value, value_size), impl.limits.message);
  return builder.bytes() > kMostOverHead * impl.limits.message.head ? NGHTTP2_ERR_CALLBACK_FAILURE
                                                                    : 0;
}

// Without this nghttp2 would pass over a malformed field, which is to guess.
int Http2Session::Impl::OnInvalidHeader(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*,
                                        std::size_t, const std::uint8_t*, std::size_t, std::uint8_t,
                                        void*) {
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // which resets the stream
}

int Http2Session::Impl::OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* frame, void* self) {
  auto& impl = *static_cast<Impl*>(self);
  switch (frame->type) {
    case NGHTTP2_HEADERS: {
      impl.in_head = (frame->flags & NGHTTP2_FLAG_END_HEADERS) == 0;
      const bool opens = frame->stream_id > impl.newest;
      impl.newest = std::max(impl.newest, frame->stream_id);
      // One that opens no stream, or one too many, is refused: a client that does not read the
      // refusals would have them pile up.
      if (opens ? impl.streams.size() >= impl.limits.streams : !impl.Find(frame->stream_id)) {
        impl.Charge(1);
      }
      break;
    }
    case NGHTTP2_CONTINUATION:
      impl.in_head = (frame->flags & NGHTTP2_FLAG_END_HEADERS) == 0;
      impl.Charge(1);
      break;
    case NGHTTP2_DATA:
      if (frame->length == 0 && (frame->flags & NGHTTP2_FLAG_END_STREAM) == 0) impl.Charge(1);
      break;
    case NGHTTP2_WINDOW_UPDATE:
      impl.Charge(http2::kWindowCost);
      break;
    case NGHTTP2_RST_STREAM:
      if (!impl.Find(frame->stream_id)) impl.Charge(1);  // OnClose charges for the others
      break;
    default:
      if ((frame->flags & NGHTTP2_FLAG_ACK) == 0) impl.Charge(1);
      break;
  }
  return 0;
}

void Http2Session::Impl::EndHead(std::int32_t id, bool ended) {
  OpenStream* stream = Find(id);
  if (stream == nullptr) return;
  if (stream->told) return stream->request->builder.TakeTrailers(stream->request.get());
  stream->told = true;
  stream->request->builder.TakeHead(ended, stream->request.get());
  handler.OnHttp2Head(id, stream->request);
}

int Http2Session::Impl::OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
  auto& impl = *static_cast<Impl*>(self);
  const std::int32_t id = frame->hd.stream_id;
  const bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame->hd.type == NGHTTP2_HEADERS) impl.EndHead(id, ended);
  const bool padded = frame->hd.type == NGHTTP2_DATA && frame->data.padlen > 0;
  if (padded && !ended && frame->data.padlen == frame->hd.length) impl.Charge(1);
  if (ended && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)) {
    const OpenStream* stream = impl.Find(id);
    if (stream != nullptr && stream->told) impl.handler.OnHttp2End(id);
  }
  return 0;
}

int Http2Session::Impl::OnData(nghttp2_session*, std::uint8_t, std::int32_t id,
                               const std::uint8_t* data, std::size_t size, void* self) {
  static_cast<Impl*>(self)->handler.OnHttp2Body(id, View(data, size));
  return 0;
}

int Http2Session::Impl::OnClose(nghttp2_session*, std::int32_t id, std::uint32_t error,
                                void* self) {
  auto& impl = *static_cast<Impl*>(self);
  const OpenStream* stream = impl.Find(id);
  if (stream == nullptr) return 0;
  const bool told = stream->told;
  const bool aborted = error != NGHTTP2_NO_ERROR && !stream->dropped;
  impl.streams.Take(id);  // before the handler hears: the request is the handler's alone then
  if (told) impl.handler.OnHttp2Closed(id, static_cast<Http2Error>(error));
  if (aborted) impl.Charge(kAbortCost);
  return 0;
}

ssize_t Http2Session::Impl::ReadBody(nghttp2_session* session, std::int32_t id, std::uint8_t* into,
                                     std::size_t size, std::uint32_t* flags, nghttp2_data_source*,
                                     void* self) {
  auto& impl = *static_cast<Impl*>(self);
  std::vector<HeaderField> trailers;
  const Http2Part part =
      impl.handler.OnHttp2Want(id, {reinterpret_cast<char*>(into), size}, &trailers);
  if (part.bytes == 0 && !part.last) return NGHTTP2_ERR_DEFERRED;
  impl.Pay(part.bytes);
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

Http2Session::Http2Session(Http2Handler& handler, const Http2Limits& limits)
    : impl_(std::make_unique<Impl>(handler, limits)) {
  const http2::Callbacks callbacks = http2::MakeCallbacks();
  nghttp2_session_callbacks* made = callbacks.get();
  http2::SetCallbacks<Impl>(made);

  const http2::Option option = http2::MakeOption();
  nghttp2_option* options = option.get();
  http2::SetLimits(options, std::max(kMostContinuations, limits.message.head / kFrame + 1),
                   kMostResponseHead);
  if (nghttp2_session_server_new2(&impl_->session, made, impl_.get(), options) != 0) {
    throw std::bad_alloc();
  }
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.window},
      // Fields count 32 bytes more than their text there (RFC 9113 6.5.2).
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
       static_cast<std::uint32_t>(limits.message.head + 32 * limits.message.headers)},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
  };
  nghttp2_submit_settings(impl_->session, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(impl_->session, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<std::int32_t>(limits.connection_window));
}

Http2Session::~Http2Session() = default;

bool Http2Session::Receive(std::string_view bytes, TimePoint now) {
  impl_->cost.Begin(now);
  impl_->now = now;
  const ssize_t taken = nghttp2_session_mem_recv(
      impl_->session, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (taken < 0) {
    switch (taken) {
      case NGHTTP2_ERR_FLOODED:
      case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
      case NGHTTP2_ERR_CALLBACK_FAILURE:
        Terminate(Http2Error::kEnhanceYourCalm);
        break;
      default:
        break;  // not so much as a preface: frames would only confuse a client of something else
    }
    return false;
  }
  return nghttp2_session_want_read(impl_->session) != 0 || wants_write();
}

bool Http2Session::Produce(std::size_t most, std::string* out) {
  return http2::Produce(impl_->session, most, out);
}

bool Http2Session::wants_write() const {
  return nghttp2_session_want_write(impl_->session) != 0;
}
bool Http2Session::over() const {
  return nghttp2_session_want_read(impl_->session) == 0 && !wants_write();
}
bool Http2Session::in_head() const {
  return impl_->in_head;
}
bool Http2Session::client_stalls(std::int32_t stream) const {
  return nghttp2_session_get_stream_remote_window_size(impl_->session, stream) <= 0 ||
         nghttp2_session_get_remote_window_size(impl_->session) <= 0;
}

void Http2Session::RespondInterim(std::int32_t stream, int status,
                                  std::span<const HeaderField> fields) {
  const Fields made(status, fields);
  nghttp2_submit_headers(impl_->session, NGHTTP2_FLAG_NONE, stream, nullptr, made.data(),
                         made.size(), nullptr);
}

void Http2Session::Respond(std::int32_t stream, int status, std::span<const HeaderField> fields,
                           bool has_body) {
  const Fields made(status, fields);
  nghttp2_data_provider body{};
  body.read_callback = &Impl::ReadBody;
  nghttp2_submit_response(impl_->session, stream, made.data(), made.size(),
                          has_body ? &body : nullptr);
}

void Http2Session::Resume(std::int32_t stream) {
  nghttp2_session_resume_data(impl_->session, stream);
}

void Http2Session::Consume(std::int32_t stream, std::size_t bytes) {
  nghttp2_session_consume(impl_->session, stream, bytes);
}

void Http2Session::Reset(std::int32_t stream, Http2Error error) {
  if (Impl::OpenStream* open = impl_->Find(stream)) open->dropped = true;
  nghttp2_submit_rst_stream(impl_->session, NGHTTP2_FLAG_NONE, stream,
                            static_cast<std::uint32_t>(error));
}

void Http2Session::ShutdownNotice() {
  nghttp2_submit_shutdown_notice(impl_->session);
}

void Http2Session::GoAway() {
  nghttp2_submit_goaway(impl_->session, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(impl_->session), NGHTTP2_NO_ERROR,
                        nullptr, 0);
}

void Http2Session::Terminate(Http2Error error) {
  nghttp2_session_terminate_session(impl_->session, static_cast<std::uint32_t>(error));
}

}  // namespace spillway
