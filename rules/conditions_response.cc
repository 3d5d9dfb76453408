// SPDX-License-Identifier: MIT
// Conditions on what a server answered: for rules that say `when: response`.
#include <string>

#include "rules/conditions.h"
#include "rules/scalars.h"

namespace spillway {
namespace {

constexpr Source kStatus{
    .name = "response.status",
    .form = Source::Form::kNumber,
    .cost = Source::Cost::kNone,
    .lets = Source::Lets::kFew,
    .number = [](const Scene& scene, const FieldId&) -> std::optional<std::uint64_t> {
      if (scene.response == nullptr) return std::nullopt;
      return static_cast<std::uint64_t>(scene.response->status);
    }};
constexpr Source kResponseHeader{.name = "response.header.NAME",
                                 .form = Source::Form::kHeader,
                                 .cost = Source::Cost::kHeaders,
                                 .lets = Source::Lets::kFew,
                                 .of_response = true};

// "404", or "5xx" for all that begin so.
Result<NumberRange> ParseStatus(std::string_view text) {
  const bool class_of = text.size() == 3 && text.ends_with("xx");
  const Result<std::uint64_t> number =
      ParseInteger(class_of ? std::string(text.substr(0, 1)) + "00" : std::string(text));
  if (number && *number >= 200 && *number <= 599) {
    return NumberRange{*number, *number + (class_of ? 99 : 0)};
  }
  return Fail(yaml::Quote(text) +
              " is no status of an answer; expected one such as 404, from 200 to 599, or a class "
              "of them such as 5xx");
}

Expression ReadStatus(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadTest(reader, {.field = {.source = &kStatus}, .asks = slot.asks, .range = &ParseStatus},
                  slot.test);
}

Expression ReadHeader(ConditionReader& reader, const ConditionSlot& slot) {
  if (!IsToken(slot.name)) {
    slot.key.Fail("expected the name of a header field after 'response.header.', found " +
                  yaml::Quote(slot.name));
  }
  return ReadTest(
      reader,
      {.field = {.source = &kResponseHeader, .name = LowerAscii(slot.name)}, .asks = slot.asks},
      slot.test);
}

constexpr Condition kResponseConditions[] = {
    {"response.status",
     "status, list or map of operators",
     "the server answered with one of these: 404, or 5xx for a class",
     &ReadStatus,
     {.number = true, .response = true}},
    {"response.header.NAME",
     "value, list or map of operators",
     "any line of this header field of the answer is one of these, with case",
     &ReadHeader,
     {.text = true, .presence = true, .host = true, .response = true}},
};

}  // namespace

std::span<const Condition> ResponseConditions() {
  return kResponseConditions;
}

}  // namespace spillway
