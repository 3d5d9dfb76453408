// SPDX-License-Identifier: MIT
// The compiled engine against a second one that evaluates conditions naively, on generated rules
// and requests.
#include "rules/operators.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "rule_book.h"

namespace spillway {
namespace {

std::string Lower(std::string text) {
  for (char& c : text) c = LowerAscii(c);
  return text;
}

// A condition as a tree, which can be written as YAML and judged by itself.
struct Tree {
  std::string key;  // "path", "all", ...
  std::string op;   // "", "prefix", ...; for "not" with values: negates equality
  std::vector<std::string> values;
  std::vector<Tree> parts;

  std::string Yaml() const {
    if (key == "all" || key == "any") {
      std::string text;
      for (const Tree& part : parts) text += (text.empty() ? "" : ", ") + part.Yaml();
      return "{ " + key + ": [" + text + "] }";
    }
    if (key == "not") return "{ not: " + parts[0].Yaml() + " }";
    std::string list;
    for (const std::string& value : values) list += (list.empty() ? "\"" : ", \"") + value + "\"";
    list = op == "present" || op == "absent" ? "true" : "[" + list + "]";
    return "{ " + key + ": " + (op.empty() ? list : "{ " + op + ": " + list + " }") + " }";
  }
};

// What of the request a condition looks at: none, one or several values.
std::vector<std::string> Values(const std::string& key, const Sample& sample) {
  if (key == "method") return {sample.method};
  if (key == "path") return {sample.target.substr(0, sample.target.find('?'))};
  if (key == "host") return {sample.host};
  std::vector<std::string> values;
  if (key == "query.q") {
    for (std::size_t at = sample.target.find("q="); at != std::string::npos;
         at = sample.target.find("q=", at + 1)) {
      const std::size_t end = sample.target.find('&', at);
      values.push_back(sample.target.substr(at + 2, end == std::string::npos ? end : end - at - 2));
    }
  }
  const bool agent = key == "user_agent";
  for (const auto& [name, value] : sample.headers) {
    if ((agent && name == "User-Agent") || key == "header." + Lower(name)) {
      values.push_back(agent ? Lower(value) : value);
    }
  }
  return values;
}

// Expressions of letters, ".", a letter with "+" and a last "$", in the manner of Rob Pike's
// matcher.
bool MatchesHere(std::string_view expression, std::string_view text) {
  if (expression.empty()) return true;
  if (expression == "$") return text.empty();
  if (text.empty() || (expression[0] != '.' && expression[0] != text[0])) return false;
  if (expression.size() > 1 && expression[1] == '+') {
    return MatchesHere(expression, text.substr(1)) ||
           MatchesHere(expression.substr(2), text.substr(1));
  }
  return MatchesHere(expression.substr(1), text.substr(1));
}

bool MatchesSomewhere(std::string_view expression, std::string_view text) {
  if (expression.starts_with('^')) return MatchesHere(expression.substr(1), text);
  for (std::size_t at = 0; at <= text.size(); ++at) {
    if (MatchesHere(expression, text.substr(at))) return true;
  }
  return false;
}

bool Naive(const Tree& tree, const Sample& sample) {
  if (tree.key == "all") {
    for (const Tree& part : tree.parts) {
      if (!Naive(part, sample)) return false;
    }
    return true;
  }
  if (tree.key == "any") {
    for (const Tree& part : tree.parts) {
      if (Naive(part, sample)) return true;
    }
    return false;
  }
  if (tree.key == "not") return !Naive(tree.parts[0], sample);
  if (tree.key == "client.address") {
    for (const std::string& range : tree.values) {
      if (IpRange::Parse(range)->Contains(*IpAddress::Parse(sample.client))) return true;
    }
    return false;
  }
  const std::vector<std::string> values = Values(tree.key, sample);
  if (tree.op == "present") return !values.empty();
  if (tree.op == "absent") return values.empty();
  bool any = false;
  for (const std::string& value : values) {
    for (std::string wanted : tree.values) {
      if (tree.key == "user_agent" || tree.key == "host") wanted = Lower(wanted);
      if (tree.op.empty() || tree.op == "not") any = any || value == wanted;
      if (tree.op == "prefix") any = any || value.starts_with(wanted);
      if (tree.op == "suffix") any = any || value.ends_with(wanted);
      if (tree.op == "contains") any = any || value.find(wanted) != std::string::npos;
      if (tree.op == "regex") any = any || MatchesSomewhere(wanted, value);
    }
  }
  return tree.op == "not" ? !any : any;
}

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : chance_(seed) {}

  std::size_t Below(std::size_t n) { return static_cast<std::size_t>(chance_() % n); }
  template <class Choices>
  std::string One(const Choices& choices) {
    return choices[Below(std::size(choices))];
  }

  std::string Text(std::size_t least, std::size_t most) {
    std::string text;
    for (std::size_t size = least + Below(most - least + 1); text.size() < size;)
      text += "abAB"[Below(4)];
    return text;
  }
  std::string Path() {
    std::string path;
    for (std::size_t parts = 1 + Below(3); parts > 0; --parts) path += "/" + Text(1, 2);
    return path;
  }
  std::string Address() {
    return Below(4) == 0 ? "2001:db8::" + std::to_string(Below(8))
                         : "10.0.0." + std::to_string(Below(16));
  }

  Sample Request() {
    Sample sample;
    sample.method = One(kMethods);
    sample.target = Path();
    for (std::size_t i = Below(3); i > 0; --i) {
      sample.target += (sample.target.find('?') == std::string::npos ? "?q=" : "&q=") + Text(0, 3);
    }
    sample.host = One(kHosts);
    sample.client = Address();
    for (std::size_t i = Below(3); i > 0; --i) sample.headers.emplace_back("X-A", Text(0, 3));
    if (Below(3) > 0) sample.headers.emplace_back("User-Agent", Text(0, 5));
    return sample;
  }

  Tree Condition(int depth) {
    Tree tree;
    const std::size_t kind = Below(depth > 0 ? 10 : 7);
    if (kind >= 7) {
      tree.key = kind == 7 ? "all" : kind == 8 ? "any" : "not";
      const std::size_t parts = tree.key == "not" ? 1 : 1 + Below(3);
      while (tree.parts.size() < parts) tree.parts.push_back(Condition(depth - 1));
      return tree;
    }
    const char* const kKeys[] = {"method",     "path",       "host",          "query.q",
                                 "header.x-a", "user_agent", "client.address"};
    tree.key = kKeys[kind];
    if (kind == 6) {
      for (std::size_t i = 1 + Below(4); i > 0; --i) {
        tree.values.push_back(Below(3) == 0 ? "10.0.0." + std::to_string(4 * Below(4)) + "/30"
                                            : Address());
      }
      return tree;
    }
    const char* const kOperators[] = {"",         "",      "not",     "prefix", "suffix",
                                      "contains", "regex", "present", "absent"};
    tree.op = kOperators[Below(kind >= 3 ? 9 : 7)];
    for (std::size_t i = 1 + Below(4); i > 0; --i) tree.values.push_back(Value(tree));
    return tree;
  }

 private:
  static constexpr const char* kMethods[] = {"GET", "POST", "HEAD"};
  static constexpr const char* kHosts[] = {"a.example", "b.a.example", "ab"};

  std::string Value(const Tree& tree) {
    if (tree.op == "regex")
      return Below(2) == 0 ? "^" + Text(1, 2) + "+" : Text(1, 1) + "." + Text(0, 1) + "$";
    if (tree.op.empty() || tree.op == "not") {
      if (tree.key == "method") return One(kMethods);
      if (tree.key == "path") return Path();
      if (tree.key == "host") return One(kHosts);
      return Text(0, 3);
    }
    if (tree.key == "path" && tree.op == "prefix") return "/" + Text(0, 2);
    if (tree.key == "host") return Lower(Text(1, 2));
    return Text(1, 2);
  }

  std::mt19937_64 chance_;
};

TEST(Engine, AgreesWithTheNaiveOneOnGeneratedRules) {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    Generator generate(seed);
    std::vector<Tree> trees;
    std::string rules;
    // Past 64, so that candidates span words; mostly rules that go on, so that all are judged.
    const std::size_t count = seed % 10 == 0 ? 150 : 15;
    for (std::size_t i = 0; i < count; ++i) {
      trees.push_back(generate.Condition(3));
      rules += "- { match: " + trees.back().Yaml() +
               ", action: " + (i % 7 == 6 ? "deny" : "{ tag: t }") + " }\n";
    }
    RuleBook book(rules);
    ASSERT_TRUE(book.diagnostics.empty()) << Format(book.diagnostics) << rules;
    for (int i = 0; i < 25; ++i) {
      const Sample sample = generate.Request();
      std::vector<std::uint32_t> expected;
      std::uint32_t ended = kNoRule;
      for (std::uint32_t rule = 0; rule < trees.size() && ended == kNoRule; ++rule) {
        if (!Naive(trees[rule], sample)) continue;
        expected.push_back(rule);
        if (rule % 7 == 6) ended = rule;
      }
      const Verdict& verdict = book.Judge(sample);
      std::vector<std::uint32_t> matched;
      for (const RuleMatch& match : verdict.matches) matched.push_back(match.rule);
      ASSERT_EQ(matched, expected)
          << "seed " << seed << " on " << sample.method << " " << sample.target << "\n"
          << rules;
      ASSERT_EQ(verdict.rule, ended);
    }
  }
}

TEST(Engine, GivesTheSameAnswerAloneAndAmongManyRules) {
  Generator generate(99);
  std::string rules;
  std::vector<Tree> trees;
  for (int i = 0; i < 60; ++i) {
    trees.push_back(generate.Condition(2));
    rules += "- { match: " + trees.back().Yaml() + ", action: { tag: t } }\n";
  }
  RuleBook all(rules);
  std::vector<Sample> samples;
  for (int i = 0; i < 10; ++i) samples.push_back(generate.Request());
  for (std::uint32_t rule = 0; rule < trees.size(); ++rule) {
    RuleBook one("- { match: " + trees[rule].Yaml() + ", action: { tag: t } }\n");
    for (const Sample& sample : samples) {
      bool among = false;
      for (const RuleMatch& match : all.Judge(sample).matches) among = among || match.rule == rule;
      ASSERT_EQ(!one.Judge(sample).matches.empty(), among) << trees[rule].Yaml();
    }
  }
}

}  // namespace
}  // namespace spillway
