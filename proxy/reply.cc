// SPDX-License-Identifier: MIT
// Answers of our own, as values, and their bytes. What they say to a reader stands in
// reply_page.cc.
//
// A limit is told in the fields of draft-ietf-httpapi-ratelimit-headers. A bucket of `burst` that
// refills in w seconds is the policy "q=burst;w=w"; r is what it holds, t how long until it is
// full, or, when it refused, until one more passes: so Retry-After is never before t.
#include "proxy/reply.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "proxy/fields.h"
#include "proxy/pen.h"
#include "proxy/reply_page.h"

namespace spillway {
namespace {

// Our pages load nothing.
constexpr std::string_view kPagePolicy =
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n";

void PutRequestId(std::string_view id, Pen* pen) {
  if (!id.empty()) pen->Put("X-Request-Id: ").Value(Blank::kRequestId, id).Put("\r\n");
}

// What there is to say in fields of any trouble.
void PutTrouble(const Trouble& trouble, Pen* pen) {
  pen->Put("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
  PutRequestId(trouble.request_id, pen);
  if (trouble.retry_seconds > 0) {
    pen->Put("Retry-After: ").Value(Blank::kRetry, trouble.retry_seconds).Put("\r\n");
  }
}

// Makes the body, and puts what a page says in fields beside.
void PutBody(const Trouble& trouble, Audience audience, Pen* fields, Answer* answer,
             Mould* mould = nullptr) {
  answer->body.clear();
  if (audience == Audience::kDocument) {
    answer->content_type = "text/html; charset=utf-8";
    fields->Put(kPagePolicy);
    AppendHtmlPage(trouble, &answer->body);
  } else {
    answer->content_type = "application/problem+json";
    AppendProblemDocument(trouble, &answer->body, mould);
  }
}

Trouble TroubleOf(int status, std::string_view detail, const AnswerContext& context) {
  const bool hidden = status == 404;
  Trouble trouble{.status = status,
                  .detail = hidden ? std::string_view() : detail,
                  .request_id = context.request_id,
                  .rule = hidden ? std::string_view() : context.rule,
                  .limit = {},
                  .shortage = context.shortage,
                  .retry_seconds = 0};
  if (context.retry_after > Duration{0} && (status == 429 || status == 503)) {
    trouble.retry_seconds = RetrySeconds(context.retry_after, context.chance);
  }
  return trouble;
}

// A String of structured fields (RFC 8941 3.3.3); what it cannot hold becomes "?".
std::string SfString(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c >= 0x20 && c < 0x7f ? c : '?');
  }
  return out += '"';
}

// What a bucket promises in whole seconds: one that refills faster than that is told by its rate.
struct Quota {
  std::uint64_t amount, seconds;
};
Quota QuotaOf(const LimitSpec& spec) {
  const double period = std::chrono::duration<double>(spec.rate.period).count();
  const double refill =
      static_cast<double>(spec.burst) * period / static_cast<double>(spec.rate.events);
  if (refill >= 1) return {spec.burst, static_cast<std::uint64_t>(std::ceil(refill - 1e-9))};
  const auto per_second =
      static_cast<std::uint64_t>(static_cast<double>(spec.rate.events) / period);
  return {std::max(spec.burst, per_second), 1};
}

// How much of `range` "type/subtype;q=0.5" wants what it names; 1 when it doesn't say.
double Quality(std::string_view range) {
  while (!range.empty()) {
    const std::size_t semicolon = range.find(';');
    if (semicolon == std::string_view::npos) break;
    range = TrimSpace(range.substr(semicolon + 1));
    const bool weight =
        range.size() >= 3 && (range[0] == 'q' || range[0] == 'Q') && range[1] == '=';
    if (!weight) continue;
    double value = 0, unit = 1;
    for (char c : range.substr(2)) {
      if (c == '.') {
        unit = 0.1;
      } else if (c >= '0' && c <= '9') {
        value = unit == 1 ? value * 10 + (c - '0') : value + unit * (c - '0');
        if (unit < 1) unit /= 10;
      } else {
        break;
      }
    }
    return std::min(value, 1.0);
  }
  return 1;
}

// Asks for a page rather than for JSON: by weight, then by who comes first.
bool WantsPage(std::string_view accept) {
  if (accept == "*/*") return false;  // programs, most of them
  double page = 0, data = 0;
  bool page_first = false;
  while (const auto range = NextItem(&accept)) {
    const std::string_view type = TrimSpace(range->substr(0, range->find(';')));
    const bool is_page =
        EqualsIgnoreCase(type, "text/html") || EqualsIgnoreCase(type, "application/xhtml+xml");
    const bool is_data = EqualsIgnoreCase(type, "application/json") ||
                         EqualsIgnoreCase(type, "application/problem+json");
    if (is_page && data == 0) page_first = true;
    if (is_page) page = std::max(page, Quality(*range));
    if (is_data) data = std::max(data, Quality(*range));
  }
  return page > 0 && (page > data || (page == data && page_first));
}

// `each` limit of which there is something to say.
template <class Each>
void PutLimits(std::span<const LimitOutcome> limits, std::span<const LimitWords> words, Pen* pen,
               Each each) {
  bool first = true;
  for (const LimitOutcome& outcome : limits) {
    if (outcome.limit >= words.size()) continue;
    if (!std::exchange(first, false)) pen->Put(", ");
    each(outcome.state, words[outcome.limit]);
  }
}

// The value of RateLimit.
void PutLimitStates(std::span<const LimitOutcome> limits, std::span<const LimitWords> words,
                    Pen* pen) {
  PutLimits(limits, words, pen, [pen](const LimitState& state, const LimitWords& limit) {
    pen->Put(limit.quoted).Put(";r=").Decimal(SfInteger(state.allowed ? state.remaining : 0));
    const Duration wait = state.allowed ? state.reset : state.retry_after;
    pen->Put(";t=").Value(Blank::kWait, SfInteger(CeilSeconds(wait)));
  });
}

// The value of RateLimit-Policy.
void PutLimitPolicies(std::span<const LimitOutcome> limits, std::span<const LimitWords> words,
                      Pen* pen) {
  PutLimits(limits, words, pen,
            [pen](const LimitState&, const LimitWords& limit) { pen->Put(limit.policy); });
}

// What WriteAnswerHead says itself.
bool Reserved(std::string_view name) {
  if (!IsToken(name)) return true;
  switch (ClassifyField(name)) {
    case Field::kContentLength:
    case Field::kTransferEncoding:
    case Field::kConnection:
    case Field::kKeepAlive:
    case Field::kUpgrade:
    case Field::kTrailer:
    case Field::kDate:
      return true;
    default:
      return false;
  }
}

bool Bodiless(int status) {
  return status < 200 || status == 204 || status == 304;
}

constexpr std::string_view kClose = "Connection: close\r\n";

// The status line, and what is said of date and body.
void PutHeadBegin(const Answer& answer, std::string_view date, Pen* pen) {
  const std::string_view body = BodyToSend(answer);
  pen->Put("HTTP/1.1 ").Decimal(static_cast<std::uint64_t>(answer.status));
  pen->Put(' ').Put(ReasonPhrase(answer.status)).Put("\r\nDate: ").Value(Blank::kDate, date);
  if (!body.empty()) pen->Put("\r\nContent-Type: ").Put(answer.content_type);
  if (!Bodiless(answer.status)) {
    pen->Put("\r\nContent-Length: ").Value(Blank::kLength, std::uint64_t{body.size()});
  }
  pen->Put("\r\n");
}

// What a request says of whom its answer is for: each field's first value, if it has one.
struct Wishes {
  const std::string_view* destination = nullptr;
  const std::string_view* mode = nullptr;
  const std::string_view* requested_with = nullptr;
  const std::string_view* accept = nullptr;
};

Wishes WishesOf(const RequestHead& head) {
  Wishes wishes;
  const auto note = [](const std::string_view*& wish, const HeaderField& field) {
    if (wish == nullptr) wish = &field.value;
  };
  for (std::size_t i = 0; i < head.headers.size(); ++i) {
    const HeaderField& field = head.headers[i];
    switch (head.fields[i]) {
      case Field::kSecFetchDest:
        note(wishes.destination, field);
        break;
      case Field::kSecFetchMode:
        note(wishes.mode, field);
        break;
      case Field::kAccept:
        note(wishes.accept, field);
        break;
      case Field::kOther:
        if (EqualsIgnoreCase(field.name, "x-requested-with")) note(wishes.requested_with, field);
        break;
      default:
        break;
    }
  }
  return wishes;
}

bool Says(const std::string_view* wish, std::string_view lower) {
  return wish != nullptr && EqualsIgnoreCase(*wish, lower);
}

}  // namespace

