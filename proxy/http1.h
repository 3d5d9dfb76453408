// SPDX-License-Identifier: MIT
// HTTP/1 messages in and out: the door of llhttp, and all the strictness that it leaves to us.
// One reading of where a message ends, or a refusal. What goes out is written anew from the parsed
// message.
//
// Thread rule: one loop thread owns a parser. No I/O here: the caller brings bytes and takes bytes.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/field_kinds.h"
#include "spillway/request.h"
#include "spillway/verdict.h"

namespace spillway {

enum class BodyKind : std::uint8_t { kNone, kLength, kChunked, kUntilClose };

struct MessageLimits {
  std::size_t head = 32 * 1024;
  std::size_t headers = 100;
  std::size_t target = 8 * 1024;
};

// Views point into the caller's buffer, relative to the `base` of the Feed that returned kHead.
struct RequestHead {
  std::string_view method;
  std::string_view target;
  int major = 1;                     // 1, or 2: then minor is 1, so that 1.1's rules hold
  int minor = 1;                     // HTTP/1.minor, 0 or 1
  std::vector<HeaderField> headers;  // in order, as received
  FieldKinds fields;                 // of the same size: what each is
  BodyKind body = BodyKind::kNone;   // never kUntilClose
  std::uint64_t content_length = 0;  // kLength
  bool keep_alive = true;
  bool expect_continue = false;
  std::string_view upgrade;  // the Upgrade field when Connection lists it, else empty
  // OPTIONS and TRACE: how many hops may still pass it on, if it says so; 0: this one answers
  std::optional<std::uint32_t> max_forwards;

  std::string_view Get(Field field) const;  // the first one's value; empty if absent
  bool Has(Field field) const;
};

struct ResponseHead {
  int status = 200;
  std::string_view reason;
  int major = 1;  // 1, or 2: then minor is 1, so that 1.1's rules hold
  int minor = 1;
  std::vector<HeaderField> headers;
  FieldKinds fields;
  BodyKind body = BodyKind::kNone;
  std::uint64_t content_length = 0;
  bool keep_alive = true;
  bool upgrade = false;  // 101 with one Upgrade field
  bool interim() const { return status < 200 && status != 101; }

  std::string_view Get(Field field) const;
  bool Has(Field field) const;
};

enum class ParseStep : std::uint8_t {
  kNeedMore,  // all bytes taken; bring more
  kHead,      // a head is complete; call Feed again for what follows
  kBody,      // body() is the next piece of the body (decoded, if chunked)
  kEnd,       // the message is complete; trailers() is set; Reset before the next one
  kFailed,    // refused: error() says why, status() what to answer (requests)
};

class RequestParser {
 public:
  explicit RequestParser(const MessageLimits& limits);
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;
  void SetLimits(const MessageLimits& limits);  // REQUIRES: no message has begun

  // Parses bytes [from, to) of the buffer at `base`, where `base` is the message's first byte.
  // Between calls the buffer may move, but until kHead its bytes [0, from) stay as they were.
  ParseStep Feed(const char* base, std::size_t from, std::size_t to);
  // The offset up to which bytes are taken, after any Feed.
  std::size_t taken() const;

