// SPDX-License-Identifier: MIT
// The parser of responses: interim heads one after the other, then the final one and its body.
#include <algorithm>
#include <utility>

#include "proxy/fields.h"
#include "proxy/http1.h"
#include "proxy/http1_body.h"
#include "proxy/http1_head.h"
#include "proxy/http1_plain.h"
#include "proxy/http1_rules.h"
#include "proxy/reuse.h"

namespace spillway {
namespace {
// More interim heads than this before a final one is an upstream that will never answer.
constexpr int kMaxInterim = 16;
}  // namespace

struct ResponseParser::Impl : MessageProgress {
  explicit Impl(const MessageLimits& limits)
      : MessageProgress(limits), reader(HeadReader::Side::kResponse, limits) {}

  ParseStep FeedHead(const char* base, std::size_t from, std::size_t to);
  ParseStep FinishHead(const char* base);
  ParseStep JudgeHead();
  void BeginHead() {
    if (stage == MessageStage::kHead && taken == 0) return;  // as it is already
    if (std::exchange(reader_used, false)) reader.Reset();
    body.Begin(BodyKind::kNone, 0);
    head.reason = {};
    ClearForReuse(&head.headers);
    ClearForReuse(&head.fields);
    stage = MessageStage::kHead;
    taken = 0;
    error = {};
  }
  ParseStep Fail(std::string_view why) {
    stage = MessageStage::kFailed;
    error = why;
    return ParseStep::kFailed;
  }

  HeadReader reader;
  bool reader_used = false;  // by this head
  ResponseHead head;
  bool to_head = false;
  int interim = 0;
  std::string_view error;
};

ParseStep ResponseParser::Impl::FeedHead(const char* base, std::size_t from, std::size_t to) {
  if (from == 0) {
    const std::size_t most = std::min(to, reader.limits().head);
    taken = ReadPlainHead({base, most}, reader.limits(), &head);
    if (taken != 0) return JudgeHead();
  }
  taken = to;
  if (to > 0 && base[0] != 'H') return Fail("not an HTTP response");
  reader_used = true;
  const ParseStep step = reader.Feed(base, from, to, 0);
  if (step == ParseStep::kFailed) return Fail(reader.refusal().reason);
  if (step != ParseStep::kHead) return step;
  taken = reader.size();
  return FinishHead(base);
}

ParseStep ResponseParser::Impl::FinishHead(const char* base) {
  //  0       8 9  12
  //  HTTP/1.1 200 OK CR LF     (the reason, and the space before it, may be missing)
  const std::string_view text(base, reader.size());
  const std::string_view line = text.substr(0, text.find('\r'));
  const auto digit = [line](std::size_t at) { return line[at] >= '0' && line[at] <= '9'; };
  const bool fits = line.size() >= 12 && line.starts_with("HTTP/1.") &&
                    (line[7] == '0' || line[7] == '1') && line[8] == ' ' && digit(9) && digit(10) &&
                    digit(11) && (line.size() == 12 || line[12] == ' ') &&
                    text.substr(line.size(), 2) == "\r\n";
  if (!fits) return Fail("malformed status line");
  head.minor = line[7] - '0';
  head.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  head.reason = line.substr(std::min<std::size_t>(13, line.size()));
  if (head.status < 100 || head.status > 599 || head.status != reader.status()) {
    return Fail("status out of range");
  }
  if (!std::all_of(head.reason.begin(), head.reason.end(), IsValueChar))
    return Fail("malformed status line");
  if (!reader.FillFields(base, line.size() + 2, &head.headers, &head.fields)) {
    return Fail("folded or malformed header field");
  }
  return JudgeHead();
}

ParseStep ResponseParser::Impl::JudgeHead() {
  if (const Refusal why = JudgeResponse(&head, to_head)) return Fail(why.reason);
  if (head.interim() && ++interim > kMaxInterim) return Fail("too many interim responses");
  body.Begin(head.body, head.content_length);
  stage = MessageStage::kBody;
  return ParseStep::kHead;
}

ResponseParser::ResponseParser(const MessageLimits& limits)
    : impl_(std::make_unique<Impl>(limits)) {}
ResponseParser::~ResponseParser() = default;
ResponseParser::ResponseParser(ResponseParser&&) noexcept = default;

void ResponseParser::Reset(std::string_view request_method) {
  impl_->BeginHead();
  impl_->to_head = request_method == "HEAD";
  impl_->interim = 0;
}

ParseStep ResponseParser::Feed(const char* base, std::size_t from, std::size_t to) {
  Impl& impl = *impl_;
  if (impl.stage == MessageStage::kHead) return impl.FeedHead(base, from, to);
  const bool in_body = impl.stage == MessageStage::kBody;
  const ParseStep step = impl.FeedAfterHead(base, from, to);
  if (step == ParseStep::kFailed && in_body) return impl.Fail(impl.body.error());
  return step;
}

void ResponseParser::NextHead() {
  impl_->BeginHead();
}

ParseStep ResponseParser::FeedEnd() {
  Impl& impl = *impl_;
  if (impl.stage == MessageStage::kEnd) return ParseStep::kEnd;
  if (impl.stage == MessageStage::kFailed) return ParseStep::kFailed;
  if (impl.stage == MessageStage::kHead) return impl.Fail("closed before the end of the head");
  if (impl.head.interim()) return impl.Fail("closed after an interim response");
  if (impl.body.FeedEnd() != ParseStep::kEnd) return impl.Fail(impl.body.error());
  impl.stage = MessageStage::kEnd;
  return ParseStep::kEnd;
}

std::size_t ResponseParser::taken() const {
  return impl_->taken;
}
const ResponseHead& ResponseParser::head() const {
  return impl_->head;
}
std::string_view ResponseParser::body() const {
  return impl_->body.body();
}
std::span<const HeaderField> ResponseParser::trailers() const {
  return impl_->body.trailers();
}
std::string_view ResponseParser::error() const {
  return impl_->error;
}

void ResponseParser::Rebase(const char* old_base, const char* new_base) {
  const auto from = reinterpret_cast<std::uintptr_t>(old_base);
  MoveView(&impl_->head.reason, from, new_base);
  MoveFields(&impl_->head.headers, from, new_base);
}

}  // namespace spillway
