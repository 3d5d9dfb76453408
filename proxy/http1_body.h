// SPDX-License-Identifier: MIT
// Reads one message's body, whichever way it is framed, and a chunked one's trailers. Zero copy:
// pieces of the body are views of the caller's bytes. Strict: one way to write a chunk, every line
// ends in CR LF.
//
// Written here rather than left to llhttp because its callbacks don't show every byte of a chunk's
// line, so what it skips could not be bounded; tests and fuzzers hold this reader against llhttp.
// Memory: trailers only, at most limits.head bytes and limits.headers fields.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http1.h"

namespace spillway {

// Bytes of chunk extensions in one message. They are read for their syntax only and not passed on.
inline constexpr std::size_t kMaxChunkExtensions = 16 * 1024;

class BodyReader {
 public:
  explicit BodyReader(const MessageLimits& limits) : limits_(limits) {}
  void SetLimits(const MessageLimits& limits) { limits_ = limits; }

  void Begin(BodyKind kind, std::uint64_t length) {
    if (kind_ == BodyKind::kChunked) ForgetTrailers();  // no other body has any
    kind_ = kind;
    left_ = kind == BodyKind::kLength ? length : 0;
    state_ = kind == BodyKind::kChunked ? State::kSize : State::kDone;
    taken_ = 0;
    body_ = {};
    status_ = 0;
    error_ = {};
  }
  // As RequestParser::Feed, but for kHead.
  ParseStep Feed(const char* base, std::size_t from, std::size_t to);
  // No byte will follow. kEnd or kFailed.
  ParseStep FeedEnd();

  std::size_t taken() const { return taken_; }
  std::string_view body() const { return body_; }
  std::span<const HeaderField> trailers() const { return trailers_; }
  int status() const { return status_; }
  std::string_view error() const { return error_; }

 private:
  enum class State : std::uint8_t {
    kSize,
    kSizeMore,
    kExtensionName,
    kExtensionNameMore,
    kExtensionValue,
    kExtensionToken,
    kExtensionQuoted,
    kExtensionEscape,
    kExtensionEnd,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kLine,
    kName,
    kValue,
    kLineLf,
    kLastLf,
    kDone,
  };
  struct Trailer {
    std::size_t name, value, end;  // offsets into text_
  };

  void ForgetTrailers();
  ParseStep FeedChunked(const char* base, std::size_t to);  // from taken_ on
  void Take(char c);  // one byte of a chunk's line or of the trailers; sets error_ when refused
  void TakeSize(char c);
  void TakeExtension(char c);
  void TakeTrailer(char c);
  void AfterSize(char c);
  void EndTrailer();
  void Refuse(int status, std::string_view why);
  void Expect(char c, char wanted, State next, std::string_view why);

  MessageLimits limits_;
  BodyKind kind_ = BodyKind::kNone;
  State state_ = State::kDone;
  std::uint64_t left_ = 0;      // of the body (kLength) or of the chunk
  int digits_ = 0;              // of the chunk's size, at most 16: no overflow
  std::size_t extensions_ = 0;  // bytes so far
  std::size_t trailer_bytes_ = 0;
  std::size_t taken_ = 0;
  std::string_view body_;
  std::string text_;  // trailers' names and values
  std::vector<Trailer> lines_;
  std::vector<HeaderField> trailers_;
  int status_ = 0;
  std::string_view error_;
};

// Where a parser stands in its message.
enum class MessageStage : std::uint8_t { kHead, kBody, kEnd, kFailed };

// What a request's parser and a response's have in common: how far the message has got, and what
// follows its head.
struct MessageProgress {
  explicit MessageProgress(const MessageLimits& limits) : body(limits) {}
  // In any stage but kHead. What has ended or failed says so again however often it is fed.
  ParseStep FeedAfterHead(const char* base, std::size_t from, std::size_t to);

  BodyReader body;
  MessageStage stage = MessageStage::kHead;
  std::size_t taken = 0;
};

}  // namespace spillway
