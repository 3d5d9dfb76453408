// SPDX-License-Identifier: MIT
// The door of llhttp. It reads heads, and pauses at their end; then every line is held against the
// wire's grammar once more, since llhttp, strict as it is built here, still lets through obs-fold,
// HTTP/0.9, other protocols' versions, extra spaces and empty names. What a head means:
// http1_rules.cc. Bodies: http1_body.cc.
//
//   head   "GET /a HTTP/1.1" CR LF   *( name ":" OWS value OWS CR LF )   CR LF
//           ^    ^ target_            ^ lines_[i].name  ^ lines_[i].value     ^ size_
//
// All places are offsets from the head's first byte until the head is complete, so the buffer may
// move.
#include "proxy/http1.h"

#include <llhttp.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "proxy/fields.h"
#include "proxy/http1_body.h"
#include "proxy/http1_rules.h"

namespace spillway {
namespace {

struct Piece {
  std::size_t begin = 0, end = 0;  // end 0: not seen (no piece ends at a head's first byte)
};

struct Line {
  Piece name, value;
};

std::string_view View(const char* base, Piece piece) {
  return {base + piece.begin, piece.end - piece.begin};
}

class HeadReader {
 public:
  HeadReader(llhttp_type_t type, const MessageLimits& limits) : limits_(limits) {
    llhttp_init(&parser_, type, Settings());
    parser_.data = this;
  }
  HeadReader(const HeadReader&) = delete;
  HeadReader& operator=(const HeadReader&) = delete;

  void Reset() {
    llhttp_reset(&parser_);
    target_ = {};
    lines_.clear();  // keeps its capacity
    open_ = false;
    size_ = 0;
    refusal_ = {};
  }

  // kNeedMore, kHead or kFailed. `skip`: so many bytes at the front are not the head's.
  ParseStep Feed(const char* base, std::size_t from, std::size_t to, std::size_t skip);
  // Checks the lines from offset `at` on, and makes views of them. Only after kHead.
  bool FillFields(const char* base, std::size_t at, std::vector<HeaderField>* headers,
                  std::vector<Field>* fields);

  ParseStep Fail(int status, std::string_view why) {
    refusal_ = {status, why};
    return ParseStep::kFailed;
  }
  const Refusal& refusal() const { return refusal_; }
  std::size_t size() const { return size_; }  // the head's, with its empty line
  Piece target() const { return target_; }
  const llhttp_t& parser() const { return parser_; }

 private:
  static const llhttp_settings_t* Settings();
  static int OnTarget(llhttp_t* parser, const char* at, std::size_t length);
  static int OnName(llhttp_t* parser, const char* at, std::size_t length);
  static int OnValue(llhttp_t* parser, const char* at, std::size_t length);

  // Adds what llhttp found at `at` to `piece`; -1 when the two don't touch.
  int Extend(Piece* piece, const char* at, std::size_t length);
  int Stop(int status, std::string_view why) {
    refusal_ = {status, why};
    return -1;
  }
  ParseStep FailAsParserSays(const char* base, std::size_t skip);

