// SPDX-License-Identifier: MIT
#include "rules/operators.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>
#include <utility>

#include "rules/kind_row.h"
#include "rules/meant.h"
#include "rules/scalars.h"
#include "spillway/target.h"

namespace spillway {
namespace {

using OperatorFunction = Expression(ConditionReader&, const Subject&, const yaml::Node&);

// Reads the values, gives each to `add`, which may refuse it; the test that they share, or that of
// another rule that asks the same.
template <class Add>
Expression ReadAnyOf(ConditionReader& reader, const FieldId& field, Stage stage,
                     std::string_view op, const yaml::Node& node, Add add) {
  const std::vector<TestValue> values = ReadValues(reader, node);
  std::string asked(op);
  for (const TestValue& value : values) {
    asked.append(" ").append(std::to_string(value.text.size())).append(":").append(value.text);
  }
  FieldMatcher& matcher = reader.fields.field(field);
  if (const auto same = matcher.asked.find(asked); same != matcher.asked.end()) {
    return Expression::Test(same->second);
  }
  const std::uint32_t test = reader.fields.NewTest(field, stage);
  bool right = true;  // what is wrong is reported wherever it stands
  for (const TestValue& value : values) {
    if (const Result<void> added = add(matcher, value.text, test); !added) {
      value.Fail(added.error().message);
      right = false;
    } else if (stage == Stage::kExpressions) {
      matcher.expression_places.push_back({value.node, value.list, value.text});
    }
  }
  if (right) matcher.asked.emplace(std::move(asked), test);
  return Expression::Test(test);
}

// The same for operators that look for a text inside another.
template <class Add>
Expression ReadAnyTextOf(ConditionReader& reader, const FieldId& field, Stage stage,
                         std::string_view op, const yaml::Node& node, Add add) {
  return ReadAnyOf(
      reader, field, stage, op, node,
      [&](FieldMatcher& matcher, std::string_view value, std::uint32_t test) -> Result<void> {
        if (value.find('\b') != std::string_view::npos) {
          return Fail(
              "there is a backspace in it, which \\b means in double quotes; "
              "write it in single quotes");
        }
        if (!value.empty()) return add(matcher, value, test);
        return Fail("an empty text is found in everything; to ask for any value use present");
      });
}

// "*.example.com" is any name below example.com, and "example.com" itself only.
Result<void> AddHost(FieldMatcher& matcher, std::string_view value, std::uint32_t test) {
  if (const auto address = IpAddress::Parse(value)) {
    matcher.exact.Add(address->ToString(), test);
    return {};
  }
  const bool below = value.starts_with("*.");
  const std::string_view name = below ? value.substr(2) : value;
  std::string host;
  if (!NormaliseHost(name, &host) || host.find('*') != std::string::npos) {
    return Fail(yaml::Quote(value) +
                " is not a host; expected one such as example.com, *.example.com or 192.0.2.1");
  }
  if (!name.starts_with('[') && name.find(':') != std::string_view::npos) {
    return Fail(yaml::Quote(value) + " has a port; hosts are compared without it");
  }
  if (below) {
    matcher.suffixes.Add("." + host, test, 1);
  } else {
    matcher.exact.Add(host, test);
  }
  return {};
}

Expression ReadEquals(ConditionReader& reader, const Subject& subject, const yaml::Node& node) {
  return ReadAnyOf(
      reader, subject.field, Stage::kLookup, "equals", node,
      [&](FieldMatcher& matcher, std::string_view value, std::uint32_t test) -> Result<void> {
        if (subject.range != nullptr) {
          const Result<NumberRange> range = subject.range(value);
          if (!range) return Fail(range.error().message);
          matcher.numbers.Add(*range, test);
          return {};
        }
        if (subject.field.source == &source::kHost) return AddHost(matcher, value, test);
        if (subject.check != nullptr) {
          const Result<std::string> checked = subject.check(value, false);
          if (!checked) return Fail(checked.error().message);
          matcher.exact.Add(*checked, test);
        } else {
          matcher.exact.Add(value, test);
        }
        return {};
      });
}

Expression ReadPrefix(ConditionReader& reader, const Subject& subject, const yaml::Node& node) {
  return ReadAnyTextOf(
      reader, subject.field, Stage::kLookup, "prefix", node,
      [&](FieldMatcher& matcher, std::string_view value, std::uint32_t test) -> Result<void> {
        if (subject.field.source == &source::kPath && subject.check != nullptr) {
          const Result<std::string> checked = subject.check(value, true);
          if (!checked) return Fail(checked.error().message);
        }
        matcher.prefixes.Add(value, test);
        return {};
      });
}

// Into one of the field's indexes, as it is written.
template <auto kIndex>
Result<void> AddText(FieldMatcher& matcher, std::string_view value, std::uint32_t test) {
  (matcher.*kIndex).Add(value, test);
  return {};
}

Expression ReadSuffix(ConditionReader& reader, const Subject& subject, const yaml::Node& node) {
  return ReadAnyTextOf(reader, subject.field, Stage::kLookup, "suffix", node,
                       &AddText<&FieldMatcher::suffixes>);
}

Expression ReadContains(ConditionReader& reader, const Subject& subject, const yaml::Node& node) {
  return ReadAnyTextOf(reader, subject.field, Stage::kWords, "contains", node,
                       &AddText<&FieldMatcher::words>);
}

// What RE2 leaves out, since it could take longer than the text is long; and how it is said here.
std::string_view WithoutBacktracking(std::string_view expression, std::string_view fault) {
  constexpr std::string_view kLooks[] = {"(?=", "(?!", "(?<=", "(?<!"};
  const bool looks = std::any_of(std::begin(kLooks), std::end(kLooks), [&](std::string_view look) {
    return expression.find(look) != std::string_view::npos;
  });
  if (looks && fault.starts_with("invalid perl operator")) {
    return "; there is no look-ahead and no look-behind: what must not match stands beside it, as "
           "in { regex: '^/admin', not: { regex: '^/admin/login' } }";
  }
  constexpr std::string_view kEscape = "invalid escape sequence: \\";
  if (fault.starts_with(kEscape) && fault.size() > kEscape.size() && fault[kEscape.size()] >= '1' &&
      fault[kEscape.size()] <= '9') {
    return "; there are no back-references: write out what may stand there, as in 'aa|bb' for "
           "'([ab])\\1'";
  }
  return "";
}

Expression ReadRegex(ConditionReader& reader, const Subject& subject, const yaml::Node& node) {
  return ReadAnyTextOf(
      reader, subject.field, Stage::kExpressions, "regex", node,
      [](FieldMatcher& matcher, std::string_view value, std::uint32_t test) -> Result<void> {
        const Result<void> added = matcher.expressions.Add(value, test);
        if (added) return {};
        return Fail(yaml::Quote(value) + " is not a regular expression: " + added.error().message +
                    std::string(WithoutBacktracking(value, added.error().message)));
      });
}

Expression ReadGlob(ConditionReader& reader, const Subject& subject, const yaml::Node& node) {
  return ReadAnyTextOf(reader, subject.field, Stage::kExpressions, "glob", node,
                       [](FieldMatcher& matcher, std::string_view value, std::uint32_t test) {
                         return matcher.expressions.Add(GlobExpression(value), test);
                       });
}

Expression ReadHost(ConditionReader& reader, const Subject& subject, const yaml::Node& node) {
  FieldId field = subject.field;
  // The request's host is one already, in lower case.
  field.host_of = field.source != &source::kHost;
  if (field.host_of) field.letter_case = Case::kExact;
  return ReadAnyOf(reader, field, Stage::kLookup, "host", node, &AddHost);
}

// Above or below one number.
Expression ReadCompared(ConditionReader& reader, const Subject& subject, const yaml::Node& node,
                        std::string_view op) {
  if (!node.is_scalar()) {
    node.Fail("expected one number, found " + std::string(KindName(node.kind())));
    return {};
  }
  return ReadAnyOf(
      reader, subject.field, Stage::kLookup, op, node,
      [&](FieldMatcher& matcher, std::string_view value, std::uint32_t test) -> Result<void> {
        const Result<NumberRange> range = subject.range(value);
        if (!range) return Fail(range.error().message);
        if (op == "above") {
          matcher.numbers.Add({range->high + 1, kMostNumber}, test);
        } else if (range->low > 0) {
          matcher.numbers.Add({0, range->low - 1}, test);
        } else {
          return Fail("nothing is below " + std::string(value));
        }
        return {};
      });
}

Expression ReadAbove(ConditionReader& reader, const Subject& subject, const yaml::Node& node) {
  return ReadCompared(reader, subject, node, "above");
}

Expression ReadBelow(ConditionReader& reader, const Subject& subject, const yaml::Node& node) {
  return ReadCompared(reader, subject, node, "below");
}

Expression ReadPresent(ConditionReader& reader, const Subject& subject, const yaml::Node& node) {
  FieldMatcher& matcher = reader.fields.field(subject.field);
  if (matcher.present.empty()) {  // one test is enough for all who ask this
    matcher.present.push_back(reader.fields.NewTest(subject.field, Stage::kLookup));
  }
  const Expression present = Expression::Test(matcher.present.front());
  return ReadBool(node).value_or(true) ? present : Expression::Not(present);
}

Expression ReadAbsent(ConditionReader& reader, const Subject& subject, const yaml::Node& node) {
  return Expression::Not(ReadPresent(reader, subject, node));
}

Expression ReadNot(ConditionReader& reader, const Subject& subject, const yaml::Node& node) {
  if (!EnterLevel(reader, node)) return {};
  Expression inner = ReadTest(reader, subject, node);
  --reader.depth;
  return Expression::Not(std::move(inner));
}

// As KindRow, with what must be asked for it to be offered; null: it always is.
struct Operator {
  std::string_view name;
  std::string_view type;
  std::string_view text;
  OperatorFunction* parse;
  bool Asks::*needs;
};

constexpr Operator kOperators[] = {
    {"prefix", "value, list or $list", "it begins with one of these", &ReadPrefix, &Asks::text},
    {"suffix", "value, list or $list", "it ends with one of these", &ReadSuffix, &Asks::text},
    {"contains", "value, list or $list", "one of these stands somewhere in it", &ReadContains,
     &Asks::text},
    {"regex", "value, list or $list", "one of these RE2 expressions matches somewhere in it",
     &ReadRegex, &Asks::text},
    {"glob", "value, list or $list",
     "one of these shapes is the whole of it: * any text without /, ** any text, ? one byte but /",
     &ReadGlob, &Asks::text},
    {"host", "value, list or $list",
     "the host of the URL is one of these; *.example.com is any sub-domain, not the apex",
     &ReadHost, &Asks::host},
    {"above", "value", "it is a greater number than this", &ReadAbove, &Asks::number},
    {"below", "value", "it is a smaller number than this", &ReadBelow, &Asks::number},
    {"present", "true | false", "there is such a header, cookie or parameter, even an empty one",
     &ReadPresent, &Asks::presence},
    {"absent", "true | false", "there is none", &ReadAbsent, &Asks::presence},
    {"not", "value, list, $list or map of operators", "that does not hold", &ReadNot, nullptr},
};

bool Offered(const Operator& row, const Asks& asks) {
  return row.needs == nullptr || asks.*row.needs;
}

}  // namespace

void TestValue::Fail(std::string_view message) const {
  node.Fail(list.empty() ? std::string(message) : list + ": " + std::string(message));
}

std::vector<TestValue> ReadValues(const ConditionReader& reader, const yaml::Node& node) {
  std::vector<TestValue> values;
  if (node.is_list() && node.Items().empty())
    node.Fail("the list is empty: nothing would ever match");
  if (node.kind() == yaml::NodeKind::kNull)
    node.Fail("expected a value, a list of them or $name, found nothing");
  for (const yaml::Node& item : node.Items()) {
    std::string_view text = item.text();
    if (!item.is_scalar()) {
      item.Fail("expected a value, a list of them or $name, found " +
                std::string(KindName(item.kind())));
    } else if (!text.starts_with('$')) {
      values.push_back({std::string(text), item, ""});
    } else if (text.starts_with("$$")) {
      values.push_back({std::string(text.substr(1)), item, ""});
    } else if (const auto found = reader.scope.lists.find(std::string(text.substr(1)));
               found != reader.scope.lists.end()) {
      const NamedList& list = found->second;
      for (std::size_t i = 0; i < list.items.size(); ++i) {
        const std::string place = i < list.places.size() ? " (" + list.places[i] + ")" : "";
        values.push_back({list.items[i], item, std::string(text) + place});
      }
    } else {
      std::vector<std::string> legal;
      for (const auto& [name, unused] : reader.scope.lists) legal.push_back("$" + name);
      item.Fail("unknown list " + yaml::Quote(text) +
                (legal.empty() ? "; there are no lists (a plain $ is written $$)"
                               : yaml::ExpectedOneOf(text, legal)));
    }
  }
  return values;
}

Result<NumberRange> ParseOneNumber(std::string_view text) {
  const Result<std::uint64_t> number = ParseInteger(text);
  if (number && *number < kMostNumber) return NumberRange{*number, *number};
  return Fail("expected a whole number, found " + yaml::Quote(text));
}

bool EnterLevel(ConditionReader& reader, const yaml::Node& node) {
  if (reader.depth < kMaxConditionDepth) return ++reader.depth, true;
  node.Fail("conditions nest deeper than " + std::to_string(kMaxConditionDepth) + " levels");
  return false;
}

Expression ReadTest(ConditionReader& reader, const Subject& subject, const yaml::Node& node) {
  if (!node.is_map()) return ReadEquals(reader, subject, node);
  std::vector<Expression> parts;
  for (const auto& [key, argument] : node.Entries()) {
    OperatorFunction* parse = nullptr;
    for (const Operator& row : kOperators) {
      if (row.name == key.text() && Offered(row, subject.asks)) parse = row.parse;
    }
    if (parse == nullptr) {
      key.Fail(UnknownIn(node, "operator", key.text(), OperatorsFor(subject.asks)));
    } else {
      parts.push_back(parse(reader, subject, argument));
    }
  }
  if (node.Entries().empty()) node.Fail("an empty map asks nothing; expected an operator");
  return Expression::All(std::move(parts));
}

bool IsOperator(std::string_view name) {
  return std::any_of(std::begin(kOperators), std::end(kOperators),
                     [&](const Operator& row) { return row.name == name; });
}

std::vector<std::string> OperatorsFor(const Asks& asks) {
  std::vector<std::string> names;
  for (const Operator& row : kOperators) {
    if (Offered(row, asks)) names.emplace_back(row.name);
  }
  return names;
}

void AppendOperatorKinds(std::vector<Kind>* kinds) {
  for (const Operator& row : kOperators) kinds->push_back(KindOf("operator", row));
}

}  // namespace spillway
