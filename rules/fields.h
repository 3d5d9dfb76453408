// SPDX-License-Identifier: MIT
// What of a request is looked at, and all tests on it compiled together: one field of the request
// is read and searched once, however many rules ask about it, and only when one does.
//
//   path  -> [ lookups: equal, begin, end ] [ words ] [ expressions ]  -> numbers of the tests that
//   hold
//
// Each of the three is a stage that runs by itself, the cheap ones first. Add all tests, Build,
// then only Run (any thread).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rules/address_set.h"
#include "rules/header_index.h"
#include "rules/literals.h"
#include "rules/number_set.h"
#include "rules/patterns.h"
#include "rules/sources.h"
#include "rules/text_index.h"
#include "rules/yaml.h"
#include "spillway/diagnostics.h"
#include "spillway/match_memo.h"
#include "spillway/request.h"

namespace spillway {

struct FieldId {
  const Source* source = &source::kPath;
  std::string name = {};        // of the header field (lower case), the cookie, ...
  std::uint64_t parameter = 0;  // what a source of numbers makes of it
  Case letter_case = Case::kExact;
  bool host_of = false;  // not the value but the host in it; of a header field
  friend bool operator==(const FieldId&, const FieldId&) = default;
};

// As a condition says it: "path", "header.accept-language".
std::string NameOf(const FieldId& field);

inline constexpr std::string_view kCookieField = "cookie";  // the header field of all cookies
// The name of the header field of requests that it is read from; empty where there is none.
std::string_view HeaderNameOf(const FieldId& field);

// Buffers that matching needs, kept from request to request by the caller.
struct MatchScratch {
  std::string text;  // a decoded value
  std::string name;  // a decoded name
  PatternScratch patterns;
  HeaderIndex headers;
  // The text that was hashed last, which its field's other half asks for next. The request's own
  // bytes stay as they are while it is judged; `text` does not.
  std::optional<std::string_view> hashed;
  WideHash hash;

  // REQUIRED before the first value of the next request is asked for. `expected`: the header
  // fields that it will be looked for in, as far as is known.
  void Reset(const HeaderNames& expected = HeaderNames::All()) {
    headers.Reset(expected);
    hashed.reset();
  }
};

inline const WideHash& HashOf(std::string_view text, const MatchMemo& memo, MatchScratch* scratch) {
  const bool known = scratch->hashed && text.data() == scratch->hashed->data() &&
                     text.size() == scratch->hashed->size() && text.data() != scratch->text.data();
  if (!known) scratch->hash = memo.Hash(text);
  scratch->hashed = text;
  return scratch->hash;
}

// The field's first value, when the request has one. Borrows from the request or from *scratch.
std::optional<std::string_view> FirstValue(const FieldId& field, const Scene& scene,
                                           MatchScratch* scratch);

enum class Stage : std::uint8_t { kLookup, kWords, kExpressions };
inline constexpr std::uint32_t kStages = 3;  // of each field

// Where an expression is written.
struct ExpressionPlace {
  yaml::Node node;   // the value, or the $name of the list that it is in
  std::string list;  // then the list's name and its place there
  std::string text;
};

struct FieldMatcher {
  explicit FieldMatcher(FieldId field);
  FieldId id;
  // What was asked already (an operator and its values), and the test that answers; empty once
  // built. Rules that ask the same share a test.
  std::unordered_map<std::string, std::uint32_t> asked;
  std::vector<std::uint32_t> present;  // tests that hold when there is a value at all
  ExactIndex exact;
  AffixIndex prefixes;
  AffixIndex suffixes;
  AddressSet addresses;  // kAddress only, and nothing else then
  NumberSet numbers;     // kNumber only, and beside it `present`
  LiteralSet words;
  PatternSet expressions;
  std::vector<ExpressionPlace> expression_places;  // by number; empty once built
};

class Fields {
 public:
  // A number for a test of `field` that `stage` decides; the caller then adds to field(id).
  std::uint32_t NewTest(const FieldId& id, Stage stage);
  FieldMatcher& field(const FieldId& id);
  // False with a reason: the tests on one field do not fit into the memory set for them. What fits but
  // may be slow is added to *warnings, unless that is null.
  bool Build(std::string* error, Diagnostics* warnings);

  std::uint32_t tests() const { return static_cast<std::uint32_t>(stage_of_.size()); }
  std::uint32_t stages() const { return static_cast<std::uint32_t>(matchers_.size()) * kStages; }
  std::uint32_t stage_of(std::uint32_t test) const { return stage_of_[test]; }
  const FieldId& field_of(std::uint32_t test) const {
    return matchers_[stage_of_[test] / kStages].id;
  }
  const Source& source_of(std::uint32_t test) const { return *field_of(test).source; }
  Stage kind_of(std::uint32_t test) const { return static_cast<Stage>(stage_of_[test] % kStages); }

  // The names of the header fields of requests that are looked at; some come twice.
  void AddHeaderNames(std::vector<std::string>* names) const;

  // Calls hit(test) for each test of the stage that holds, at least once. `memo` may be null.
  template <class OnHit>
  void Run(std::uint32_t stage, const Scene& scene, MatchScratch* scratch, MatchMemo* memo,
           OnHit&& hit) const;

 private:
  static MatchMemo::Half HalfOf(Stage stage) {
    return stage == Stage::kWords ? MatchMemo::Half::kFirst : MatchMemo::Half::kSecond;
  }
  template <class OnHit>
  static void Search(const FieldMatcher& matcher, Stage stage, std::string_view value,
                     MatchScratch* scratch, OnHit&& hit);
  // The same, unless it is remembered.
  template <class OnHit>
  void LookUp(std::uint32_t stage, std::string_view value, MatchScratch* scratch, MatchMemo* memo,
              OnHit&& hit) const;