  const RequestHead& head() const;  // from kHead until Reset
  // Moves the head's views after the caller moved its buffer.
  void Rebase(const char* old_base, const char* new_base);
  std::string_view body() const;                  // after kBody, until the next Feed
  std::span<const HeaderField> trailers() const;  // after kEnd; owned by the parser
  bool started() const;                           // has seen a byte of a message
  std::string_view error() const;                 // "two Content-Length fields"; for the log
  int status() const;                             // 400, 414, 417, 431, 501, 505
  void Reset();                                   // ready for the next message on the connection

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class ResponseParser {
 public:
  explicit ResponseParser(const MessageLimits& limits);
  ~ResponseParser();
  ResponseParser(ResponseParser&&) noexcept;

  // Ready for the response to a request of this method (HEAD has no body). Also after a kept
  // connection.
  void Reset(std::string_view request_method);
  // As RequestParser::Feed. After kHead with an interim() status the next head follows: the caller
  // says NextHead() and feeds on, with base at the first byte after the interim head.
  ParseStep Feed(const char* base, std::size_t from, std::size_t to);
  void NextHead();
  // The upstream ended its side: kEnd when the message may end so, else kFailed.
  ParseStep FeedEnd();
  std::size_t taken() const;
  const ResponseHead& head() const;
  void Rebase(const char* old_base, const char* new_base);
  std::string_view body() const;
  std::span<const HeaderField> trailers() const;
  std::string_view error() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// How the next hop's message is framed.
struct Framing {
  BodyKind body = BodyKind::kNone;
  std::uint64_t content_length = 0;
};

// Names that the configuration relies on, beside those that the proxy knows.
struct ReliedOn {
  std::string_view address_header{};            // clients.address_header
  std::span<const std::string> ruled_fields{};  // Policy::ruled_fields()
};

// REQUIRES: the addresses and the scheme may stand in a field as they are.
struct ForwardRequest {
  std::string_view target{};  // as received (origin form; an absolute form's path and query)
  std::string_view host{};    // Host field to send
  Framing framing{};
  std::string_view client_address{};  // text, for X-Forwarded-For
  std::string_view peer_address{};    // text; what is appended when the peer is trusted
  ReliedOn relied_on{};
  bool peer_trusted = false;       // keep and extend what came; else replace it
  std::string_view scheme{};       // "http" or "https"
  std::string_view client_host{};  // the Host the client sent, for X-Forwarded-Host
  std::string_view request_id{};
  bool upgrade = false;          // pass Connection: upgrade and Upgrade on
  bool expect_continue = false;  // pass Expect on
  std::span<const HeaderToSet> set_headers{};
};
// Replaces *out with the head to send to the upstream, with its empty line. Hop-by-hop fields and
// those that Connection lists are dropped (RFC 9110 7.6.1); the connection is kept (no Connection
// field is sent). REQUIRES: head.max_forwards is not 0.
void WriteRequestHead(const RequestHead& head, const ForwardRequest& forward, std::string* out);

// The same head as fields for HTTP/2: pseudo fields first (but for :scheme, which is the
// connection's), `TE: trailers` if the client said so. Views are of `head`, `forward` and *text, to
// which it appends.
void ListRequestFields(const RequestHead& head, const ForwardRequest& forward,
                       std::vector<HeaderField>* fields, std::string* text);

// REQUIRES: the date may stand in a field as it is.
struct ForwardResponse {
  Framing framing{};
  bool close = false;             // say Connection: close
  bool client_is_1_0 = false;     // say Connection: keep-alive when kept
  std::string_view request_id{};  // empty: none added
  std::string_view date{};  // IMF-fixdate, added when the upstream gave none; empty: not added
  std::span<const HeaderToSet> set_headers{};
  std::string_view set_cookie{};  // one more Set-Cookie; empty: none
};
// Replaces *out with the head for the client, final, 1xx or 101 alike.
void WriteResponseHead(const ResponseHead& head, const ForwardResponse& forward, std::string* out);

// The same head as fields, for a version that frames otherwise: what belongs to a connection of
// HTTP/1 is left out. Replaces both; views are of `head`, `forward` and *text.
void ListResponseFields(const ResponseHead& head, const ForwardResponse& forward,
                        std::vector<HeaderField>* fields, std::string* text);

// A chunk's first line.
inline constexpr std::size_t kMaxChunkHead = 20;
// Writes it into `out` (at least kMaxChunkHead bytes); its length. The data and "\r\n" follow.
std::size_t WriteChunkHead(std::uint64_t size, char* out);
// Makes one chunk of the pieces from index `first` on; none of nothing, which would end the body.
// `head` (at least kMaxChunkHead bytes) holds the chunk's first line until the pieces are written.
void FrameChunk(std::size_t first, std::vector<iovec>* pieces, char* head);
// A field that the proxy treats in heads has no business after a body: it would pass untreated.
bool MayBeTrailer(std::string_view name);
// Nor, in a request, has one that says what only proxies say, or that rules look at or set, or that
// a server may take for one of these: it would be a way around what was decided.
bool MayBeTrailerOfRequest(std::string_view name, const ReliedOn& relied_on);
// Replaces *out with "0\r\n", the trailers that may be passed on, and the empty line.
void WriteLastChunk(std::span<const HeaderField> trailers, std::string* out);
// The same for a request, whose trailers some servers add to its head: what a stranger may not say
// there, nobody may say here.
void WriteLastChunkOfRequest(std::span<const HeaderField> trailers, const ReliedOn& relied_on,
                             std::string* out);

// Is this a method that we know how to treat? Exact case.
bool IsKnownMethod(std::string_view method);

// "Not Found"; "Unknown" for codes without a registered phrase.
std::string_view ReasonPhrase(int status);

}  // namespace spillway
