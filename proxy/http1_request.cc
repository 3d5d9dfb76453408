// SPDX-License-Identifier: MIT
// The parser of requests: the request line as it must be written, then the fields, the rules, the
// body.
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

struct RequestParser::Impl : MessageProgress {
  explicit Impl(const MessageLimits& limits)
      : MessageProgress(limits), reader(HeadReader::Side::kRequest, limits) {}

  ParseStep FeedHead(const char* base, std::size_t from, std::size_t to);
  ParseStep FinishHead(const char* base, std::size_t skip);
  ParseStep JudgeHead();
  ParseStep Fail(Refusal why) {
    stage = MessageStage::kFailed;
    refusal = why;
    return ParseStep::kFailed;
  }

  HeadReader reader;
  bool reader_used = false;  // by this head
  RequestHead head;
  bool started = false;
  Refusal refusal;
};

ParseStep RequestParser::Impl::FeedHead(const char* base, std::size_t from, std::size_t to) {
  if (from == 0) {
    const std::size_t most = std::min(to, reader.limits().head);
    if (const std::size_t size = ReadPlainHead({base, most}, reader.limits(), &head); size != 0) {
      started = true;
      taken = size;
      return JudgeHead();
    }
  }
  taken = to;
  // One empty line before a request is passed over (RFC 9112 2.2); it does not start one.
  std::size_t skip = 0;
  if (to > 0 && base[0] == '\r') {
    if (to == 1) return ParseStep::kNeedMore;
    if (base[1] != '\n') return Fail({400, "bare CR before a request"});
    skip = 2;
  }
  if (to <= skip) return ParseStep::kNeedMore;
  started = true;
  if (!IsTokenChar(base[skip])) return Fail({400, "malformed method"});
  reader_used = true;
  const ParseStep step = reader.Feed(base, from, to, skip);
  if (step == ParseStep::kFailed) return Fail(reader.refusal());
  if (step != ParseStep::kHead) return step;
  taken = reader.size();
  return FinishHead(base, skip);
}

ParseStep RequestParser::Impl::FinishHead(const char* base, std::size_t skip) {
  const Piece target = reader.target();
  if (target.end == 0) return Fail({400, "malformed request line"});
  // The method as it stands there must be the one that llhttp read: no second space hides in it.
  const std::string_view method(base + skip, target.begin - skip - 1);
  if (method != reader.method() || base[target.begin - 1] != ' ')
    return Fail({400, "malformed request line"});

  constexpr std::string_view kVersion = " HTTP/1.";
  const std::string_view rest(base + target.end, reader.size() - target.end);
  const bool ours = rest.starts_with(kVersion) && (rest[8] == '0' || rest[8] == '1');
  if (!ours && (rest.starts_with(" HTTP/") || rest.starts_with("\r\n"))) {
    return Fail({505, "HTTP version other than 1.0 and 1.1"});
  }
  if (!ours || rest.substr(9, 2) != "\r\n") return Fail({400, "malformed request line"});
  head.minor = rest[8] - '0';
  head.method = method;
  head.target = {base + target.begin, target.end - target.begin};
  if (!reader.FillFields(base, target.end + 11, &head.headers, &head.fields)) {
    return Fail({400, "folded or malformed header field"});
  }
  return JudgeHead();
}

ParseStep RequestParser::Impl::JudgeHead() {
  if (const Refusal why = JudgeRequest(&head)) return Fail(why);
  body.Begin(head.body, head.content_length);
  stage = MessageStage::kBody;
  return ParseStep::kHead;
}

RequestParser::RequestParser(const MessageLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;

void RequestParser::SetLimits(const MessageLimits& limits) {
  impl_->reader.SetLimits(limits);
  impl_->body.SetLimits(limits);
}

ParseStep RequestParser::Feed(const char* base, std::size_t from, std::size_t to) {
  Impl& impl = *impl_;
  if (impl.stage == MessageStage::kHead) return impl.FeedHead(base, from, to);
  const bool in_body = impl.stage == MessageStage::kBody;
  const ParseStep step = impl.FeedAfterHead(base, from, to);
  if (step == ParseStep::kFailed && in_body)
    return impl.Fail({impl.body.status(), impl.body.error()});
  return step;
}

std::size_t RequestParser::taken() const {
  return impl_->taken;
}
const RequestHead& RequestParser::head() const {
  return impl_->head;
}
std::string_view RequestParser::body() const {
  return impl_->body.body();
}
std::span<const HeaderField> RequestParser::trailers() const {
  return impl_->body.trailers();
}
bool RequestParser::started() const {
  return impl_->started;
}
std::string_view RequestParser::error() const {
  return impl_->refusal.reason;
}
int RequestParser::status() const {
  return impl_->refusal.status;
}

void RequestParser::Rebase(const char* old_base, const char* new_base) {
  const auto from = reinterpret_cast<std::uintptr_t>(old_base);
  RequestHead& head = impl_->head;
  MoveView(&head.method, from, new_base);
  MoveView(&head.target, from, new_base);
  MoveView(&head.upgrade, from, new_base);
  MoveFields(&head.headers, from, new_base);
}

void RequestParser::Reset() {
  Impl& impl = *impl_;
  const bool fresh = impl.stage == MessageStage::kHead && !impl.started && impl.taken == 0;
  if (fresh) return;
  if (std::exchange(impl.reader_used, false)) impl.reader.Reset();
  impl.body.Begin(BodyKind::kNone, 0);
  impl.head.method = impl.head.target = impl.head.upgrade = {};
  ClearForReuse(&impl.head.headers);
  ClearForReuse(&impl.head.fields);
  impl.stage = MessageStage::kHead;
  impl.started = false;
  impl.taken = 0;
  impl.refusal = {};
}

}  // namespace spillway