  const MessageLimits limits_;
  llhttp_t parser_;
  const char* base_ = nullptr;  // during Feed
  Piece target_;
  std::vector<Line> lines_;
  bool open_ = false;  // the last line's value has not ended
  std::size_t size_ = 0;
  Refusal refusal_;
};

const llhttp_settings_t* HeadReader::Settings() {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t made;
    llhttp_settings_init(&made);
    made.on_url = OnTarget;
    made.on_header_field = OnName;
    made.on_header_value = OnValue;
    made.on_header_value_complete = [](llhttp_t* parser) {
      static_cast<HeadReader*>(parser->data)->open_ = false;
      return 0;
    };
    made.on_headers_complete = [](llhttp_t*) { return static_cast<int>(HPE_PAUSED); };
    return made;
  }();
  return &settings;
}

int HeadReader::Extend(Piece* piece, const char* at, std::size_t length) {
  if (length == 0) return 0;
  const auto begin = static_cast<std::size_t>(at - base_);
  if (piece->end == 0)
    piece->begin = begin;
  else if (piece->end != begin)
    return Stop(400, "folded header field");
  piece->end = begin + length;
  return 0;
}

int HeadReader::OnTarget(llhttp_t* parser, const char* at, std::size_t length) {
  auto& self = *static_cast<HeadReader*>(parser->data);
  if (self.Extend(&self.target_, at, length) != 0) return -1;
  if (self.target_.end - self.target_.begin <= self.limits_.target) return 0;
  return self.Stop(414, "target too long");
}

int HeadReader::OnName(llhttp_t* parser, const char* at, std::size_t length) {
  auto& self = *static_cast<HeadReader*>(parser->data);
  if (!self.open_) {
    if (self.lines_.size() == self.limits_.headers) return self.Stop(431, "too many header fields");
    self.lines_.emplace_back();
    self.open_ = true;
  }
  return self.Extend(&self.lines_.back().name, at, length);
}

int HeadReader::OnValue(llhttp_t* parser, const char* at, std::size_t length) {
  auto& self = *static_cast<HeadReader*>(parser->data);
  if (self.lines_.empty()) return self.Stop(400, "header field without a name");
  return self.Extend(&self.lines_.back().value, at, length);
}

ParseStep HeadReader::Feed(const char* base, std::size_t from, std::size_t to, std::size_t skip) {
  base_ = base;
  const std::size_t limit = std::min(to, limits_.head);
  from = std::max(from, skip);
  llhttp_errno_t error = HPE_OK;
  if (from < limit) error = llhttp_execute(&parser_, base + from, limit - from);
  if (error == HPE_PAUSED) {
    size_ = static_cast<std::size_t>(llhttp_get_error_pos(&parser_) - base);
    return ParseStep::kHead;
  }
  if (refusal_.status == 414) return ParseStep::kFailed;
  // An HTTP/0.9 client sends one line and waits; it must not wait until a timer ends it.
  const bool target_ended = target_.end != 0 && target_.end + 1 < limit;
  if (target_ended && base[target_.end] == '\r' && base[target_.end + 1] == '\n') {
    return Fail(505, "HTTP/0.9");
  }
  if (error != HPE_OK) return FailAsParserSays(base, skip);
  if (limit < limits_.head) return ParseStep::kNeedMore;
  const bool in_target = parser_.type == HTTP_REQUEST && !target_ended;
  return in_target ? Fail(414, "target too long") : Fail(431, "head too large");
}

ParseStep HeadReader::FailAsParserSays(const char* base, std::size_t skip) {
  if (refusal_) return ParseStep::kFailed;  // one of our callbacks said why
  const llhttp_errno_t error = llhttp_get_errno(&parser_);
  const char* reason = llhttp_get_error_reason(&parser_);  // a literal
  // llhttp says so too when the version is one of ours and the line's end is wrong.
  const bool ours = parser_.http_major == 1 && parser_.http_minor <= 1;
  if ((error == HPE_INVALID_VERSION && !ours) || error == HPE_PAUSED_H2_UPGRADE) {
    return Fail(505, "HTTP version other than 1.0 and 1.1");
  }
  if (error == HPE_INVALID_METHOD) {
    const char* at = llhttp_get_error_pos(&parser_);
    const bool token = std::all_of(base + skip, at + 1, IsTokenChar);
    return token ? Fail(501, "unknown method") : Fail(400, "malformed method");
  }
  return Fail(400, reason == nullptr ? "malformed head" : reason);
}

bool HeadReader::FillFields(const char* base, std::size_t at, std::vector<HeaderField>* headers,
                            std::vector<Field>* fields) {
  headers->clear();
  fields->clear();
  for (const Line& line : lines_) {
    const auto [name, value] = line;
    if (name.end == 0 || name.begin != at || base[name.end] != ':') return false;
    // llhttp starts a value after its leading space, and ends it before CR: nothing else may lie
    // between.
    at = name.end + 1;
    while (base[at] == ' ' || base[at] == '\t') ++at;
    if (value.end != 0 && value.begin != at) return false;
    if (value.end != 0) at = value.end;
    if (base[at] != '\r' || base[at + 1] != '\n') return false;
    at += 2;
    const std::string_view text = View(base, name);
    const std::string_view trimmed =
        value.end == 0 ? std::string_view(base + name.end, 0) : TrimSpace(View(base, value));
    headers->push_back({text, trimmed});
    fields->push_back(ClassifyField(text));
  }
  return at + 2 == size_ && base[at] == '\r' && base[at + 1] == '\n';
}

// The first value of a field, for both kinds of head.
template <typename Head>
const HeaderField* FindField(const Head& head, Field field) {
  const auto it = std::find(head.fields.begin(), head.fields.end(), field);
  if (it == head.fields.end()) return nullptr;
  return &head.headers[static_cast<std::size_t>(it - head.fields.begin())];
}

// As numbers: the old buffer may be gone.
void Move(std::string_view* view, std::uintptr_t from, const char* to) {
  if (view->data() == nullptr) return;
  *view = {to + (reinterpret_cast<std::uintptr_t>(view->data()) - from), view->size()};
}

void MoveFields(std::vector<HeaderField>* headers, std::uintptr_t from, const char* to) {
  for (HeaderField& field : *headers) {
    Move(&field.name, from, to);
    Move(&field.value, from, to);
  }
}

enum class Stage : std::uint8_t { kHead, kBody, kEnd, kFailed };

}  // namespace

std::string_view RequestHead::Get(Field field) const {
  const HeaderField* found = FindField(*this, field);
  return found ? found->value : std::string_view{};
}
bool RequestHead::Has(Field field) const {
  return FindField(*this, field) != nullptr;
}

std::string_view ResponseHead::Get(Field field) const {
  const HeaderField* found = FindField(*this, field);
  return found ? found->value : std::string_view{};
}
bool ResponseHead::Has(Field field) const {
  return FindField(*this, field) != nullptr;
}

// ---- requests

struct RequestParser::Impl {
  explicit Impl(const MessageLimits& limits) : reader(HTTP_REQUEST, limits), body(limits) {}

  ParseStep FeedHead(const char* base, std::size_t from, std::size_t to);
  ParseStep FinishHead(const char* base, std::size_t skip);
  ParseStep Fail(Refusal why) {
    stage = Stage::kFailed;
    refusal = why;
    return ParseStep::kFailed;
  }

  HeadReader reader;
  BodyReader body;
  RequestHead head;
  Stage stage = Stage::kHead;
  bool started = false;
  std::size_t taken = 0;
  Refusal refusal;
};

ParseStep RequestParser::Impl::FeedHead(const char* base, std::size_t from, std::size_t to) {
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
  const char* name = llhttp_method_name(static_cast<llhttp_method_t>(reader.parser().method));
  const std::string_view method(base + skip, target.begin - skip - 1);
  if (method != name || base[target.begin - 1] != ' ') return Fail({400, "malformed request line"});

  constexpr std::string_view kVersion = " HTTP/1.";
  const std::string_view rest(base + target.end, reader.size() - target.end);
  const bool ours = rest.starts_with(kVersion) && (rest[8] == '0' || rest[8] == '1');
  if (!ours && (rest.starts_with(" HTTP/") || rest.starts_with("\r\n"))) {
    return Fail({505, "HTTP version other than 1.0 and 1.1"});
  }
  if (!ours || rest.substr(9, 2) != "\r\n") return Fail({400, "malformed request line"});
  head.minor = rest[8] - '0';
  head.method = method;
  head.target = View(base, target);
  if (!reader.FillFields(base, target.end + 11, &head.headers, &head.fields)) {
    return Fail({400, "folded or malformed header field"});
  }
  if (const Refusal why = JudgeRequest(&head)) return Fail(why);
  body.Begin(head.body, head.content_length);
  stage = Stage::kBody;
  return ParseStep::kHead;
}

