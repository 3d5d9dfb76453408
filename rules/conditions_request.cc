// SPDX-License-Identifier: MIT
// Conditions on the request line: method, host, path, query, scheme, protocol.
#include <algorithm>
#include <iterator>
#include <string>

#include "rules/conditions.h"
#include "rules/scalars.h"
#include "spillway/target.h"

namespace spillway {
namespace {

// The first ones are what an error offers; the others are legal too (what the parser lets through).
constexpr std::string_view kMethods[] = {
    "GET",    "HEAD",       "POST",     "PUT",       "DELETE",      "CONNECT",   "OPTIONS",
    "TRACE",  "PATCH",      "PROPFIND", "PROPPATCH", "MKCOL",       "COPY",      "MOVE",
    "LOCK",   "UNLOCK",     "SEARCH",   "REPORT",    "CHECKOUT",    "MERGE",     "BIND",
    "UNBIND", "REBIND",     "ACL",      "PURGE",     "LINK",        "UNLINK",    "NOTIFY",
    "SOURCE", "MKACTIVITY", "M-SEARCH", "SUBSCRIBE", "UNSUBSCRIBE", "MKCALENDAR"};
constexpr std::size_t kCommonMethods = 9;
constexpr std::string_view kSchemes[] = {"http", "https"};
constexpr std::string_view kProtocols[] = {"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"};

constexpr Source kScheme{
    .name = "scheme",
    .form = Source::Form::kText,
    .cost = Source::Cost::kNone,
    .lets = Source::Lets::kMany,
    .text = [](const Scene& scene) { return std::optional(scene.request.scheme); }};
constexpr Source kProtocol{
    .name = "protocol",
    .form = Source::Form::kText,
    .cost = Source::Cost::kNone,
    .lets = Source::Lets::kMany,
    .text = [](const Scene& scene) { return std::optional(scene.request.protocol); }};

// The value when it is one of `legal`; otherwise the lesson.
Result<std::string> OneOf(std::string_view value, std::string_view what,
                          std::span<const std::string_view> legal, std::size_t offered) {
  if (std::find(legal.begin(), legal.end(), value) != legal.end()) return std::string(value);
  const std::vector<std::string> names(legal.begin(),
                                       legal.begin() + static_cast<std::ptrdiff_t>(offered));
  return Fail("unknown " + std::string(what) + " " + yaml::Quote(value) +
              yaml::ExpectedOneOf(value, names));
}

Result<std::string> CheckMethod(std::string_view value, bool) {
  return OneOf(value, "method", kMethods, kCommonMethods);
}

Result<std::string> CheckScheme(std::string_view value, bool) {
  return OneOf(value, "scheme", kSchemes, std::size(kSchemes));
}

Result<std::string> CheckProtocol(std::string_view value, bool) {
  return OneOf(value, "protocol", kProtocols, std::size(kProtocols));
}

// A path that no normalised path can be, or begin with, would make a rule that never matches.
Result<std::string> CheckPath(std::string_view value, bool and_more) {
  if (value == "*") return std::string(value);
  if (!value.starts_with('/'))
    return Fail("the path " + yaml::Quote(value) + " does not begin with '/'");
  const std::string whole = std::string(value) + (and_more ? "x" : "");
  std::string normal;
  if (!NormalisePath(whole, &normal)) {
    return Fail("the path " + yaml::Quote(value) + " has a NUL byte, which no request may have");
  }
  if (normal == whole) return std::string(value);
  if (and_more) normal.pop_back();
  return Fail("paths are compared in their normal form, which is never like " + yaml::Quote(value) +
              "; write " + yaml::Quote(normal));
}

Expression ReadMethod(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadTest(reader,
                  {.field = {.source = &source::kMethod}, .asks = slot.asks, .check = &CheckMethod},
                  slot.test);
}

Expression ReadHost(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadTest(
      reader, {.field = {.source = &source::kHost, .letter_case = Case::kFold}, .asks = slot.asks},
      slot.test);
}

Expression ReadPath(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadTest(reader,
                  {.field = {.source = &source::kPath}, .asks = slot.asks, .check = &CheckPath},
                  slot.test);
}

Expression ReadQuery(ConditionReader& reader, const ConditionSlot& slot) {
  if (slot.name.empty()) slot.key.Fail("expected the name of a query parameter after 'query.'");
  return ReadTest(
      reader,
      {.field = {.source = &source::kQuery, .name = std::string(slot.name)}, .asks = slot.asks},
      slot.test);
}

Expression ReadScheme(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadTest(reader, {.field = {.source = &kScheme}, .asks = slot.asks, .check = &CheckScheme},
                  slot.test);
}

Expression ReadProtocol(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadTest(reader,
                  {.field = {.source = &kProtocol}, .asks = slot.asks, .check = &CheckProtocol},
                  slot.test);
}

constexpr Condition kRequestConditions[] = {
    {"method",
     "value, list or map of operators",
     "the method is one of these, in exact case",
     &ReadMethod,
     {.text = true, .words = kMethods}},
    {"host",
     "value, list or map of operators",
     "the request's host is one of these; *.example.com is any sub-domain, not the apex",
     &ReadHost,
     {.text = true, .presence = true, .host = true}},
    {"path",
     "request path, list or map of operators",
     "the normalised path is one of these, with case",
     &ReadPath,
     {.text = true}},
    {"query.NAME",
     "value, list or map of operators",
     "any value of this query parameter is one of these, decoded, with case",
     &ReadQuery,
     {.text = true, .presence = true}},
    {"scheme",
     "http | https",
     "the scheme as the client sees it",
     &ReadScheme,
     {.text = true, .words = kSchemes}},
    {"protocol",
     "HTTP/1.0 | HTTP/1.1 | HTTP/2.0",
     "the version of HTTP the client speaks",
     &ReadProtocol,
     {.text = true, .words = kProtocols}},
};

}  // namespace

std::span<const Condition> RequestConditions() {
  return kRequestConditions;
}

}  // namespace spillway
