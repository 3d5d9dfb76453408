// SPDX-License-Identifier: MIT
// Conditions on header fields and cookies. A field that comes several times holds when one line
// does.
#include <string>

#include "rules/conditions.h"
#include "rules/scalars.h"

namespace spillway {
namespace {

Expression ReadHeader(ConditionReader& reader, const yaml::Node& key, std::string_view name,
                      const yaml::Node& test) {
  if (!IsToken(name))
    key.Fail("expected the name of a header field after 'header.', found " + yaml::Quote(name));
  return ReadTest(reader,
                  {.field = {.source = Source::kHeader, .name = LowerAscii(name)},
                   .may_be_missing = true,
                   .has_host = true},
                  test);
}

Expression ReadCookie(ConditionReader& reader, const yaml::Node& key, std::string_view name,
                      const yaml::Node& test) {
  if (!IsToken(name))
    key.Fail("expected the name of a cookie after 'cookie.', found " + yaml::Quote(name));
  return ReadTest(
      reader,
      {.field = {.source = Source::kCookie, .name = std::string(name)}, .may_be_missing = true},
      test);
}

Expression ReadUserAgent(ConditionReader& reader, const yaml::Node&, std::string_view,
                         const yaml::Node& test) {
  return ReadTest(
      reader,
      {.field = {.source = Source::kHeader, .name = "user-agent", .letter_case = Case::kFold},
       .may_be_missing = true},
      test);
}

Expression ReadReferer(ConditionReader& reader, const yaml::Node&, std::string_view,
                       const yaml::Node& test) {
  return ReadTest(
      reader,
      {.field = {.source = Source::kHeader, .name = "referer", .letter_case = Case::kFold},
       .may_be_missing = true,
       .has_host = true},
      test);
}

constexpr Condition kHeaderConditions[] = {
    {"header.NAME", "value, list or map of operators",
     "any line of this header field is one of these, with case", &ReadHeader},
    {"cookie.NAME", "value, list or map of operators",
     "any cookie of this name is one of these, as sent, with case", &ReadCookie},
    {"user_agent", "value, list or map of operators",
     "the User-Agent is one of these, without case", &ReadUserAgent},
    {"referer", "value, list or map of operators", "the Referer is one of these, without case",
     &ReadReferer},
};

}  // namespace

std::span<const Condition> HeaderConditions() {
  return kHeaderConditions;
}

}  // namespace spillway
