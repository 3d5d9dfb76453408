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

// An answer as it goes out: its fields are kept as the bytes that they are in HTTP/1, so that
// those which never change are copied whole.
struct AnswerMould;

struct Answer {
  int status = 200;
  std::string_view content_type{};  // a literal, or the policy's: it is sent as it stands
  std::string fields{};             // "Name: value\r\n" each, beside Content-Type and -Length
  std::string body{};
  // Made ready: `fields` and `body` are those of the mould, with these values. See Complete.
  AnswerMould* mould = nullptr;
  BlankValues values{};

  // A field of any text: what cannot stand in a value becomes a space; what has no name of a field,
  // or one that WriteAnswerHead says itself, is left out.
  void Add(std::string_view name, std::string_view value);
};

// Of answers that differ in little.
struct AnswerMould {
  Mould fields, body;
  Mould message;      // all of it, as it goes to a client of HTTP/1.1
  LastNumber length;  // of the last message's body
};

// Whole seconds, rounded up.
std::uint64_t CeilSeconds(Duration span);
// Up to a fifth longer than `wait` by `chance`, so that the refused don't all come back together. At
// least a second.
std::uint64_t RetrySeconds(Duration wait, std::uint64_t chance);
// An Integer of structured fields has 15 digits at most.
std::uint64_t SfInteger(std::uint64_t value);

struct AnswerContext {
  Audience audience = Audience::kClient;
  std::string_view request_id{};            // plain: it is a field's value as it stands
  std::string_view rule{};                  // the rule's name, or empty; never its conditions
  Shortage shortage = Shortage::kCapacity;  // what a 503 is for want of
  std::uint64_t chance = 0;                 // random bits, for the jitter of Retry-After (+0..20 %)
  Duration retry_after{0};  // for a 429 or 503 of ErrorAnswer and UpstreamErrorAnswer; 0: not said
};

// How a limit is told of, in the words of draft-ietf-httpapi-ratelimit-headers; made once, at load.
struct LimitWords {
  std::string json;    // its name, in JSON
  std::string quoted;  // its name, as a String of structured fields
  std::string policy;  // its RateLimit-Policy
};
LimitWords WordsFor(const LimitInfo& limit);

// Each of these replaces all that *answer said, in the memory that it has. They write:
//
// 4xx and 5xx with our own page or problem document (RFC 9457), Cache-Control: no-store. A 404 is
// like any other 404, with neither `detail` nor rule: who hides a path does not say so.
void SayError(int status, std::string_view detail, const AnswerContext& context, Answer* answer);
// 429 (or the rule's status) with Retry-After, RateLimit and RateLimit-Policy. With 404 it is a
// plain one, as above. `words`: by index into Policy::limits(). `mould`: of what is not a page, by
// a request with an id; its blanks are noted, and left open in *answer.
void SayOverLimit(const OverLimit& action, std::span<const LimitOutcome> limits,
                  std::span<const LimitWords> words, const AnswerContext& context, Answer* answer,
                  AnswerMould* mould = nullptr);
void SayRedirect(const Redirect& action, const AnswerContext& context, Answer* answer);
// An X-Request-Id of the rule's own goes before ours.
void SayResponse(const Respond& action, const AnswerContext& context, Answer* answer);

// The fields RateLimit and RateLimit-Policy for the limits a request was charged against.
void AppendRateLimitFields(std::span<const LimitOutcome> limits, std::span<const LimitWords> words,
                           std::vector<std::pair<std::string, std::string>>* headers);
// SayError's, in an answer of its own.
Answer ErrorAnswer(int status, std::string_view detail, const AnswerContext& context);
// A page that an operator gave (errors.page), or the built-in one when it is empty.
Answer UpstreamErrorAnswer(int status, std::string_view page, const AnswerContext& context);

// Replaces *out with the head of `answer`, as bytes for the client. `date`: see HttpDate.
void WriteAnswerHead(const Answer& answer, bool close, bool client_is_1_0, std::string_view date,
                     std::string* out);
// The same head as fields, without what belongs to a connection of HTTP/1. Views are of `answer`,
// `date` and *length; it replaces both.
void ListAnswerFields(const Answer& answer, std::string_view date, std::vector<HeaderField>* fields,
                      std::string* length);
// The body that goes out behind it: none where the status allows none.
std::string_view BodyToSend(const Answer& answer);

// What was made ready, written: the answer has a mould no more. All above want it so.
void Complete(Answer* answer);
// How much of a body goes out, with a mould or without.
std::size_t BodySize(const Answer& answer);
// Fills in the mould's `message`. REQUIRES: its other parts are there; `answer` is the one that they
// were made of.
void MakeMessage(const Answer& answer, AnswerMould* mould);
// The whole answer for a client of HTTP/1.1; it lasts until the next one of the same mould. REQUIRES:
// it has one.
std::string_view MessageOf(const Answer& answer, bool close, std::string_view date);

}  // namespace spillway
