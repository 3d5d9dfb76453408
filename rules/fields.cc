// SPDX-License-Identifier: MIT
#include "rules/fields.h"

#include <algorithm>
#include <utility>

#include "rules/cookies.h"
#include "spillway/target.h"
#include "spillway/text.h"

namespace spillway {
namespace {

// As in a submitted form: "+" is a space, "%41" is "A", a lone "%" is itself. Copies only when it
// must.
std::string_view DecodeForm(std::string_view text, std::string* out) {
  if (std::none_of(text.begin(), text.end(), [](char c) { return c == '%' || c == '+'; })) {
    return text;
  }
  out->clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      *out += ' ';
    } else if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
               HexDigit(text[i + 2]) >= 0) {
      *out += static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      *out += text[i];
    }
  }
  return *out;
}

std::string_view TakeUntil(char separator, std::string_view* rest) {
  const std::size_t end = rest->find(separator);
  const std::string_view part = rest->substr(0, end);
  rest->remove_prefix(end == std::string_view::npos ? rest->size() : end + 1);
  return part;
}

// The host of "https://user@Example.com:443/x", of "Example.com:443" or of "Example.com":
// "example.com".
std::optional<std::string_view> HostOf(std::string_view value, std::string* out) {
  if (const std::size_t slashes = value.find("://"); slashes != std::string_view::npos) {
    value.remove_prefix(slashes + 3);
    // One by one: for so few bytes the standard's searches cost ten times as much.
    std::size_t begin = 0, end = 0;
    for (; end < value.size(); ++end) {
      const char c = value[end];
      if (c == '/' || c == '?' || c == '#' || c == '\\') break;
      if (c == '@') begin = end + 1;
    }
    value = value.substr(begin, end - begin);
  }
  if (!NormaliseHost(value, out)) return std::nullopt;
  return *out;
}

}  // namespace

FieldMatcher::FieldMatcher(FieldId field)
    : id(std::move(field)),
      exact(id.letter_case),
      prefixes(End::kFront, id.letter_case),
      suffixes(End::kBack, id.letter_case),
      words(id.letter_case),
      expressions(id.letter_case) {}

std::string NameOf(const FieldId& field) {
  if (field.source == &source::kHeader && field.name == "user-agent") return "user_agent";
  if (field.source == &source::kHeader && field.name == "referer") return "referer";
  std::string name(field.source->name);
  if (const std::size_t at = name.find("NAME"); at != std::string::npos)
    name.replace(at, 4, field.name);
  return name;
}

std::string_view HeaderNameOf(const FieldId& field) {
  if (field.source->of_response) return {};
  if (field.source->form == Source::Form::kHeader) return field.name;
  if (field.source->form == Source::Form::kCookie) return kCookieField;
  return {};
}

std::optional<std::string_view> FirstValue(const FieldId& field, const Scene& scene,
                                           MatchScratch* scratch) {
  return FieldValues(field, scene, scratch).Next();
}

FieldMatcher& Fields::field(const FieldId& id) {
  for (FieldMatcher& matcher : matchers_) {
    if (matcher.id == id) return matcher;
  }
  return matchers_.emplace_back(id);
}

std::uint32_t Fields::NewTest(const FieldId& id, Stage stage) {
  const auto index = static_cast<std::uint32_t>(&field(id) - matchers_.data());
  stage_of_.push_back(index * kStages + static_cast<std::uint32_t>(stage));
  return tests() - 1;
}