  std::vector<FieldMatcher> matchers_;
  std::vector<std::uint32_t> stage_of_;  // test -> field * kStages + stage
};

// Walks the values of a field: `while (const auto value = values.Next()) ...`. Borrows all it is
// given.
class FieldValues {
 public:
  FieldValues(const FieldId& field, const Scene& scene, MatchScratch* scratch);
  std::optional<std::string_view> Next();

 private:
  std::optional<std::string_view> NextText();
  std::optional<std::string_view> NextHost();
  std::optional<std::string_view> NextHeader(std::string_view name) {
    while (places_.first < places_.end) {
      const HeaderField& header = headers_[places_.first++];
      if (EqualsIgnoreCase(header.name, name)) return header.value;
    }
    return std::nullopt;
  }
  std::optional<std::string_view> NextCookie();
  std::optional<std::string_view> NextQuery();

  const FieldId& field_;
  const Scene& scene_;
  MatchScratch* scratch_;
  std::span<const HeaderField> headers_;
  HeaderIndex::Places places_;  // of them, those that are left to look at
  std::string_view rest_;       // of the query, or of a Cookie header
  bool done_ = false;
};

inline FieldValues::FieldValues(const FieldId& field, const Scene& scene, MatchScratch* scratch)
    : field_(field), scene_(scene), scratch_(scratch), headers_(scene.request.headers) {
  if (field.source->of_response) {
    headers_ = scene.response == nullptr ? std::span<const HeaderField>() : scene.response->headers;
    places_.end = headers_.size();
  } else if (field.source->form == Source::Form::kHeader) {
    places_ = scratch->headers.Find(headers_, field.name);
  } else if (field.source->form == Source::Form::kCookie) {
    places_ = scratch->headers.Find(headers_, kCookieField);
  } else if (field.source->form == Source::Form::kQuery) {
    rest_ = scene.request.query;
  }
}

inline std::optional<std::string_view> FieldValues::Next() {
  switch (field_.source->form) {
    case Source::Form::kHeader:
      return field_.host_of ? NextHost() : NextHeader(field_.name);
    case Source::Form::kCookie:
      return NextCookie();
    case Source::Form::kQuery:
      return NextQuery();
    case Source::Form::kText:
      return NextText();
    case Source::Form::kAddress:
    case Source::Form::kNumber:
      break;
  }
  return std::nullopt;
}

template <class OnHit>
void Fields::Search(const FieldMatcher& matcher, Stage stage, std::string_view value,
                    MatchScratch* scratch, OnHit&& hit) {
  switch (stage) {
    case Stage::kLookup:
      for (const std::uint32_t test : matcher.present) hit(test);
      if (!matcher.exact.empty()) matcher.exact.Find(value, hit);
      if (!matcher.prefixes.empty()) matcher.prefixes.Find(value, hit);
      if (!matcher.suffixes.empty()) matcher.suffixes.Find(value, hit);
      break;
    case Stage::kWords:
      matcher.words.Find(value, &scratch->patterns.seen, hit);
      break;
    case Stage::kExpressions:
      matcher.expressions.Find(value, &scratch->patterns, hit);
      break;
  }
}

template <class OnHit>
void Fields::LookUp(std::uint32_t stage, std::string_view value, MatchScratch* scratch,
                    MatchMemo* memo, OnHit&& hit) const {
  const FieldMatcher& matcher = matchers_[stage / kStages];
  const auto kind = static_cast<Stage>(stage % kStages);
  // Lookups are as fast as remembering, and no longer text comes often.
  if (memo == nullptr || kind == Stage::kLookup || value.size() > MatchMemo::kMostText) {
    Search(matcher, kind, value, scratch, hit);
  } else if (const FewTests* known =
                 memo->Find(stage / kStages, HalfOf(kind), HashOf(value, *memo, scratch));
             known != nullptr) {
    known->ForEach(hit);
  } else {
    FewTests tests;
    bool few = true;
    Search(matcher, kind, value, scratch, [&](std::uint32_t test) {
      few = tests.Add(test) && few;
      hit(test);
    });
    if (few) memo->Learn(tests);
  }
}

template <class OnHit>
void Fields::Run(std::uint32_t stage, const Scene& scene, MatchScratch* scratch, MatchMemo* memo,
                 OnHit&& hit) const {
  const FieldMatcher& matcher = matchers_[stage / kStages];
  if (matcher.id.source->form == Source::Form::kAddress) {
    matcher.addresses.Find(scene.request.client, hit);
    return;
  }
  if (matcher.id.source->form == Source::Form::kText) {
    if (const std::optional<std::string_view> value = matcher.id.source->text(scene)) {
      LookUp(stage, *value, scratch, memo, hit);
    }
    return;
  }
  if (matcher.id.source->form == Source::Form::kNumber) {
    const std::optional<std::uint64_t> number = matcher.id.source->number(scene, matcher.id);
    if (!number) return;
    for (const std::uint32_t test : matcher.present) hit(test);
    matcher.numbers.Find(*number, hit);
    return;
  }
  FieldValues values(matcher.id, scene, scratch);
  while (const std::optional<std::string_view> value = values.Next()) {
    LookUp(stage, *value, scratch, memo, hit);
  }
}

}  // namespace spillway
