// SPDX-License-Identifier: MIT
// A parser that reads `match` one column too far right says that it found a colon, which is true
// and of no use. So we look at the lines ourselves: two mistakes are told by what they look like,
// the rest by yaml-cpp's own sentence.
#include "rules/yaml_lesson.h"

#include <algorithm>
#include <cctype>
#include <optional>

namespace spillway::yaml {
namespace {

constexpr int kMostLinesAbove = 100;  // that are searched for the key which another should be below

// The first key of a line. "  - name: x": "name", column 5.
struct KeyInLine {
  std::string_view name;
  int column = 0;  // 1-based
  bool in_list = false;
  bool has_value = false;
};

std::optional<KeyInLine> FindKey(std::string_view line) {
  KeyInLine key;
  std::size_t begin = line.find_first_not_of(' ');
  while (begin != std::string_view::npos && line.substr(begin, 2) == "- ") {
    key.in_list = true;
    begin = line.find_first_not_of(' ', begin + 1);
  }
  if (begin == std::string_view::npos || line[begin] == '#') return std::nullopt;
  std::size_t colon = begin;
  do {
    colon = line.find(':', colon + 1);
  } while (colon != std::string_view::npos && colon + 1 < line.size() && line[colon + 1] != ' ');
  if (colon == std::string_view::npos) return std::nullopt;
  key.name = line.substr(begin, colon - begin);
  key.column = static_cast<int>(begin) + 1;
  const std::size_t value = line.find_first_not_of(' ', colon + 1);
  key.has_value = value != std::string_view::npos && line[value] != '#';
  return key;
}

// A key that stands further right than the one above it, whose value is there already.
std::optional<Lesson> FindDeepKey(const Document::Impl& document, Place at) {
  const auto key = FindKey(document.Line(at.line));
  if (!key || key->in_list) return std::nullopt;
  const int end = key->column + static_cast<int>(key->name.size());
  // The parser stopped at the key or at its own colon, not at a second one.
  if (at.column != key->column && at.column != end) return std::nullopt;
  for (int line = at.line - 1; line > std::max(0, at.line - kMostLinesAbove); --line) {
    const auto above = FindKey(document.Line(line));
    if (!above) continue;  // a comment, or more of a value
    if (!above->has_value || above->column >= key->column) return std::nullopt;
    return Lesson{{at.line, key->column, end - key->column},
                  Quote(key->name) + " is indented further than " + Quote(above->name) +
                      " in line " + std::to_string(line) +
                      "; the keys of one map begin in the same column"};
  }
  return std::nullopt;
}

// `name: night: surge`. Only what a value may be differs: quotes help a text, and no name.
Lesson FindSecondColon(const Document::Impl& document, Place at) {
  std::string message = "a ':' cannot stand here; put a value that contains ': ' in quotes";
  const std::string_view line = document.Line(at.line);
  const auto key = FindKey(line);
  if (key && key->name == "name" && key->has_value) {
    const std::size_t begin = line.find_first_not_of(' ', line.find(':') + 1);
    std::string name;
    for (const char c : line.substr(begin, line.find(" #", begin) - begin)) {
      const bool letter = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
      if (letter) {
        name += c;
      } else if (!name.empty() && name.back() != '-') {
        name += '-';
      }
    }
    message += ", but the name of a rule has only letters, digits, '-' and '_', such as " + name;
  }
  return {at, std::move(message)};
}

// The word before the last ':' that stands before `column`: in `match: { path: & }` "path".
std::string_view KeyBefore(std::string_view line, std::size_t column) {
  const std::size_t colon = line.substr(0, column).rfind(':');
  if (colon == std::string_view::npos) return {};
  const std::size_t before = line.substr(0, colon).find_last_of(" {,");
  const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
  return line.substr(begin, colon - begin);
}

// `prefix: *`, `host: *.example.com`: text that YAML takes for an alias or an anchor.
Lesson FindBareMark(const Document::Impl& document, Place at, char mark, const std::string& why) {
  const std::string_view line = document.Line(at.line);
  auto begin = static_cast<std::size_t>(std::max(at.column, 1) - 1);
  if (begin > 0 && (begin >= line.size() || line[begin] != mark)) --begin;
  if (begin >= line.size() || line[begin] != mark) return {at, why};
  const std::size_t end = std::min(line.find_first_of(" ,]}", begin), line.size());
  const std::string_view word = line.substr(begin, end - begin);
  std::string message = why;
  if (KeyBefore(line, begin) == "path" && !word.starts_with('*')) {
    message += "; a path begins with '/', such as /shop";
  } else if (word == "*") {
    message +=
        "; leave a condition out that is to match everything; to mean a '*' itself, put it in "
        "quotes: '*'";
  } else {
    message += "; to mean the text itself, put it in quotes: " + Quote(word);
  }
  return {{at.line, static_cast<int>(begin) + 1, static_cast<int>(word.size())},
          std::move(message)};
}

struct Sentence {
  std::string_view theirs;
  std::string_view ours;
};

constexpr Sentence kSentences[] = {
    {"end of map not found",
     "this line fits no map above it; check its indentation, and that its key ends in ':'"},
    {"end of sequence not found",
     "this line fits no list above it; check its indentation and its '-'"},
    {"end of map flow not found", "the map in braces is not closed here; a ',' or '}' is missing"},
    {"end of sequence flow not found",
     "the list in brackets is not closed here; a ',' or ']' is missing"},
    {"illegal block entry",
     "a '-' cannot stand here; the items of a list stand below its key, each on its own line"},
    {"illegal map key", "a key cannot stand here; it begins a line, or an entry in braces"},
    {"unknown token", "this character cannot begin a plain value; put the value in quotes"},
    {"illegal flow end", "this bracket closes nothing"},
};

}  // namespace

Lesson Explain(const Document::Impl& document, Place at, const std::string& message) {
  const std::string_view line = document.Line(at.line);
  const std::size_t indent = line.find_first_not_of(" \t");
  if (line.substr(0, indent).find('\t') != std::string_view::npos) {
    const auto tab = line.find('\t');
    const auto end = std::min(line.find_first_not_of('\t', tab), line.size());
    return {{at.line, static_cast<int>(tab) + 1, static_cast<int>(end - tab)},
            "a tab cannot indent YAML; use spaces"};
  }
  if (message == "illegal map value" || message == "end of map not found") {
    if (auto lesson = FindDeepKey(document, at)) return *std::move(lesson);
  }
  if (message == "illegal map value") return FindSecondColon(document, at);
  if (message == "the referenced anchor is not defined") {
    return FindBareMark(document, at, '*', "this alias names no anchor (&name) above it");
  }
  if (message == "alias not found after *") {
    return FindBareMark(document, at, '*', "an alias (*name) without a name");
  }
  if (message == "anchor not found after &") {
    return FindBareMark(document, at, '&', "an anchor (&name) without a name");
  }
  for (const Sentence& sentence : kSentences) {
    if (message == sentence.theirs) return {at, std::string(sentence.ours)};
  }
  return {at, "not YAML: " + message};
}

}  // namespace spillway::yaml
