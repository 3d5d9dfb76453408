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

#include "proxy/fields.h"
#include "proxy/http_date.h"
#include "proxy/reply_page.h"

namespace spillway {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

std::uint64_t CeilSeconds(Duration span) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(span).count();
  return seconds > 0 ? static_cast<std::uint64_t>(seconds) : 0;
}

// Up to a fifth longer by chance, so that the refused don't all come back together. At least a
// second.
std::uint64_t RetrySeconds(Duration wait, std::uint64_t chance) {
  const double seconds = std::chrono::duration<double>(wait).count();
  const double stretched = seconds * (1 + static_cast<double>(chance % 201) / 1000);
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(stretched)));
}

void AddRetryAfter(std::uint64_t seconds, Answer* answer) {
  if (seconds > 0) answer->headers.emplace_back("Retry-After", std::to_string(seconds));
}

Answer TroubleAnswer(const Trouble& trouble, Audience audience) {
  Answer answer;
  answer.status = trouble.status;
  answer.headers.emplace_back("Cache-Control", "no-store");
  answer.headers.emplace_back("X-Content-Type-Options", "nosniff");
  if (!trouble.request_id.empty()) answer.headers.emplace_back("X-Request-Id", trouble.request_id);
  AddRetryAfter(trouble.retry_seconds, &answer);
  if (audience == Audience::kDocument) {
    answer.content_type = "text/html; charset=utf-8";
    answer.headers.emplace_back("Content-Security-Policy",
                                "default-src 'none'; style-src 'unsafe-inline'");
    answer.body = HtmlPage(trouble);
  } else {
    answer.content_type = "application/problem+json";
    answer.body = ProblemDocument(trouble);
  }
  return answer;
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
void AppendSfString(std::string_view text, std::string* out) {
  out->push_back('"');
  for (char c : text) {
    if (c == '"' || c == '\\') out->push_back('\\');
    out->push_back(c >= 0x20 && c < 0x7f ? c : '?');
  }
  out->push_back('"');
}

// An Integer of structured fields has 15 digits at most.
std::string SfInteger(std::uint64_t value) {
  return std::to_string(std::min<std::uint64_t>(value, 999'999'999'999'999));
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

void AppendHeader(std::string_view name, std::string_view value, std::string* out) {
  out->append(name).append(": ");
  AppendValue(value, out);
  out->append("\r\n");
}

template <class Emit>
void EachAnswerField(const Answer& answer, WallTime now, Emit emit) {
  HttpDate date;
  emit("Date", date.At(now));
  const std::string_view body = BodyToSend(answer);
  if (!body.empty()) emit("Content-Type", answer.content_type);
  if (!Bodiless(answer.status)) emit("Content-Length", std::to_string(body.size()));
  for (const auto& [name, value] : answer.headers) {
    if (!Reserved(name)) emit(name, value);
  }
}

}  // namespace

Audience JudgeAudience(const RequestHead& head) {
  const std::string_view destination = head.Get(Field::kSecFetchDest);
  for (std::string_view page : {"document", "iframe", "frame"}) {
    if (EqualsIgnoreCase(destination, page)) return Audience::kDocument;
  }
  if (EqualsIgnoreCase(head.Get(Field::kSecFetchMode), "navigate")) return Audience::kDocument;
  if (!destination.empty() || head.Has(Field::kSecFetchMode)) return Audience::kFetch;
  // Browsers of before these fields, and plain http, where they are not sent.
  const HeaderField* script = FindHeader(head.headers, "x-requested-with");
  if (script != nullptr && EqualsIgnoreCase(script->value, "xmlhttprequest"))
    return Audience::kFetch;
  return WantsPage(head.Get(Field::kAccept)) ? Audience::kDocument : Audience::kClient;
}

Answer ErrorAnswer(int status, std::string_view detail, const AnswerContext& context) {
  return TroubleAnswer(TroubleOf(status, detail, context), context.audience);
}

Answer OverLimitAnswer(const OverLimit& action, std::span<const LimitOutcome> limits,
                       std::span<const LimitInfo> names, const AnswerContext& context) {
  if (action.status == 404) return ErrorAnswer(404, {}, context);
  Trouble trouble = TroubleOf(action.status, {}, context);
  for (const LimitOutcome& outcome : limits) {
    if (outcome.state.allowed || outcome.limit >= names.size()) continue;
    trouble.limit = names[outcome.limit].name;
    trouble.retry_seconds =
        std::max(trouble.retry_seconds, RetrySeconds(outcome.state.retry_after, context.chance));
  }
  Answer answer = TroubleAnswer(trouble, context.audience);
  AppendRateLimitFields(limits, names, &answer.headers);
  return answer;
}

void AppendRateLimitFields(std::span<const LimitOutcome> limits, std::span<const LimitInfo> names,
                           Headers* headers) {
  std::string state, policy;
  for (const LimitOutcome& outcome : limits) {
    if (outcome.limit >= names.size()) continue;
    const LimitInfo& limit = names[outcome.limit];
    if (!state.empty()) state += ", ", policy += ", ";
    AppendSfString(limit.name, &state);
    AppendSfString(limit.name, &policy);
    const Duration wait = outcome.state.allowed ? outcome.state.reset : outcome.state.retry_after;
    const std::uint64_t remaining = outcome.state.allowed ? outcome.state.remaining : 0;
    state += ";r=" + SfInteger(remaining) + ";t=" + SfInteger(CeilSeconds(wait));
    const Quota quota = QuotaOf(limit.spec);
    policy += ";q=" + SfInteger(quota.amount) + ";w=" + SfInteger(quota.seconds);
  }
  if (state.empty()) return;
  headers->emplace_back("RateLimit", std::move(state));
  headers->emplace_back("RateLimit-Policy", std::move(policy));
}

Answer RedirectAnswer(const Redirect& action, const AnswerContext& context) {
  Answer answer;
  answer.status = action.status;
  answer.content_type = "text/plain; charset=utf-8";
  answer.headers.emplace_back("Location", action.location);
  answer.headers.emplace_back("Cache-Control", "no-store");
  if (!context.request_id.empty()) answer.headers.emplace_back("X-Request-Id", context.request_id);
  answer.body.append("Moved to ").append(action.location).append("\n");
  return answer;
}

Answer RespondAnswer(const Respond& action, const AnswerContext& context) {
  Answer answer;
  answer.status = action.status;
  answer.content_type =
      action.content_type.empty() ? "text/plain; charset=utf-8" : action.content_type;
  answer.body = action.body;
  bool cacheable = false, own_id = context.request_id.empty();
  if (action.headers != nullptr) {
    for (const HeaderToSet& field : *action.headers) {
      const Field kind = ClassifyField(field.name);
      if (kind == Field::kContentType) continue;  // said above, by its own key
      cacheable |= kind == Field::kCacheControl;
      own_id |= kind == Field::kXRequestId;
      answer.headers.emplace_back(field.name, field.value);
    }
  }
  if (!cacheable) answer.headers.emplace_back("Cache-Control", "no-store");
  if (!own_id) answer.headers.emplace_back("X-Request-Id", context.request_id);
  return answer;
}

Answer UpstreamErrorAnswer(int status, std::string_view page, const AnswerContext& context) {
  Answer answer = ErrorAnswer(status, {}, context);
  if (page.empty() || context.audience != Audience::kDocument) return answer;
  answer.body = page;
  // The operator's page may load what it likes.
  std::erase_if(answer.headers,
                [](const auto& field) { return field.first == "Content-Security-Policy"; });
  return answer;
}

std::string_view BodyToSend(const Answer& answer) {
  return Bodiless(answer.status) || answer.status == 205 ? std::string_view{} : answer.body;
}

void ListAnswerFields(const Answer& answer, WallTime now, std::vector<HeaderField>* fields,
                      std::vector<std::string>* texts) {
  texts->reserve(texts->size() + answer.headers.size() + 3);  // views of them must not move
  EachAnswerField(answer, now, [&](std::string_view name, std::string_view value) {
    AppendValue(value, &texts->emplace_back());
    fields->push_back({name, texts->back()});
  });
}

void WriteAnswerHead(const Answer& answer, bool close, bool client_is_1_0, WallTime now,
                     std::string* out) {
  out->assign("HTTP/1.1 ");
  out->append(std::to_string(answer.status))
      .append(" ")
      .append(ReasonPhrase(answer.status))
      .append("\r\n");
  EachAnswerField(answer, now, [out](std::string_view name, std::string_view value) {
    AppendHeader(name, value, out);
  });
  if (close) out->append("Connection: close\r\n");
  if (!close && client_is_1_0) out->append("Connection: keep-alive\r\n");
  out->append("\r\n");
}

}  // namespace spillway