namespace {

// Above all that people write by hand.
constexpr int kManySteps = 1000;
// Each costs a fraction of a microsecond for every value that was not seen before.
constexpr std::size_t kManyUnfiltered = 16;
constexpr std::size_t kMostSlow = 20;  // warnings of one field

void Warn(const ExpressionPlace& place, const std::string& why, Diagnostics* warnings) {
  const std::string list = place.list.empty() ? "" : place.list + ": ";
  warnings->push_back(place.node.About("warning: " + list + "the expression " +
                                       yaml::Quote(place.text) + " " + why));
}

// Nothing of this is wrong: but whoever sends requests chooses the texts.
void WarnOfSlow(const FieldMatcher& matcher, Diagnostics* warnings) {
  const std::vector<ExpressionPlace>& places = matcher.expression_places;
  std::size_t told = 0;
  for (std::size_t i = 0; i < places.size() && told < kMostSlow; ++i) {
    const int steps = matcher.expressions.StepsOf(i);
    const std::string slow = matcher.expressions.SlowPartOf(i);
    if (steps <= kManySteps && slow.empty()) continue;
    ++told;
    // Some 10 us for each byte, and 20 ms for a user agent of 2,000, were measured.
    Warn(places[i],
         slow.empty() ? "is large: a text can be made for which " + std::to_string(steps) +
                            " steps are taken for each byte (" + std::to_string(kManySteps) +
                            " are much); use a shorter one, or several"
                      : "can be slow by its " + yaml::Quote(slow) +
                            ", which a text can begin again and again before it is over, so that "
                            "each byte takes microseconds; count to less than " +
                            std::to_string(kManyTimes) + ", or not at all (* or +), or begin it " +
                            "with ^ or with something that cannot be in it",
         warnings);
  }
  const std::span<const int> unfiltered = matcher.expressions.unfiltered();
  if (unfiltered.size() <= kManyUnfiltered) return;
  const auto first =
      static_cast<std::size_t>(*std::min_element(unfiltered.begin(), unfiltered.end()));
  if (first >= places.size()) return;
  Warn(places[first],
       "and " + std::to_string(unfiltered.size() - 1) + " others on " + NameOf(matcher.id) +
           " can match without any plain text of three bytes that could be looked for first, so "
           "that all of them are tried on each value (" +
           std::to_string(kManyUnfiltered) +
           " are much); join them by |, or write out more of "
           "what they seek",
       warnings);
}

}  // namespace

bool Fields::Build(std::string* error, Diagnostics* warnings) {
  for (FieldMatcher& matcher : matchers_) {
    matcher.asked = {};
    matcher.prefixes.Build();
    matcher.suffixes.Build();
    matcher.addresses.Build();
    if (!matcher.words.Build()) {
      *error = "the words that `contains` seeks in one field need more than " +
               std::to_string(LiteralSet::kMaxBytes >> 20) + " MiB together; use fewer of them";
      return false;
    }
    if (!matcher.expressions.empty() && !matcher.expressions.Build()) {
      *error =
          "the expressions on one field need more than " +
          std::to_string(PatternSet::kMaxMemory >> 20) +
          " MiB together; use fewer or simpler ones (counted repetitions such as {500} are large)";
      return false;
    }
    if (!matcher.expressions.empty() && warnings != nullptr) WarnOfSlow(matcher, warnings);
    matcher.expression_places = {};
  }
  return true;
}

void Fields::AddHeaderNames(std::vector<std::string>* names) const {
  for (const FieldMatcher& matcher : matchers_) {
    if (const std::string_view name = HeaderNameOf(matcher.id); !name.empty())
      names->emplace_back(name);
  }
}

std::optional<std::string_view> FieldValues::NextText() {
  if (std::exchange(done_, true)) return std::nullopt;
  return field_.source->text(scene_);
}

std::optional<std::string_view> FieldValues::NextHost() {
  while (const std::optional<std::string_view> value = NextHeader(field_.name)) {
    if (const auto host = HostOf(*value, &scratch_->text)) return host;
  }
  return std::nullopt;
}

// Over all Cookie lines; a value in double quotes is taken as it stands, quotes included.
std::optional<std::string_view> FieldValues::NextCookie() {
  while (true) {
    if (const auto value = TakeCookie(&rest_, field_.name)) return value;
    const std::optional<std::string_view> line = NextHeader(kCookieField);
    if (!line) return std::nullopt;
    rest_ = *line;
  }
}

std::optional<std::string_view> FieldValues::NextQuery() {
  while (!rest_.empty()) {
    std::string_view value = TakeUntil('&', &rest_);
    // Most have another name by their first byte, unless that is encoded.
    if (!value.empty() && !field_.name.empty() && value[0] != field_.name[0] && value[0] != '%' &&
        value[0] != '+') {
      continue;
    }
    const std::string_view name = TakeUntil('=', &value);
    if (DecodeForm(name, &scratch_->name) == field_.name) return DecodeForm(value, &scratch_->text);
  }
  return std::nullopt;
}

}  // namespace spillway
