// SPDX-License-Identifier: MIT
// The door of llhttp. It reads heads, and pauses at their end; then every line is held against the
// wire's grammar once more, since llhttp, strict as it is built here, still lets through obs-fold,
// HTTP/0.9, other protocols' versions, extra spaces and empty names. What a head means:
// http1_rules.cc. Bodies: http1_body.cc. Most heads never come here: http1_plain.cc.
#include "proxy/http1.h"

#include <llhttp.h>

#include <algorithm>

#include "proxy/fields.h"
#include "proxy/http1_head.h"
#include "proxy/reuse.h"

namespace spillway {
namespace {

struct Line {
  Piece name, value;
};

std::string_view View(const char* base, Piece piece) {
  return {base + piece.begin, piece.end - piece.begin};
}

// The first value of a field, for both kinds of head.
template <typename Head>
const HeaderField* FindField(const Head& head, Field field) {
  if (!head.fields.Has(field)) return nullptr;
  const auto it = std::find(head.fields.begin(), head.fields.end(), field);
  return &head.headers[static_cast<std::size_t>(it - head.fields.begin())];
}

}  // namespace

struct HeadReader::Impl {
  Impl(llhttp_type_t type, const MessageLimits& given) : limits(given) {
    llhttp_init(&parser, type, Settings());
    parser.data = this;
  }

  static const llhttp_settings_t* Settings();
  static int OnTarget(llhttp_t* parser, const char* at, std::size_t length);
  static int OnName(llhttp_t* parser, const char* at, std::size_t length);
  static int OnValue(llhttp_t* parser, const char* at, std::size_t length);

  // Adds what llhttp found at `at` to `piece`; -1 when the two don't touch.
  int Extend(Piece* piece, const char* at, std::size_t length);
  int Stop(int status, std::string_view why) {
    refusal = {status, why};
    return -1;
  }
  ParseStep Fail(int status, std::string_view why) {
    refusal = {status, why};
    return ParseStep::kFailed;
  }
  ParseStep FailAsParserSays(const char* start, std::size_t skip);

  MessageLimits limits;
  llhttp_t parser;
  const char* base = nullptr;  // during Feed
  Piece target;
  std::vector<Line> lines;
  bool open = false;  // the last line's value has not ended
  std::size_t size = 0;
  Refusal refusal;
};

const llhttp_settings_t* HeadReader::Impl::Settings() {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t made;
    llhttp_settings_init(&made);
    made.on_url = OnTarget;
    made.on_header_field = OnName;
    made.on_header_value = OnValue;
    made.on_header_value_complete = [](llhttp_t* of) {
      static_cast<Impl*>(of->data)->open = false;
      return 0;
    };
    made.on_headers_complete = [](llhttp_t*) { return static_cast<int>(HPE_PAUSED); };
    return made;
  }();
  return &settings;
}

int HeadReader::Impl::Extend(Piece* piece, const char* at, std::size_t length) {
  if (length == 0) return 0;
  const auto begin = static_cast<std::size_t>(at - base);
  if (piece->end == 0)
    piece->begin = begin;
  else if (piece->end != begin)
    return Stop(400, "folded header field");
  piece->end = begin + length;
  return 0;
}

int HeadReader::Impl::OnTarget(llhttp_t* parser, const char* at, std::size_t length) {
  auto& self = *static_cast<Impl*>(parser->data);
  if (self.Extend(&self.target, at, length) != 0) return -1;
  if (self.target.end - self.target.begin <= self.limits.target) return 0;
  return self.Stop(414, "target too long");
}

int HeadReader::Impl::OnName(llhttp_t* parser, const char* at, std::size_t length) {
  auto& self = *static_cast<Impl*>(parser->data);
  if (!self.open) {
    if (self.lines.size() == self.limits.headers) return self.Stop(431, "too many header fields");
    self.lines.emplace_back();
    self.open = true;
  }
  return self.Extend(&self.lines.back().name, at, length);
}

int HeadReader::Impl::OnValue(llhttp_t* parser, const char* at, std::size_t length) {
  auto& self = *static_cast<Impl*>(parser->data);
  if (self.lines.empty()) return self.Stop(400, "header field without a name");
  return self.Extend(&self.lines.back().value, at, length);
}

ParseStep HeadReader::Impl::FailAsParserSays(const char* start, std::size_t skip) {
  if (refusal) return ParseStep::kFailed;  // one of our callbacks said why
  const llhttp_errno_t error = llhttp_get_errno(&parser);
  const char* reason = llhttp_get_error_reason(&parser);  // a literal
  // llhttp says so too when the version is one of ours and the line's end is wrong.
  const bool ours = parser.http_major == 1 && parser.http_minor <= 1;
  if ((error == HPE_INVALID_VERSION && !ours) || error == HPE_PAUSED_H2_UPGRADE) {
    return Fail(505, "HTTP version other than 1.0 and 1.1");
  }
  if (error == HPE_INVALID_METHOD) {
    const char* at = llhttp_get_error_pos(&parser);
    // It stops at the first byte that no method of its own has: within a token, or right behind it.
    const bool token = std::all_of(start + skip, at + (*at == ' ' ? 0 : 1), IsTokenChar);
    return token ? Fail(501, "unknown method") : Fail(400, "malformed method");
  }
  return Fail(400, reason == nullptr ? "malformed head" : reason);
}