RequestParser::RequestParser(const MessageLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;

ParseStep RequestParser::Feed(const char* base, std::size_t from, std::size_t to) {
  Impl& impl = *impl_;
  switch (impl.stage) {
    case Stage::kHead:
      return impl.FeedHead(base, from, to);
    case Stage::kEnd:
      impl.taken = from;
      return ParseStep::kEnd;
    case Stage::kFailed:
      return ParseStep::kFailed;
    case Stage::kBody:
      break;
  }
  const ParseStep step = impl.body.Feed(base, from, to);
  impl.taken = impl.body.taken();
  if (step == ParseStep::kEnd) impl.stage = Stage::kEnd;
  if (step == ParseStep::kFailed) return impl.Fail({impl.body.status(), impl.body.error()});
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
  Move(&head.method, from, new_base);
  Move(&head.target, from, new_base);
  Move(&head.upgrade, from, new_base);
  MoveFields(&head.headers, from, new_base);
}

void RequestParser::Reset() {
  Impl& impl = *impl_;
  impl.reader.Reset();
  impl.body.Begin(BodyKind::kNone, 0);
  impl.head.method = impl.head.target = impl.head.upgrade = {};
  impl.head.headers.clear();  // the vectors keep their capacity
  impl.head.fields.clear();
  impl.stage = Stage::kHead;
  impl.started = false;
  impl.taken = 0;
  impl.refusal = {};
}

// ---- responses

namespace {
// More interim heads than this before a final one is an upstream that will never answer.
constexpr int kMaxInterim = 16;
}  // namespace

struct ResponseParser::Impl {
  explicit Impl(const MessageLimits& limits) : reader(HTTP_RESPONSE, limits), body(limits) {}

  ParseStep FeedHead(const char* base, std::size_t from, std::size_t to);
  ParseStep FinishHead(const char* base);
  void BeginHead() {
    reader.Reset();
    body.Begin(BodyKind::kNone, 0);
    head.reason = {};
    head.headers.clear();  // the vectors keep their capacity
    head.fields.clear();
    stage = Stage::kHead;
    taken = 0;
    error = {};
  }
  ParseStep Fail(std::string_view why) {
    stage = Stage::kFailed;
    error = why;
    return ParseStep::kFailed;
  }

  HeadReader reader;
  BodyReader body;
  ResponseHead head;
  Stage stage = Stage::kHead;
  bool to_head = false;
  int interim = 0;
  std::size_t taken = 0;
  std::string_view error;
};

ParseStep ResponseParser::Impl::FeedHead(const char* base, std::size_t from, std::size_t to) {
  taken = to;
  if (to > 0 && base[0] != 'H') return Fail("not an HTTP response");
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
  if (head.status < 100 || head.status > 599 || head.status != reader.parser().status_code) {
    return Fail("status out of range");
  }
  if (!std::all_of(head.reason.begin(), head.reason.end(), IsValueChar))
    return Fail("malformed status line");
  if (!reader.FillFields(base, line.size() + 2, &head.headers, &head.fields)) {
    return Fail("folded or malformed header field");
  }
  if (const Refusal why = JudgeResponse(&head, to_head)) return Fail(why.reason);
  if (head.interim() && ++interim > kMaxInterim) return Fail("too many interim responses");
  body.Begin(head.body, head.content_length);
  stage = Stage::kBody;
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
  switch (impl.stage) {
    case Stage::kHead:
      return impl.FeedHead(base, from, to);
    case Stage::kEnd:
      impl.taken = from;
      return ParseStep::kEnd;
    case Stage::kFailed:
      return ParseStep::kFailed;
    case Stage::kBody:
      break;
  }
  const ParseStep step = impl.body.Feed(base, from, to);
  impl.taken = impl.body.taken();
  if (step == ParseStep::kEnd) impl.stage = Stage::kEnd;
  if (step == ParseStep::kFailed) return impl.Fail(impl.body.error());
  return step;
}

void ResponseParser::NextHead() {
  impl_->BeginHead();
}

ParseStep ResponseParser::FeedEnd() {
  Impl& impl = *impl_;
  if (impl.stage == Stage::kEnd) return ParseStep::kEnd;
  if (impl.stage == Stage::kFailed) return ParseStep::kFailed;
  if (impl.stage == Stage::kHead) return impl.Fail("closed before the end of the head");
  if (impl.head.interim()) return impl.Fail("closed after an interim response");
  if (impl.body.FeedEnd() != ParseStep::kEnd) return impl.Fail(impl.body.error());
  impl.stage = Stage::kEnd;
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
  Move(&impl_->head.reason, from, new_base);
  MoveFields(&impl_->head.headers, from, new_base);
}

}  // namespace spillway
