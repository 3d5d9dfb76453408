// SPDX-License-Identifier: MIT
// HTTP/2 on one connection to an upstream server, client side: the other door of nghttp2 (see
// proxy/http2.h). Frames in, frames out; what a response means is the handler's business. Malformed
// responses, and a server that costs more than it answers, end their stream or the whole connection
// here.
//
// Thread rule: one loop thread owns a session. No I/O: the caller brings bytes and takes bytes.
// Memory: nghttp2's state (4 KiB of HPACK table each way), and for each open stream the head that
// is coming (at most limits.message.head bytes); bodies are handed on as they come, at most one
// window of each that has not been taken.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http1.h"
#include "proxy/http2.h"
#include "proxy/upstream_http2_head.h"
#include "spillway/units.h"

namespace spillway {

struct Http2UpstreamLimits {
  MessageLimits message;
  std::uint32_t streams = 100;       // open at once, if the server allows so many
  std::uint32_t window = 64 * 1024;  // bytes of one response's body that wait to be taken
};

// How a stream ended.
enum class Http2End : std::uint8_t {
  kWell,         // both sides have said all that they had to say
  kStopped,      // the response is complete, and the server wants no more of the request
  kReset,        // by the server
  kUnprocessed,  // so too, and it says that it has done nothing of the request
  kViolation,    // by us, as the server broke the rules
};

// Who hears of streams. Of the session's functions, Resume, Consume and Drop may be called from all
// of these.
class Http2UpstreamHandler {
 public:
  // Interim heads one after the other, then the final one.
  virtual void OnHttp2Response(std::int32_t stream, std::unique_ptr<Http2Response> head) = 0;
  virtual void OnHttp2Body(std::int32_t stream, std::string_view bytes) = 0;
  // `trailers` may be null.
  virtual void OnHttp2End(std::int32_t stream, std::unique_ptr<Http2Response> trailers) = 0;
  // The session knows it no more. `why` is a literal, of a violation.
  virtual void OnHttp2Closed(std::int32_t stream, Http2End how, std::string_view why) = 0;
  // Nothing copied and not `last`: Resume says when there is more.
  virtual Http2Part OnHttp2Want(std::int32_t stream, std::span<char> into,
                                std::vector<HeaderField>* trailers) = 0;

 protected:
  ~Http2UpstreamHandler() = default;
};

class Http2UpstreamSession {
 public:
  Http2UpstreamSession(Http2UpstreamHandler& handler, const Http2UpstreamLimits& limits);
  ~Http2UpstreamSession();
  Http2UpstreamSession(const Http2UpstreamSession&) = delete;
  Http2UpstreamSession& operator=(const Http2UpstreamSession&) = delete;

  // False: the connection is at its end; what Produce still gives says why, then it is to be
  // closed. `now` for what a server may cost over time.
  bool Receive(std::string_view bytes, TimePoint now);
  // Appends frames to *out until it holds about `most` bytes, or there are none. False: out of
  // memory.
  bool Produce(std::size_t most, std::string* out);
  bool over() const;  // neither reads nor writes any more
  // So many streams may be open at once: none, once the server has said that it goes.
  std::size_t most_streams() const;

  // Sends a request; its stream, or -1 when none can be opened. `fields`: pseudo fields first, names
  // in any case.
  std::int32_t Open(std::span<const HeaderField> fields, bool has_body, bool to_head);
  void Resume(std::int32_t stream);
  // So many bytes of the stream's body have been taken: the server may send as many more.
  void Consume(std::int32_t stream, std::size_t bytes);
  // The handler wants to hear no more of it.
  void Drop(std::int32_t stream, Http2Error error);
  // Something must come back if there is anyone.
  void Ping();
  // The connection ends.
  void Terminate(Http2Error error);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway
