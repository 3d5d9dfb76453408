// SPDX-License-Identifier: MIT
// Where the value that a condition asks about comes from: a row for each, beside the conditions or
// (for those that others ask about, too) here. A new condition so brings its source with it.
//
// Thread rule: constants. A source is known by its address.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "spillway/request.h"
#include "spillway/surroundings.h"
#include "spillway/units.h"

namespace spillway {

// All that a source may look at. Borrowed for the judging of one request.
struct Scene {
  const Request& request;
  std::optional<WallTime> wall = {};
  const Surroundings* surroundings = nullptr;  // null: nothing is known of them
  const Response* response = nullptr;          // null: there is none yet
};

struct FieldId;  // rules/fields.h

struct Source {
  enum class Form : std::uint8_t {
    kText,     // at most one text
    kHeader,   // the lines of the header field that FieldId::name says
    kCookie,   // the cookies of that name
    kQuery,    // the parameters of that name
    kAddress,  // the client's address, and it alone
    kNumber,   // at most one number
  };
  // How dear it is to know the value and look it up: of several conditions that must all hold, the
  // cheap ones are asked first. Searching for words or expressions is dearer than any of these, but
  // for kDearest.
  enum class Cost : std::uint8_t { kNone, kLittle, kHeaders, kCookies, kQuery, kDearest = 9 };
  // How few requests a test lets through, as a rule of thumb.
  // kUnasked: it is not to be asked before all else that must hold is known to, as the answer is
  // dear.
  enum class Lets : std::uint8_t { kFewest, kVeryFew, kFew, kSome, kMany, kUnasked = 9 };

  // As a rule says it; NAME stands for FieldId::name.
  std::string_view name;
  Form form;
  Cost cost;
  Lets lets;
  std::optional<std::string_view> (*text)(const Scene& scene) = nullptr;  // kText
  std::optional<std::uint64_t> (*number)(const Scene& scene,
                                         const FieldId& id) = nullptr;  // kNumber
  bool of_response = false;  // kHeader: the field is one of the answer
};

namespace source {

// A text that may be missing; then it is empty.
inline std::optional<std::string_view> UnlessEmpty(std::string_view text) {
  if (text.empty()) return std::nullopt;
  return text;
}

inline constexpr Source kMethod{
    .name = "method",
    .form = Source::Form::kText,
    .cost = Source::Cost::kNone,
    .lets = Source::Lets::kMany,
    .text = [](const Scene& scene) { return std::optional(scene.request.method); }};
inline constexpr Source kPath{
    .name = "path",
    .form = Source::Form::kText,
    .cost = Source::Cost::kLittle,
    .lets = Source::Lets::kFewest,
    .text = [](const Scene& scene) { return std::optional(scene.request.path); }};
inline constexpr Source kHost{
    .name = "host",
    .form = Source::Form::kText,
    .cost = Source::Cost::kLittle,
    .lets = Source::Lets::kSome,
    .text = [](const Scene& scene) { return UnlessEmpty(scene.request.host); }};
inline constexpr Source kJa4{
    .name = "tls.ja4",
    .form = Source::Form::kText,
    .cost = Source::Cost::kLittle,
    .lets = Source::Lets::kFew,
    .text = [](const Scene& scene) { return UnlessEmpty(scene.request.ja4); }};
inline constexpr Source kAddress{.name = "client.address",
                                 .form = Source::Form::kAddress,
                                 .cost = Source::Cost::kLittle,
                                 .lets = Source::Lets::kVeryFew};
// Known by those who have the files.
inline constexpr Source kCountry{.name = "client.country",
                                 .form = Source::Form::kText,
                                 .cost = Source::Cost::kQuery,
                                 .lets = Source::Lets::kUnasked,
                                 .text = [](const Scene& scene) -> std::optional<std::string_view> {
                                   if (scene.surroundings == nullptr) return std::nullopt;
                                   return scene.surroundings->Country(scene.request.client);
                                 }};
inline constexpr Source kNetwork{
    .name = "client.asn",
    .form = Source::Form::kNumber,
    .cost = Source::Cost::kQuery,
    .lets = Source::Lets::kUnasked,
    .number = [](const Scene& scene, const FieldId&) -> std::optional<std::uint64_t> {
      if (scene.surroundings == nullptr) return std::nullopt;
      return scene.surroundings->Network(scene.request.client);
    }};
inline constexpr Source kHeader{.name = "header.NAME",
                                .form = Source::Form::kHeader,
                                .cost = Source::Cost::kHeaders,
                                .lets = Source::Lets::kFew};
inline constexpr Source kCookie{.name = "cookie.NAME",
                                .form = Source::Form::kCookie,
                                .cost = Source::Cost::kCookies,
                                .lets = Source::Lets::kFew};
inline constexpr Source kQuery{.name = "query.NAME",
                               .form = Source::Form::kQuery,
                               .cost = Source::Cost::kQuery,
                               .lets = Source::Lets::kFew};

}  // namespace source

}  // namespace spillway