void HeadReader::SetLimits(const MessageLimits& limits) {
  impl_->limits = limits;
}

const MessageLimits& HeadReader::limits() const {
  return impl_->limits;
}

HeadReader::HeadReader(Side side, const MessageLimits& limits)
    : impl_(std::make_unique<Impl>(side == Side::kRequest ? HTTP_REQUEST : HTTP_RESPONSE, limits)) {
}
HeadReader::~HeadReader() = default;

void HeadReader::Reset() {
  llhttp_reset(&impl_->parser);
  impl_->target = {};
  ClearForReuse(&impl_->lines);
  impl_->open = false;
  impl_->size = 0;
  impl_->refusal = {};
}

const Refusal& HeadReader::refusal() const {
  return impl_->refusal;
}
std::size_t HeadReader::size() const {
  return impl_->size;
}
Piece HeadReader::target() const {
  return impl_->target;
}
int HeadReader::status() const {
  return impl_->parser.status_code;
}
std::string_view HeadReader::method() const {
  return llhttp_method_name(static_cast<llhttp_method_t>(impl_->parser.method));
}

ParseStep HeadReader::Feed(const char* base, std::size_t from, std::size_t to, std::size_t skip) {
  impl_->base = base;
  const std::size_t limit = std::min(to, impl_->limits.head);
  from = std::max(from, skip);
  llhttp_errno_t error = HPE_OK;
  if (from < limit) error = llhttp_execute(&impl_->parser, base + from, limit - from);
  if (error == HPE_PAUSED) {
    impl_->size = static_cast<std::size_t>(llhttp_get_error_pos(&impl_->parser) - base);
    return ParseStep::kHead;
  }
  if (impl_->refusal.status == 414) return ParseStep::kFailed;
  // An HTTP/0.9 client sends one line and waits; it must not wait until a timer ends it.
  const bool target_ended = impl_->target.end != 0 && impl_->target.end + 1 < limit;
  if (target_ended && base[impl_->target.end] == '\r' && base[impl_->target.end + 1] == '\n') {
    return impl_->Fail(505, "HTTP/0.9");
  }
  if (error != HPE_OK) return impl_->FailAsParserSays(base, skip);
  if (limit < impl_->limits.head) return ParseStep::kNeedMore;
  const bool in_target = impl_->parser.type == HTTP_REQUEST && !target_ended;
  return in_target ? impl_->Fail(414, "target too long") : impl_->Fail(431, "head too large");
}

bool HeadReader::FillFields(const char* base, std::size_t at, std::vector<HeaderField>* headers,
                            FieldKinds* fields) const {
  headers->clear();
  fields->clear();
  for (const Line& line : impl_->lines) {
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
    // Empty, but in its place: Rebase moves it with the rest.
    // NOLINTNEXTLINE(bugprone-string-constructor)
    const std::string_view nothing(base + name.end, 0);
    const std::string_view trimmed = value.end == 0 ? nothing : TrimSpace(View(base, value));
    headers->push_back({text, trimmed});
    fields->push_back(ClassifyField(text));
  }
  return at + 2 == impl_->size && base[at] == '\r' && base[at + 1] == '\n';
}

// As numbers: the old buffer may be gone.
void MoveView(std::string_view* view, std::uintptr_t from, const char* to) {
  if (view->data() == nullptr) return;
  *view = {to + (reinterpret_cast<std::uintptr_t>(view->data()) - from), view->size()};
}

void MoveFields(std::vector<HeaderField>* headers, std::uintptr_t from, const char* to) {
  for (HeaderField& field : *headers) {
    MoveView(&field.name, from, to);
    MoveView(&field.value, from, to);
  }
}

std::string_view RequestHead::Get(Field field) const {
  const HeaderField* found = FindField(*this, field);
  return found ? found->value : std::string_view{};
}
bool RequestHead::Has(Field field) const {
  return fields.Has(field);
}

std::string_view ResponseHead::Get(Field field) const {
  const HeaderField* found = FindField(*this, field);
  return found ? found->value : std::string_view{};
}
bool ResponseHead::Has(Field field) const {
  return fields.Has(field);
}

bool IsKnownMethod(std::string_view method) {
#define SPILLWAY_IS_METHOD(number, name, text) \
  if (method == #text) return true;
  HTTP_METHOD_MAP(SPILLWAY_IS_METHOD)
#undef SPILLWAY_IS_METHOD
  return false;
}

}  // namespace spillway
