// SPDX-License-Identifier: MIT
// HTTP/2 of one client's connection, server side: the door of nghttp2 (RFC 9113, RFC 7541). Frames
// in, frames out; what a request means is the handler's business. Malformed messages, and a client
// that costs more than it asks, end their stream or the whole connection here.
//
// Thread rule: one loop thread owns a session. No I/O: the caller brings bytes and takes bytes.
// Memory: nghttp2's state (4 KiB of HPACK table each way), and for each open stream its head (at
// most limits.message.head bytes); bodies are handed on as they come and bounded by their windows.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http1.h"
#include "proxy/http2_head.h"
#include "spillway/units.h"

namespace spillway {

// RFC 9113 7.
enum class Http2Error : std::uint32_t {
  kNone = 0,
  kProtocol = 1,
  kInternal = 2,
  kCancel = 8,
  kEnhanceYourCalm = 11,
};

struct Http2Limits {
  MessageLimits message;
  std::uint32_t streams = 100;                   // open at once
  std::uint32_t window = 64 * 1024;              // bytes of one stream's body that wait to be taken
  std::uint32_t connection_window = 256 * 1024;  // the same of all streams together
};

// A complete request head, with the text that its views are of.
struct Http2Request {
  void Clear();  // as new, but for the room that it keeps

  Http2HeadBuilder builder;
  RequestHead head;
  std::vector<HeaderField> trailers;
  int refusal = 0;          // what to answer instead, 0: nothing is wrong (so far: trailers may be)
  std::string_view reason;  // a literal
  bool ended = false;       // nothing follows the head
  bool tunnel = false;      // an extended CONNECT for a WebSocket (RFC 8441), seen as a GET
};

// What a body's source has for the session.
struct Http2Part {
  std::size_t bytes = 0;  // copied to where it was asked to
  bool last = false;      // the body ends with them
};

// Who hears of streams. Functions of the session may be called from all of them, except Receive and
// Produce.
class Http2Handler {
 public:
  // A request begins: what its head is put together in, new or cleared.
  virtual std::shared_ptr<Http2Request> NewHttp2Request() = 0;
  virtual void OnHttp2Head(std::int32_t stream, std::shared_ptr<Http2Request> request) = 0;
  virtual void OnHttp2Body(std::int32_t stream, std::string_view bytes) = 0;
  virtual void OnHttp2End(std::int32_t stream) = 0;
  // The stream is gone, well or not. Inside Produce: a stream whose answer is out only.
  virtual void OnHttp2Closed(std::int32_t stream, Http2Error error) = 0;
  // Nothing copied and not `last`: Resume says when there is more.
  virtual Http2Part OnHttp2Want(std::int32_t stream, std::span<char> into,
                                std::vector<HeaderField>* trailers) = 0;

 protected:
  ~Http2Handler() = default;
};

class Http2Session {
 public:
  Http2Session(Http2Handler& handler, const Http2Limits& limits);
  ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  // False: the connection is at its end; what Produce still gives says why, then it is to be
  // closed. `now` for what a client may cost over time.
  bool Receive(std::string_view bytes, TimePoint now);
  // Appends frames to *out until it holds about `most` bytes, or there are none. False: out of
  // memory.
  bool Produce(std::size_t most, std::string* out);
  bool wants_write() const;
  bool over() const;  // neither reads nor writes any more
  // A head has begun that is not complete: it waits for CONTINUATION.
  bool in_head() const;
  // The client has left no room for the stream's body: that it waits is the client's doing.
  bool client_stalls(std::int32_t stream) const;

  // Names in any case; they are sent in lower case.
  void RespondInterim(std::int32_t stream, int status, std::span<const HeaderField> fields);
  void Respond(std::int32_t stream, int status, std::span<const HeaderField> fields, bool has_body);
  void Resume(std::int32_t stream);
  // So many bytes of the stream's body have been taken: the client may send as many more.
  void Consume(std::int32_t stream, std::size_t bytes);
  void Reset(std::int32_t stream, Http2Error error);
  // No new streams are wanted; those that are on their way will still be taken.
  void ShutdownNotice();
  // Streams that have not come by now will not be taken.
  void GoAway();
  // The connection ends with an error.
  void Terminate(Http2Error error);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spillway
