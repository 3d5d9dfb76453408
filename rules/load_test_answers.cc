// SPDX-License-Identifier: MIT
// `tests[].answer`: what a server that nobody asked says, part by part: to be judged by the rules on
// responses.
#include <span>

#include "rules/draft.h"
#include "rules/kind_row.h"
#include "rules/meant.h"

namespace spillway {
namespace {

constexpr std::uint64_t kLeastStatus = 200, kGreatestStatus = 599;

using PartFunction = void(AnswerTexts* answer, const PartSlot& slot);

void ReadStatus(const yaml::Node& node, AnswerTexts* answer) {
  if (const auto status = ReadInteger(node, kLeastStatus, kGreatestStatus)) {
    answer->status = static_cast<int>(*status);
  }
}

void ReadStatusPart(AnswerTexts* answer, const PartSlot& slot) {
  ReadStatus(slot.value, answer);
}

void ReadHeader(AnswerTexts* answer, const PartSlot& slot) {
  if (!IsToken(slot.name)) {
    slot.key.Fail("expected the name of a header field after 'header.', found " +
                  yaml::Quote(slot.name));
  } else {
    ReadFieldLines(slot.name, slot.value, &answer->headers);
  }
}

constexpr KindRow<PartFunction> kParts[] = {
    {"status", "integer 200..599", "the status; without it 200", &ReadStatusPart},
    {"header.NAME", "value, list of values", "this header field, a line for each value",
     &ReadHeader},
};

void ReadPart(AnswerTexts* answer, const yaml::Node& map, const yaml::Node& key,
              const yaml::Node& value) {
  std::string_view name;
  for (const KindRow<PartFunction>& row : kParts) {
    if (Covers(row, key.text(), &name)) return row.parse(answer, {key, name, value});
  }
  std::vector<std::string> legal;
  AppendNames(std::span<const KindRow<PartFunction>>(kParts), &legal);
  key.Fail(UnknownIn(map, "part of an answer", key.text(), std::move(legal)));
}

void ReadAnswer(const yaml::Node& node, std::vector<AnswerTexts>* answers) {
  AnswerTexts& answer = answers->emplace_back();
  if (node.is_scalar()) return ReadStatus(node, &answer);
  if (!node.is_map()) {
    node.Fail(
        "expected a status such as 401, or a map such as { status: 401, header.x-failed: \"1\" }, "
        "found " +
        Found(node));
    return;
  }
  for (const auto& [key, value] : node.Entries()) ReadPart(&answer, node, key, value);
}

}  // namespace

void ReadTestAnswers(const yaml::Node& node, std::vector<AnswerTexts>* answers) {
  if (!node.is_list()) return ReadAnswer(node, answers);
  const std::vector<yaml::Node> items = node.Items();
  if (items.empty() || items.size() > kMostAnswers) {
    node.Fail("expected 1 to " + std::to_string(kMostAnswers) +
              " answers, such as [401, 401, 200], found " + std::to_string(items.size()));
    return;
  }
  for (const yaml::Node& item : items) ReadAnswer(item, answers);
}

void AppendAnswerKinds(std::vector<Kind>* kinds) {
  AppendKinds("answer", std::span<const KindRow<PartFunction>>(kParts), kinds);
}

}  // namespace spillway
