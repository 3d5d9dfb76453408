// SPDX-License-Identifier: MIT
// The body reader: a state for each place in
//   size [ext] CR LF data CR LF ... 0 [ext] CR LF *( name ":" value CR LF ) CR LF
#include "proxy/http1_body.h"

#include <algorithm>

#include "proxy/fields.h"
#include "proxy/reuse.h"

namespace spillway {
namespace {

// These frame or route a message; one that comes after the body could only mislead whoever reads
// it.
bool ForbiddenAsTrailer(Field field) {
  return field == Field::kContentLength || field == Field::kTransferEncoding ||
         field == Field::kHost;
}

}  // namespace

// And what is counted in chunks alone.
void BodyReader::ForgetTrailers() {
  digits_ = 0;
  extensions_ = trailer_bytes_ = 0;
  ClearForReuse(&text_);
  ClearForReuse(&lines_);
  ClearForReuse(&trailers_);
}

ParseStep BodyReader::Feed(const char* base, std::size_t from, std::size_t to) {
  taken_ = from;
  body_ = {};
  if (kind_ == BodyKind::kChunked) return FeedChunked(base, to);
  if (kind_ != BodyKind::kUntilClose && left_ == 0) return ParseStep::kEnd;
  std::size_t size = to - from;
  if (kind_ == BodyKind::kLength) {
    size = static_cast<std::size_t>(std::min<std::uint64_t>(size, left_));
    left_ -= size;
  }
  if (size == 0) return ParseStep::kNeedMore;
  body_ = {base + from, size};
  taken_ = from + size;
  return ParseStep::kBody;
}

ParseStep BodyReader::FeedEnd() {
  const bool ended = kind_ == BodyKind::kUntilClose || (left_ == 0 && state_ == State::kDone);
  if (ended) return ParseStep::kEnd;
  if (!status_) Refuse(400, "closed inside the body");
  return ParseStep::kFailed;
}

ParseStep BodyReader::FeedChunked(const char* base, std::size_t to) {
  if (status_) return ParseStep::kFailed;
  for (; taken_ < to && state_ != State::kDone; ++taken_) {
    if (state_ == State::kData) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(to - taken_, left_));
      body_ = {base + taken_, size};
      taken_ += size;
      left_ -= size;
      if (left_ == 0) state_ = State::kDataCr;
      return ParseStep::kBody;
    }
    Take(base[taken_]);
    if (status_) return ParseStep::kFailed;
  }
  return state_ == State::kDone ? ParseStep::kEnd : ParseStep::kNeedMore;
}

void BodyReader::Refuse(int status, std::string_view why) {
  status_ = status;
  error_ = why;
}

void BodyReader::Expect(char c, char wanted, State next, std::string_view why) {
  if (c != wanted) return Refuse(400, why);
  state_ = next;
}

void BodyReader::Take(char c) {
  switch (state_) {
    case State::kSize:
    case State::kSizeMore:
      return TakeSize(c);
    case State::kSizeLf:
      return Expect(c, '\n', left_ > 0 ? State::kData : State::kLine, "bare CR in a chunk's line");
    case State::kDataCr:
      return Expect(c, '\r', State::kDataLf, "chunk longer than its size");
    case State::kDataLf:
      return Expect(c, '\n', State::kSize, "bare CR after a chunk");
    case State::kLine:
    case State::kName:
    case State::kValue:
    case State::kLineLf:
    case State::kLastLf:
      return TakeTrailer(c);
    default:
      return TakeExtension(c);
  }
}

void BodyReader::TakeSize(char c) {
  const int digit = HexDigit(c);
  if (digit >= 0) {
    if (state_ == State::kSize) digits_ = 0, left_ = 0;
    if (++digits_ > 16) return Refuse(400, "chunk size too long");
    left_ = left_ * 16 + static_cast<unsigned>(digit);
    state_ = State::kSizeMore;
  } else if (state_ == State::kSize) {
    Refuse(400, "malformed chunk size");
  } else {
    AfterSize(c);
  }
}

