// SPDX-License-Identifier: MIT
// Answers that spillway itself gives: refusals, challenge pages, upstream-error pages. HTML to a
// browser (by Accept and Sec-Fetch-Dest), application/problem+json to all else; never cacheable.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http1.h"
#include "proxy/reply_page.h"
#include "spillway/policy.h"
#include "spillway/units.h"
#include "spillway/verdict.h"

namespace spillway {

// Whom an answer is for, read from its request.
enum class Audience : std::uint8_t {
  kDocument,  // a browser that asks for a page
  kFetch,     // script of a page (XHR, fetch), or an image, style sheet, ...
  kClient,    // anything else: an API client, a feed reader, curl
};
Audience JudgeAudience(const RequestHead& head);

struct Answer {
  int status = 200;
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> headers;  // beside Content-Type and -Length
  std::string body;
};

struct AnswerContext {
  Audience audience = Audience::kClient;
  std::string_view request_id{};
  std::string_view rule{};                  // the rule's name, or empty; never its conditions
  Shortage shortage = Shortage::kCapacity;  // what a 503 is for want of
  std::uint64_t chance = 0;                 // random bits, for the jitter of Retry-After (+0..20 %)
  Duration retry_after{0};  // for a 429 or 503 of ErrorAnswer and UpstreamErrorAnswer; 0: not said
};

// 4xx and 5xx with our own page or problem document (RFC 9457), Cache-Control: no-store. A 404 is
// like any other 404, with neither `detail` nor rule: who hides a path does not say so.
Answer ErrorAnswer(int status, std::string_view detail, const AnswerContext& context);
// 429 (or the rule's status) with Retry-After, RateLimit and RateLimit-Policy
// (draft-ietf-httpapi-ratelimit-headers). With 404 it is a plain one, as above.
Answer OverLimitAnswer(const OverLimit& action, std::span<const LimitOutcome> limits,
                       std::span<const LimitInfo> names, const AnswerContext& context);
// The fields RateLimit and RateLimit-Policy for the limits a request was charged against.
void AppendRateLimitFields(std::span<const LimitOutcome> limits, std::span<const LimitInfo> names,
                           std::vector<std::pair<std::string, std::string>>* headers);
Answer RedirectAnswer(const Redirect& action, const AnswerContext& context);
// An X-Request-Id of the rule's own goes before ours.
Answer RespondAnswer(const Respond& action, const AnswerContext& context);
// A page that an operator gave (errors.page), or the built-in one when it is empty.
Answer UpstreamErrorAnswer(int status, std::string_view page, const AnswerContext& context);

// Replaces *out with the head of `answer`, as bytes for the client.
void WriteAnswerHead(const Answer& answer, bool close, bool client_is_1_0, WallTime now,
                     std::string* out);
// The same head as fields, without what belongs to a connection of HTTP/1. Views are of `answer`
// and *texts, to which it appends.
void ListAnswerFields(const Answer& answer, WallTime now, std::vector<HeaderField>* fields,
                      std::vector<std::string>* texts);
// The body that goes out behind it: none where the status allows none.
std::string_view BodyToSend(const Answer& answer);

}  // namespace spillway
