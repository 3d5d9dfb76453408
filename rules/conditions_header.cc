// SPDX-License-Identifier: MIT
// Conditions on header fields and cookies. A field that comes several times holds when one line
// does.
#include <string>

#include "rules/conditions.h"
#include "rules/scalars.h"

namespace spillway {
namespace {

Expression ReadHeader(ConditionReader& reader, const ConditionSlot& slot) {
  if (!IsToken(slot.name)) {
    slot.key.Fail("expected the name of a header field after 'header.', found " +
                  yaml::Quote(slot.name));
  }
  return ReadTest(
      reader,
      {.field = {.source = &source::kHeader, .name = LowerAscii(slot.name)}, .asks = slot.asks},
      slot.test);
}

Expression ReadCookie(ConditionReader& reader, const ConditionSlot& slot) {
  if (!IsToken(slot.name)) {
    slot.key.Fail("expected the name of a cookie after 'cookie.', found " + yaml::Quote(slot.name));
  }
  return ReadTest(
      reader,
      {.field = {.source = &source::kCookie, .name = std::string(slot.name)}, .asks = slot.asks},
      slot.test);
}

Expression ReadUserAgent(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadTest(
      reader,
      {.field = {.source = &source::kHeader, .name = "user-agent", .letter_case = Case::kFold},
       .asks = slot.asks},
      slot.test);
}

Expression ReadReferer(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadTest(
      reader,
      {.field = {.source = &source::kHeader, .name = "referer", .letter_case = Case::kFold},
       .asks = slot.asks},
      slot.test);
}

constexpr Source kHeaderCount{
    .name = "header_count",
    .form = Source::Form::kNumber,
    .cost = Source::Cost::kNone,
    .lets = Source::Lets::kMany,
    .number = [](const Scene& scene, const FieldId&) -> std::optional<std::uint64_t> {
      return scene.request.headers.size();
    }};

Expression ReadHeaderCount(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadTest(reader,
                  {.field = {.source = &kHeaderCount}, .asks = slot.asks, .range = &ParseOneNumber},
                  slot.test);
}

constexpr Condition kHeaderConditions[] = {
    {"header.NAME",
     "value, list or map of operators",
     "any line of this header field is one of these, with case",
     &ReadHeader,
     {.text = true, .presence = true, .host = true}},
    {"cookie.NAME",
     "value, list or map of operators",
     "any cookie of this name is one of these, as sent, with case",
     &ReadCookie,
     {.text = true, .presence = true}},
    {"user_agent",
     "value, list or map of operators",
     "the User-Agent is one of these, without case",
     &ReadUserAgent,
     {.text = true, .presence = true}},
    {"referer",
     "value, list or map of operators",
     "the Referer is one of these, without case",
     &ReadReferer,
     {.text = true, .presence = true, .host = true}},
    {"header_count",
     "integer, list or map of operators",
     "the request has so many header fields",
     &ReadHeaderCount,
     {.number = true}},
};

}  // namespace

std::span<const Condition> HeaderConditions() {
  return kHeaderConditions;
}

}  // namespace spillway