std::uint64_t CeilSeconds(Duration span) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(span).count();
  return seconds > 0 ? static_cast<std::uint64_t>(seconds) : 0;
}

std::uint64_t RetrySeconds(Duration wait, std::uint64_t chance) {
  const double seconds = std::chrono::duration<double>(wait).count();
  const double stretched = seconds * (1 + static_cast<double>(chance % 201) / 1000);
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(stretched)));
}

std::uint64_t SfInteger(std::uint64_t value) {
  return std::min<std::uint64_t>(value, 999'999'999'999'999);
}

Audience JudgeAudience(const RequestHead& head) {
  constexpr FieldSet kAsked = {Field::kSecFetchDest, Field::kSecFetchMode, Field::kAccept,
                               Field::kOther};
  if (!head.fields.HasAny(kAsked)) return Audience::kClient;
  const Wishes wishes = WishesOf(head);
  for (std::string_view page : {"document", "iframe", "frame"}) {
    if (Says(wishes.destination, page)) return Audience::kDocument;
  }
  if (Says(wishes.mode, "navigate")) return Audience::kDocument;
  if (wishes.mode != nullptr) return Audience::kFetch;
  if (wishes.destination != nullptr && !wishes.destination->empty()) return Audience::kFetch;
  // Browsers of before these fields, and plain http, where they are not sent.
  if (Says(wishes.requested_with, "xmlhttprequest")) return Audience::kFetch;
  const bool page = wishes.accept != nullptr && WantsPage(*wishes.accept);
  return page ? Audience::kDocument : Audience::kClient;
}

void Answer::Add(std::string_view name, std::string_view value) {
  if (Reserved(name)) return;
  fields.append(name).append(": ");
  AppendValue(value, &fields);
  fields.append("\r\n");
}

void SayError(int status, std::string_view detail, const AnswerContext& context, Answer* answer) {
  const Trouble trouble = TroubleOf(status, detail, context);
  answer->status = status;
  answer->fields.clear();
  Pen pen(&answer->fields);
  PutTrouble(trouble, &pen);
  PutBody(trouble, context.audience, &pen, answer);
}

Answer ErrorAnswer(int status, std::string_view detail, const AnswerContext& context) {
  Answer answer;
  SayError(status, detail, context, &answer);
  return answer;
}

LimitWords WordsFor(const LimitInfo& limit) {
  LimitWords words{.json = JsonText(limit.name), .quoted = SfString(limit.name), .policy = {}};
  const Quota quota = QuotaOf(limit.spec);
  words.policy = words.quoted + ";q=" + std::to_string(SfInteger(quota.amount)) +
                 ";w=" + std::to_string(SfInteger(quota.seconds));
  return words;
}

void SayOverLimit(const OverLimit& action, std::span<const LimitOutcome> limits,
                  std::span<const LimitWords> words, const AnswerContext& context, Answer* answer,
                  AnswerMould* mould) {
  if (action.status == 404) return SayError(404, {}, context, answer);
  Trouble trouble = TroubleOf(action.status, {}, context);
  bool known = false;
  for (const LimitOutcome& outcome : limits) {
    if (outcome.limit >= words.size()) continue;
    known = true;
    if (outcome.state.allowed) continue;
    trouble.limit = words[outcome.limit].json;
    trouble.retry_seconds =
        std::max(trouble.retry_seconds, RetrySeconds(outcome.state.retry_after, context.chance));
  }
  answer->status = action.status;
  answer->fields.clear();
  Pen pen(&answer->fields, mould == nullptr ? nullptr : &mould->fields);
  PutTrouble(trouble, &pen);
  PutBody(trouble, context.audience, &pen, answer, mould == nullptr ? nullptr : &mould->body);
  if (!known) return;
  pen.Put("RateLimit: ");
  PutLimitStates(limits, words, &pen);
  pen.Put("\r\nRateLimit-Policy: ");
  PutLimitPolicies(limits, words, &pen);
  pen.Put("\r\n");
}

void AppendRateLimitFields(std::span<const LimitOutcome> limits, std::span<const LimitWords> words,
                           std::vector<std::pair<std::string, std::string>>* headers) {
  std::string state, policy;
  {
    Pen states(&state), policies(&policy);
    PutLimitStates(limits, words, &states);
    PutLimitPolicies(limits, words, &policies);
  }
  if (state.empty()) return;
  headers->emplace_back("RateLimit", std::move(state));
  headers->emplace_back("RateLimit-Policy", std::move(policy));
}

void SayRedirect(const Redirect& action, const AnswerContext& context, Answer* answer) {
  answer->status = action.status;
  answer->content_type = "text/plain; charset=utf-8";
  answer->body.assign("Moved to ").append(action.location).append("\n");
  answer->fields.clear();
  answer->Add("Location", action.location);
  Pen pen(&answer->fields);
  pen.Put("Cache-Control: no-store\r\n");
  PutRequestId(context.request_id, &pen);
}

void SayResponse(const Respond& action, const AnswerContext& context, Answer* answer) {
  answer->status = action.status;
  answer->content_type =
      action.content_type.empty() ? "text/plain; charset=utf-8" : action.content_type;
  answer->body = action.body;
  answer->fields.clear();
  bool cacheable = false, own_id = false;
  if (action.headers != nullptr) {
    for (const HeaderToSet& field : *action.headers) {
      const Field kind = ClassifyField(field.name);
      if (kind == Field::kContentType) continue;  // said above, by its own key
      cacheable |= kind == Field::kCacheControl;
      own_id |= kind == Field::kXRequestId;
      answer->Add(field.name, field.value);
    }
  }
  Pen pen(&answer->fields);
  if (!cacheable) pen.Put("Cache-Control: no-store\r\n");
  if (!own_id) PutRequestId(context.request_id, &pen);
}

Answer UpstreamErrorAnswer(int status, std::string_view page, const AnswerContext& context) {
  Answer answer;
  SayError(status, {}, context, &answer);
  if (page.empty() || context.audience != Audience::kDocument) return answer;
  answer.body = page;
  const std::size_t policy = answer.fields.find(kPagePolicy);  // its page may load what it likes
  if (policy != std::string::npos) answer.fields.erase(policy, kPagePolicy.size());
  return answer;
}

void Complete(Answer* answer) {
  const AnswerMould* mould = std::exchange(answer->mould, nullptr);
  if (mould == nullptr) return;
  mould->fields.Cast(answer->values, &answer->fields);
  mould->body.Cast(answer->values, &answer->body);
}

std::size_t BodySize(const Answer& answer) {
  if (answer.mould == nullptr) return BodyToSend(answer).size();
  return answer.mould->body.Size(answer.values);
}

std::string_view BodyToSend(const Answer& answer) {
  return Bodiless(answer.status) || answer.status == 205 ? std::string_view{} : answer.body;
}

void ListAnswerFields(const Answer& answer, std::string_view date, std::vector<HeaderField>* fields,
                      std::string* length) {
  fields->clear();
  fields->push_back({"Date", date});
  const std::string_view body = BodyToSend(answer);
  if (!body.empty()) fields->push_back({"Content-Type", answer.content_type});
  if (!Bodiless(answer.status)) {
    *length = std::to_string(body.size());
    fields->push_back({"Content-Length", *length});
  }
  std::string_view rest = answer.fields;
  while (!rest.empty()) {
    const std::size_t colon = rest.find(": "), end = rest.find("\r\n");
    fields->push_back({rest.substr(0, colon), rest.substr(colon + 2, end - colon - 2)});
    rest.remove_prefix(end + 2);
  }
}

void WriteAnswerHead(const Answer& answer, bool close, bool client_is_1_0, std::string_view date,
                     std::string* out) {
  out->clear();
  Pen pen(out);
  PutHeadBegin(answer, date, &pen);
  pen.Put(answer.fields);
  if (close) pen.Put(kClose);
  if (!close && client_is_1_0) pen.Put("Connection: keep-alive\r\n");
  pen.Put("\r\n");
}

void MakeMessage(const Answer& answer, AnswerMould* mould) {
  std::string text;
  {
    Pen pen(&text, &mould->message);
    PutHeadBegin(answer, {}, &pen);
    pen.Put(mould->fields).Value(Blank::kConnection, std::string_view{}).Put("\r\n");
    pen.Put(mould->body);
  }
  mould->message.SetText(std::move(text));
}

std::string_view MessageOf(const Answer& answer, bool close, std::string_view date) {
  BlankValues values = answer.values;
  values[static_cast<std::size_t>(Blank::kDate)] = date;
  values[static_cast<std::size_t>(Blank::kLength)] = answer.mould->length.Set(BodySize(answer));
  values[static_cast<std::size_t>(Blank::kConnection)] = close ? kClose : std::string_view{};
  return answer.mould->message.Fill(values);
}

}  // namespace spillway
