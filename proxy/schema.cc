// SPDX-License-Identifier: MIT
// The type column is a small language, and this is its second reader:
//
//   duration 1ms..1h          a shape (ListShapes), perhaps with its range
//   auto | integer 1..256     words as they are written, shapes with ranges, maps
//   name, list of names, or map           alternatives; "these" are those before it
//   map of names to maps or nothing       names are the user's; without "to": maps
//
// A map's keys are the rows whose names begin with its own.
#include "proxy/schema.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace spillway {
namespace {

constexpr std::string_view kUsersPart = "NAME";

std::vector<std::string> Split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  for (std::size_t at; (at = text.find(separator)) != std::string_view::npos;) {
    parts.emplace_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  parts.emplace_back(text);
  return parts;
}

// "name, list of names, or map" -> {"name", "list of names", "map"}
std::vector<std::string> SplitCommas(std::string_view text) {
  std::vector<std::string> parts = Split(text, ", ");
  for (std::string& part : parts) {
    if (part.starts_with("or ")) part.erase(0, 3);
  }
  return parts;
}

std::string Singular(std::string_view plural) {
  return std::string(plural.ends_with('s') ? plural.substr(0, plural.size() - 1) : plural);
}

bool IsBoolean(std::string_view type) {
  return type == "true | false" || type == "on | off";
}

// The same as a regular expression.
std::string Literally(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (std::string_view("\\^$.|?*+()[]{}").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

// "header.NAME" -> "^header\..+$"; "RTMIN+n" -> "^RTMIN\+[0-9]+$"; nothing for a plain word.
std::optional<std::string> PatternOf(std::string_view word) {
  constexpr std::string_view kNumbered = "+n";
  if (const std::size_t at = word.find(kUsersPart); at != std::string_view::npos) {
    return "^" + Literally(word.substr(0, at)) + ".+" +
           Literally(word.substr(at + kUsersPart.size())) + "$";
  }
  if (word.ends_with(kNumbered)) {
    return "^" + Literally(word.substr(0, word.size() - 1)) + "[0-9]+$";
  }
  return std::nullopt;
}

// A word, and what a reader of YAML who knows numbers makes of it: "1.2" may be 1.2.
void AddWord(std::string_view word, Json* values) {
  values->push_back(word);
  const std::optional<Json> number = ParseJson(word);
  if (number && number->is_number()) values->push_back(*number);
}

Json Null() {
  return {{"type", "null"}};
}

// A map or a list that may be left empty says so in its type: an editor then still says which of
// its parts is wrong, and not only that none of two shapes fits.
Json AnyOf(std::vector<Json> schemas) {
  if (schemas.size() == 2 && schemas[1] == Null() && schemas[0].contains("type")) {
    schemas[0]["type"] = {schemas[0]["type"], "null"};
    schemas.pop_back();
  }
  if (schemas.size() == 1) return std::move(schemas.front());
  return {{"anyOf", std::move(schemas)}};
}

Json ListOf(Json items) {
  return {{"type", "array"}, {"items", std::move(items)}};
}

class Maker {
 public:
  Maker(const std::vector<Kind>& kinds, const std::vector<Shape>& shapes)
      : kinds_(kinds), shapes_(shapes) {}

  Json Make(SchemaOf what) {
    Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}};
    const bool whole = what == SchemaOf::kFile;
    schema["title"] = whole ? "a configuration of spillway" : "an included file of spillway";
    schema.update(Map(Select(
        "key", [&](const Kind& kind) { return IsLeaf(kind.name) && (whole || kind.included); })));
    schema["$defs"] = std::move(definitions_);
    return schema;
  }

 private:
  using Rows = std::vector<std::pair<std::string, const Kind*>>;  // with the names inside their map

  static bool IsLeaf(std::string_view name) {
    return name.find_first_of(".[") == std::string_view::npos;
  }

  template <class Wanted>
  Rows Select(std::string_view group, Wanted wanted) const {
    Rows rows;
    for (const Kind& kind : kinds_) {
      if (kind.group == group && wanted(kind)) rows.emplace_back(kind.name, &kind);
    }
    return rows;
  }

  // The rows inside `map`, whether it stands alone, in a list or under the user's names.
  Rows Inside(const Kind& map) const {
    Rows rows;
    for (const Kind& kind : kinds_) {
      for (const char* between : {".", "[].", ".NAME."}) {
        const std::string prefix = map.name + between;
        const std::string_view group =
            map.group == "condition" ? std::string_view("condition_key") : map.group;
        if (kind.group != group || !kind.name.starts_with(prefix)) continue;
        const std::string leaf = kind.name.substr(prefix.size());
        if (IsLeaf(leaf)) rows.emplace_back(leaf, &kind);
      }
    }
    return rows;
  }

  Json Map(const Rows& rows) {
    Json properties = Json::object(), patterns = Json::object(), required = Json::array();
    for (const auto& [name, kind] : rows) {
      const bool family = name.find(kUsersPart) != std::string::npos;
      (family ? patterns[*PatternOf(name)] : properties[name]) = Described(*kind);
      if (kind->required) required.push_back(name);
    }
    Json map = {{"type", "object"}, {"properties", std::move(properties)}};
    if (!patterns.empty()) map["patternProperties"] = std::move(patterns);
    if (!required.empty()) map["required"] = std::move(required);
    map["additionalProperties"] = false;
    return map;
  }

  Json Described(const Kind& kind) {
    Json schema = {{"description", kind.text}};
    // Integers have their range in the schema; that of a duration can only be told.
    const bool told =
        kind.type.find("..") != std::string::npos && kind.type.find("integer") == std::string::npos;
    if (told) schema["description"] = kind.text + " (" + kind.type + ")";
    if (!kind.fallback.empty()) schema["default"] = DefaultOf(kind);
    schema.update(kind.group == "condition" ? Condition(kind) : Type(kind, kind.type));
    return schema;
  }

  static Json DefaultOf(const Kind& kind) {
    const bool value = IsBoolean(kind.type) || kind.type.starts_with("integer");
    if (value || kind.fallback == "[]") {
      if (std::optional<Json> json = ParseJson(kind.fallback)) return *json;
    }
    return kind.fallback;
  }

  // A schema of its own under a name; made when it is first asked for. The name is taken before
  // `make` runs, so that a schema may hold itself.
  template <class Make>
  Json Define(std::string_view name, Make make) {
    std::string key(name.substr(name.starts_with('$') ? 1 : 0));
    std::replace(key.begin(), key.end(), ' ', '_');
    if (!definitions_.contains(key)) {
      definitions_[key] = Json::object();
      Json made = make();
      definitions_[key] = std::move(made);
    }
    return {{"$ref", "#/$defs/" + key}};
  }

  const Shape* FindShape(std::string_view word) const {
    for (const Shape& shape : shapes_) {
      if (shape.word == word) return &shape;
    }
    return nullptr;
  }

  Json Shaped(const Shape& shape) {
    return Define(shape.word, [&]() -> Json {
      Json schema = {{"description", shape.text}, {"type", "string"}};
      if (shape.scalar == Shape::Scalar::kAny) schema["type"] = {"string", "number", "boolean"};
      if (shape.scalar == Shape::Scalar::kTextOrInteger) schema["type"] = {"string", "integer"};
      if (!shape.pattern.empty()) schema["pattern"] = shape.pattern;
      return schema;
    });
  }

  Json Boolean() {
    return Define("boolean", []() -> Json {
      return {{"enum", {true, false, "true", "false", "on", "off", "yes", "no"}}};
    });
  }

  // "integer 1..256", "percent 0%..100%": the range of integers is held, others are told.
  std::optional<Json> Ranged(std::string_view type) {
    const std::size_t dots = type.find(".."), space = type.rfind(' ', dots);
    if (dots == std::string_view::npos || space == std::string_view::npos) return std::nullopt;
    const Shape* shape = FindShape(type.substr(0, space));
    if (shape == nullptr) return std::nullopt;
    Json schema = Shaped(*shape);
    const auto low = ParseJson(type.substr(space + 1, dots - space - 1));
    const auto high = ParseJson(type.substr(dots + 2));
    if (low && high && shape->word == "integer")
      schema.update({{"minimum", *low}, {"maximum", *high}});
    return schema;
  }

  // Words as they are written, and what may stand beside them.
  Json Choice(const Kind& kind, std::string_view type) {
    if (IsBoolean(type)) return Boolean();
    Json words = Json::array();
    std::vector<Json> others;
    for (const std::string& part : Split(type, " | ")) {
      if (part == "map") {
        others.push_back(Map(Inside(kind)));
      } else if (std::optional<Json> ranged = Ranged(part)) {
        others.push_back(*std::move(ranged));
      } else if (const auto pattern = PatternOf(part)) {
        others.push_back({{"type", "string"}, {"pattern", *pattern}});
      } else {
        AddWord(part, &words);
      }
    }
    if (!words.empty()) others.insert(others.begin(), Json{{"enum", std::move(words)}});
    return AnyOf(std::move(others));
  }

  Json Type(const Kind& kind, std::string_view type) {
    if (type.find(" | ") != std::string_view::npos) return Choice(kind, type);
    if (type.starts_with("map of names")) return Named(kind, type);
    std::vector<Json> schemas;
    for (const std::string& part : SplitCommas(type)) {
      if (part.find(" or ") == std::string::npos || FindShape(part) != nullptr) {
        schemas.push_back(Part(kind, part, schemas));
        continue;
      }
      for (const std::string& one : Split(part, " or ")) {
        schemas.push_back(Part(kind, one, schemas));
      }
    }
    return AnyOf(std::move(schemas));
  }

  // Under names of the user's; nothing at all is an empty map.
  Json Named(const Kind& kind, std::string_view type) {
    constexpr std::string_view kTo = " to ";
    const std::size_t to = type.find(kTo);
    const std::string_view value =
        to == std::string_view::npos ? "maps" : type.substr(to + kTo.size());
    return {{"type", {"object", "null"}},
            {"propertyNames", Part(kind, "name", {})},
            {"additionalProperties", Type(kind, value)}};
  }

  // One alternative; `before` are those that stand before it.
  Json Part(const Kind& kind, std::string_view part, const std::vector<Json>& before) {
    constexpr std::string_view kList = "list of ";
    if (const Shape* shape = FindShape(part)) return Shaped(*shape);
    if (const std::optional<Json> ranged = Ranged(part)) return *ranged;
    if (part == "map" || part == "maps") return Map(Inside(kind));
    if (part == "values") return Part(kind, "value", {});
    if (part == "lists") return ListOf(Part(kind, "value", {}));
    if (part == "nothing") return Nothing(kind);
    if (part == "limit key") return LimitKey(kind);
    if (part == "list of these") return ListOf(AnyOf(before));
    if (part == "map of conditions") return Match();
    if (part == "action") return BareAction();
    if (part == "map of actions") return Actions();
    if (part == "map of request parts") return Parts("request");
    if (part == "map of answer parts") return Parts("answer");
    if (part == "on/off") return Boolean();
    if (part == "map of header names to values") {
      return {{"type", "object"},
              {"propertyNames", Part(kind, "header name", {})},
              {"additionalProperties", Part(kind, "value", {})}};
    }
    if (part.starts_with(kList)) {
      return ListOf(Part(kind, Singular(part.substr(kList.size())), {}));
    }
    for (const auto& [name, row] : Inside(kind)) {
      if (name == part) return Type(*row, row->type);
    }
    if (const auto number = ParseJson(part); number && number->is_number())
      return Choice(kind, part);
    return {{"$comment", "unknown type: " + std::string(part)}};
  }

  // An action without arguments may be written with `true`, too.
  static Json Nothing(const Kind& kind) {
    if (kind.group == "action") return {{"enum", {nullptr, true, "true"}}};
    return Null();
  }

  // That `global` stands alone is for the loader to say.
  Json LimitKey(const Kind& kind) {
    std::vector<Json> keys;
    Json words = Json::array();
    for (const auto& [name, row] : Select("limit_key", [](const Kind&) { return true; })) {
      if (const auto pattern = PatternOf(name)) {
        keys.push_back({{"type", "string"}, {"pattern", *pattern}});
      } else {
        words.push_back(name);
      }
    }
    keys.insert(keys.begin(), Json{{"description", kind.text}, {"enum", std::move(words)}});
    return Define("limit key", [&] { return AnyOf(std::move(keys)); });
  }

  Json BareAction() {
    Json words = Json::array();
    for (const auto& [name, row] : Select("action", [](const Kind& kind) {
           return IsLeaf(kind.name) && kind.type.starts_with("nothing");
         })) {
      words.push_back(name);
    }
    return {{"enum", std::move(words)}};
  }

  Json Parts(std::string_view group) {
    return Map(Select(group, [](const Kind&) { return true; }));
  }

  Json Actions() {
    Json map = Map(Select("action", [](const Kind& kind) { return IsLeaf(kind.name); }));
    map["minProperties"] = 1;
    return map;
  }

  Json Match() {
    return Define("match", [&] {
      Json map = Map(Select("condition", [](const Kind&) { return true; }));
      map["minProperties"] = 1;
      return map;
    });
  }

  Json Condition(const Kind& kind) {
    if (kind.type == "map of conditions") return Match();
    if (kind.type == "list of conditions") return NotEmpty(ListOf(Match()));
    if (!Inside(kind).empty()) return Type(kind, kind.type);
    // Conditions of which the same may be asked share a schema.
    for (const auto& [other, name] : tests_) {
      if (other->operators == kind.operators && other->words == kind.words &&
          SplitCommas(other->type).front() == SplitCommas(kind.type).front()) {
        return {{"$ref", "#/$defs/" + name}};
      }
    }
    const std::string name = "test_of_" + kind.name;
    tests_.emplace_back(&kind, name);
    return Define(name, [&] { return Test(kind, {{"$ref", "#/$defs/" + name}}); });
  }

  static Json NotEmpty(Json list) {
    list["minItems"] = 1;
    return list;
  }

  // A value or several: any of them will do.
  static std::vector<Json> OneOrMore(const Json& value) { return {value, NotEmpty(ListOf(value))}; }

  Json Test(const Kind& kind, const Json& self) {
    const std::string shape = kind.words.empty() ? SplitCommas(kind.type).front() : "";
    Json value = shape.empty() ? Json{{"enum", kind.words}} : Part(kind, shape, {});
    // Any text may be the name of a list already.
    if (shape != "value") value = AnyOf({value, Part(kind, "$list", {})});
    Json operators = Json::object();
    for (const auto& [name, row] : Select("operator", [](const Kind&) { return true; })) {
      const auto& offered = kind.operators;
      if (std::find(offered.begin(), offered.end(), name) == offered.end()) continue;
      operators[name] = {{"description", row->text}};
      const bool itself = row->type.ends_with("map of operators");
      operators[name].update(
          itself ? self
          : IsBoolean(row->type)
              ? Boolean()
              : Define("values", [&] { return AnyOf(OneOrMore(Part(kind, "value", {}))); }));
    }
    std::vector<Json> forms = OneOrMore(value);
    forms.push_back({{"type", "object"},
                     {"properties", std::move(operators)},
                     {"additionalProperties", false},
                     {"minProperties", 1}});
    return AnyOf(std::move(forms));
  }

  const std::vector<Kind>& kinds_;
  const std::vector<Shape>& shapes_;
  Json definitions_ = Json::object();
  std::vector<std::pair<const Kind*, std::string>> tests_;
};

}  // namespace

Json MakeSchema(const std::vector<Kind>& kinds, const std::vector<Shape>& shapes, SchemaOf what) {
  return Maker(kinds, shapes).Make(what);
}

}  // namespace spillway