// The size, or an extension, is complete before `c`.
void BodyReader::AfterSize(char c) {
  if (c == '\r') {
    state_ = State::kSizeLf;
  } else if (c == ';') {
    ++extensions_;
    state_ = State::kExtensionName;
  } else {
    Refuse(400, state_ == State::kSizeMore ? "malformed chunk size" : "malformed chunk extension");
  }
}

void BodyReader::TakeExtension(char c) {
  if (c != '\r' && ++extensions_ > kMaxChunkExtensions)
    return Refuse(400, "too many chunk extensions");
  constexpr std::string_view kWhy = "malformed chunk extension";
  switch (state_) {
    case State::kExtensionName:
      if (!IsTokenChar(c)) return Refuse(400, kWhy);
      state_ = State::kExtensionNameMore;
      return;
    case State::kExtensionNameMore:
      if (c == '=')
        state_ = State::kExtensionValue;
      else if (!IsTokenChar(c))
        AfterSize(c);
      return;
    case State::kExtensionValue:
      if (c != '"' && !IsTokenChar(c)) return Refuse(400, kWhy);
      state_ = c == '"' ? State::kExtensionQuoted : State::kExtensionToken;
      return;
    case State::kExtensionToken:
      if (!IsTokenChar(c)) AfterSize(c);
      return;
    case State::kExtensionQuoted:
      if (!IsValueChar(c)) return Refuse(400, kWhy);
      if (c == '"') state_ = State::kExtensionEnd;
      if (c == '\\') state_ = State::kExtensionEscape;
      return;
    case State::kExtensionEscape:
      if (!IsValueChar(c)) return Refuse(400, kWhy);
      state_ = State::kExtensionQuoted;
      return;
    default:
      return AfterSize(c);  // kExtensionEnd
  }
}

void BodyReader::TakeTrailer(char c) {
  if (++trailer_bytes_ > limits_.head) return Refuse(431, "trailers too large");
  switch (state_) {
    case State::kLine:
      if (c == '\r') {
        state_ = State::kLastLf;
        return;
      }
      if (!IsTokenChar(c)) return Refuse(400, "malformed trailer");
      if (lines_.size() == limits_.headers) return Refuse(431, "too many trailers");
      lines_.push_back({text_.size(), 0, 0});
      text_.push_back(c);
      state_ = State::kName;
      return;
    case State::kName:
      if (c == ':') {
        lines_.back().value = text_.size();
        state_ = State::kValue;
        return;
      }
      if (!IsTokenChar(c)) return Refuse(400, "malformed trailer");
      text_.push_back(c);
      return;
    case State::kValue:
      if (c == '\r') {
        lines_.back().end = text_.size();
        state_ = State::kLineLf;
        return;
      }
      if (!IsValueChar(c)) return Refuse(400, "malformed trailer");
      text_.push_back(c);
      return;
    case State::kLineLf:
      return Expect(c, '\n', State::kLine, "bare CR in a trailer");
    default:  // kLastLf
      Expect(c, '\n', State::kDone, "bare CR in a trailer");
      if (!status_) EndTrailer();
      return;
  }
}

// Only now does text_ no longer move: the views can be made.
void BodyReader::EndTrailer() {
  const std::string_view text = text_;
  for (const Trailer& line : lines_) {
    const std::string_view name = text.substr(line.name, line.value - line.name);
    if (ForbiddenAsTrailer(ClassifyField(name))) return Refuse(400, "framing field in a trailer");
    trailers_.push_back({name, TrimSpace(text.substr(line.value, line.end - line.value))});
  }
}

ParseStep MessageProgress::FeedAfterHead(const char* base, std::size_t from, std::size_t to) {
  if (stage == MessageStage::kFailed) return ParseStep::kFailed;
  if (stage == MessageStage::kEnd) {
    taken = from;
    return ParseStep::kEnd;
  }
  const ParseStep step = body.Feed(base, from, to);
  taken = body.taken();
  if (step == ParseStep::kEnd) stage = MessageStage::kEnd;
  if (step == ParseStep::kFailed) stage = MessageStage::kFailed;
  return step;
}

}  // namespace spillway
