// SPDX-License-Identifier: MIT
// Two engines, one decision: rule sets and requests made up at random, judged by the engine (with
// what it remembers, and without) and by tests/unit/naive_rules.h.
#include "tests/unit/naive_rules.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/rule_book.h"

namespace spillway {
namespace {

using naive::Ask;
using naive::Entry;
using naive::Operation;
using naive::Question;
using naive::Rule;
using naive::Texts;

const Texts kLists[] = {{"ab", "Ba/", "bot"}, {"/a", "/ab/x.php"}, {"10.0.0.0/8", "2001:db8::/32"}};
const char* const kListNames[] = {"$words", "$paths", "$nets"};

// Makes things up. Few letters and few names, so that what is asked for is often there.
class Maker {
 public:
  explicit Maker(std::uint64_t seed) : chance_(seed) {}

  std::size_t Below(std::size_t end) { return chance_() % end; }
  bool OneIn(std::size_t n) { return Below(n) == 0; }
  template <std::size_t size>
  std::string Pick(const char* const (&texts)[size]) {
    return texts[Below(size)];
  }

  std::vector<Rule> Rules(std::size_t count) {
    std::vector<Rule> rules;
    while (rules.size() < count) rules.push_back(OneRule(rules.size()));
    return rules;
  }

  Question OneQuestion() {
    Question question{.method = Method(),
                      .path = Path(),
                      .query = Query(),
                      .host = OneIn(8) ? "" : Host(),
                      .scheme = Pick({"http", "https"}),
                      .protocol = Protocol(),
                      .ja4 = OneIn(2) ? "" : Word(4),
                      .certificate = OneIn(2) ? "" : "CN=" + Word(2),
                      .client = Client()};
    for (std::size_t lines = Below(7); lines > 0; --lines) {
      const std::string name = Pick({"User-Agent", "user-agent", "Referer", "Cookie", "cookie",
                                     "X-A", "x-b", "X-C", "Accept"});
      question.headers.emplace_back(name, HeaderValue(naive::Lower(name)));
    }
    return question;
  }

 private:
  std::string Method() { return Pick({"GET", "GET", "POST", "HEAD"}); }
  std::string Protocol() { return Pick({"HTTP/1.0", "HTTP/1.1", "HTTP/2.0"}); }
  std::string Host() {
    return Pick({"example.com", "www.example.com", "a.b.example.com", "shop.test", "192.0.2.1",
                 "2001:db8::1"});
  }
  std::string HostPattern() {
    return Pick({"example.com", "*.example.com", "*.B.example.com", "WWW.example.com", "shop.test",
                 "*.test", "192.0.2.1", "2001:db8::1"});
  }
  std::string Client() {
    return Pick({"10.0.0.1", "10.1.2.3", "192.0.2.7", "192.0.2.200", "2001:db8::5", "2001:db9::1",
                 "::1", "172.16.0.0"});
  }
  std::string Range() {
    return Pick({"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "192.0.2.0/25", "192.0.2.128/25",
                 "0.0.0.0/0", "::/0", "2001:db8::/32", "2001:db8::5", "2000::/3", "172.16.0.0/12",
                 "::ffff:0:0/96", "::1/128"});
  }
  std::string Word(std::size_t longest) {
    std::string word;
    for (std::size_t size = 1 + Below(longest); word.size() < size;)
      word += "aabBoOt/. -"[Below(11)];
    return word;
  }
  // What a client may send, too.
  std::string Wild(std::size_t longest) {
    std::string text;
    for (std::size_t parts = Below(longest); parts > 0; --parts) {
      if (OneIn(3)) text += Pick({"bot", "Ba/", "ABBA", "\xff", "\xc3\xa9", "tobot1", "ab"});
      text += Word(3);
    }
    return text;
  }
  std::string Path() {
    std::string path = "/";
    for (std::size_t parts = Below(4); parts > 0; --parts) {
      path += Pick({"a", "b", "ab", "A", "x.php", "bot"});
      if (parts > 1 || OneIn(3)) path += "/";
    }
    return path;
  }
  std::string Url() {
    return Pick({"https://", "http://user@", "http://u@v@", "", "ftp://"}) +
           Pick({"example.com", "WWW.Example.com", "a.b.example.com.", "shop.test", "[2001:db8::1]",
                 "192.0.2.1", "bad host", ""}) +
           Pick({"", ":8080", ":"}) + (OneIn(2) ? "" : Pick({"/", "/a?b", "?x@y", "#z"}));
  }
  std::string Query() {
    std::string query;
    for (std::size_t parts = Below(4); parts > 0; --parts) {
      query += Pick({"q", "id", "%71", "Q", ""}) + Pick({"=", "=", "=", ""}) +
               Pick({"a", "b%41", "a+b", "%", "bot", "%2Fab", ""}) + (parts > 1 ? "&" : "");
    }
    return query;
  }
  std::string HeaderValue(const std::string& name) {
    if (name == "referer" || name == "x-c") return OneIn(4) ? Wild(4) : Url();
    if (name != "cookie") return naive::Trim(Wild(6));
    std::string value;
    for (std::size_t parts = Below(4); parts > 0; --parts) {
      value += Pick({"sid", " sid", "theme", "SID", "bare"}) + Pick({"=", "=", " = ", ""}) +
               Pick({"a", "ab", "\"bot\"", "a=b", ""}) + (parts > 1 ? ";" : "");
    }
    return value;
  }

  // An expression of few parts; whatever it means, both engines must find the same in it.
  std::string Expression(int depth) {
    std::string all;
    for (std::size_t parts = 1 + Below(3); parts > 0; --parts) {
      std::string part = Pick({"a", "b", "bot", "[ab]", "[^a]", ".", "A", "\\.", "/", "t", "\\w",
                               "abba", "o[Tt]", "\\d"});
      if (depth > 0 && OneIn(4))
        part = "(" + Expression(depth - 1) + "|" + Expression(depth - 1) + ")";
      if (OneIn(3)) part = "(?:" + part + ")" + Pick({"*", "+", "?", "{2}", "{1,3}", "*?"});
      if (OneIn(12)) part = Pick({"\\b", "^", "(?i)", ".*", "\\B"}) + part;
      if (OneIn(12)) part += Pick({"$", "\\b", ".*"});
      all += part;
    }
    return all;
  }

  std::string Glob(const std::string& key) {
    std::string glob = key == "path" ? Path() : Word(4);
    for (std::size_t stars = 1 + Below(2); stars > 0; --stars) {
      glob.insert(Below(glob.size() + 1), Pick({"*", "**", "?", "***"}));
    }
    return glob;
  }

  // What an operator of a condition is given: a text that can be asked for there.
  std::string Argument(const std::string& key, const std::string& op) {
    if (op == "regex") return Expression(1);
    if (op == "glob") return Glob(key);
    if (key == "client.address") return Range();
    if (op == "host" || (key == "host" && op.empty())) return HostPattern();
    std::string text = Word(4);
    if (key == "path") {
      text = Path();
      if (op == "prefix") text.resize(1 + Below(text.size()));
      if (op == "suffix" || op == "contains") text.erase(0, Below(text.size()));
      return text;
    }
    if (key == "method") text = Method();
    if (key == "scheme") text = Pick({"http", "https"});
    if (key == "protocol") text = Protocol();
    if (key == "host") text = Host();
    if (key == "referer" && OneIn(2)) text = Url();
    if (key.starts_with("query.")) text = Pick({"a", "bA", "a b", "%", "bot", "/ab"});
    if (key.starts_with("cookie.")) text = Pick({"a", "ab", "\"bot\"", "a=b"});
    if (text.empty()) text = "a";
    if (op == "prefix") text.resize(1 + Below(text.size()));
    if (op == "suffix" || op == "contains") text.erase(0, Below(text.size()));
    return text;
  }

  // The list that may stand among the values, if any: its number.
  static int ListFor(const std::string& key, const std::string& op) {
    if (key == "client.address") return 2;
    if (key == "path" && (op.empty() || op == "prefix")) return 1;
    const bool chosen = key == "method" || key == "scheme" || key == "protocol" || key == "host";
    return op == "host" || (chosen && op.empty()) ? -1 : 0;
  }

  Operation OneOperation(const std::string& key, const std::string& op, int depth) {
    Operation operation{.op = op};
    if (op == "not") {
      operation.inner = Operations(key, depth + 1);
      return operation;
    }
    if (op == "present" || op == "absent") {
      operation.flag = OneIn(2);
      operation.argument = operation.flag ? "true" : "false";
      return operation;
    }
    const std::size_t count = OneIn(12) ? 12 : 1 + Below(3);
    const int list = OneIn(6) ? ListFor(key, op) : -1;
    std::string written;
    if (list >= 0) {
      operation.values = kLists[list];
      written = naive::Quote(kListNames[list]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const std::string text = Argument(key, op);
      operation.values.push_back(text);
      written += (written.empty() ? "" : ", ") + naive::Quote(text);
    }
    operation.argument = operation.values.size() > 1 || OneIn(4) ? "[" + written + "]" : written;
    return operation;
  }

  std::vector<Operation> Operations(const std::string& key, int depth) {
    const bool not_again = depth >= 2;
    if (key == "header_count") {
      const std::string number = Pick({"1", "2", "3", "4", "5"}), other = Pick({"2", "6"});
      const std::string op = Pick({"", "above", "below"});
      if (!not_again && OneIn(3)) return {OneOperation(key, "not", depth)};
      if (!op.empty()) return {{.op = op, .argument = number, .values = {number}}};
      return {{.op = "", .argument = "[" + number + ", " + other + "]", .values = {number, other}}};
    }
    if (key == "sample") {
      const std::string percent = Pick({"1", "10", "50", "90", "100"});
      return {{.op = "", .argument = "{ share: " + percent + "%, salt: s }", .values = {percent}}};
    }
    if (key == "client.address") {
      return {OneOperation(key, not_again || OneIn(2) ? "" : "not", depth)};
    }
    if (OneIn(3)) return {OneOperation(key, "", depth)};
    Texts ops = {"prefix", "suffix", "contains", "regex", "glob"};
    if (!not_again) ops.push_back("not");
    if (key != "method" && key != "path" && key != "scheme" && key != "protocol") {
      ops.insert(ops.end(), {"present", "absent"});
    }
    if (key == "host" || key == "referer" || key.starts_with("header.")) ops.push_back("host");
    std::shuffle(ops.begin(), ops.end(), chance_);
    std::vector<Operation> operations;
    for (std::size_t i = OneIn(3) ? 2 : 1; i > 0; --i) {
      operations.push_back(OneOperation(key, ops[i], depth));
    }
    return operations;
  }

  Ask OneAsk(int depth) {
    Texts keys = {"method",       "host",           "path",
                  "query.q",      "query.id",       "header.X-A",
                  "header.x-b",   "header.x-c",     "cookie.sid",
                  "cookie.theme", "user_agent",     "user_agent",
                  "referer",      "client.address", "scheme",
                  "protocol",     "tls.ja4",        "tls.client_certificate",
                  "sample",       "header_count"};
    if (depth < 3) keys.insert(keys.end(), {"all", "any", "any", "not", "not"});
    std::shuffle(keys.begin(), keys.end(), chance_);
    Ask ask;
    std::size_t count = OneIn(3) ? 1 + Below(3) : 1;
    for (const std::string& key : keys) {
      if (count == 0) break;
      const auto same = [&](const Entry& entry) { return entry.key == key; };
      if (std::any_of(ask.entries.begin(), ask.entries.end(), same)) continue;
      --count;
      Entry entry{.key = key};
      if (key == "all" || key == "any" || key == "not") {
        for (std::size_t parts = key == "not" ? 1 : 1 + Below(3); parts > 0; --parts) {
          entry.parts.push_back(OneAsk(depth + 1));
        }
      } else {
        entry.operations = Operations(key, 0);
      }
      ask.entries.push_back(std::move(entry));
    }
    return ask;
  }

  Rule OneRule(std::size_t number) {
    Rule rule;
    if (!OneIn(20)) rule.match = OneAsk(0);
    if (OneIn(5)) rule.toggle = static_cast<int>(Below(2));
    if (OneIn(6)) rule.mode = Pick({"shadow", "shadow", "off"});
    switch (Below(10)) {
      case 0:
        rule.final_action = "deny: { status: 404 }", rule.outcome = "deny 404";
        break;
      case 1:
        rule.final_action = "redirect: /new", rule.outcome = "redirect 302 /new";
        break;
      case 2:
        rule.final_action = "respond: { status: 418, body: tea }", rule.outcome = "respond 418 tea";
        break;
      case 3:
        rule.final_action = "challenge: refresh", rule.outcome = "challenge";
        rule.challenge = true;
        break;
      case 4:
        rule.final_action = OneIn(2) ? "drop: true" : "allow: true";
        rule.outcome = rule.final_action.starts_with("drop") ? "drop" : "forward";
        break;
      default:
        break;
    }
    if (OneIn(4)) rule.pool = static_cast<int>(Below(2));
    if (OneIn(3)) rule.set_headers = {{"X-Rule", "rule " + std::to_string(number)}};
    const bool nothing_yet = rule.pool < 0 && rule.set_headers.empty() && rule.final_action.empty();
    if (nothing_yet || OneIn(4)) rule.tags = {"t" + std::to_string(number)};
    if (OneIn(8)) rule.tags.push_back("more");
    return rule;
  }

  std::mt19937_64 chance_;
};

std::string InWords(const Verdict& verdict) {
  std::string text(ActionName(verdict.action));
  if (const auto* deny = std::get_if<Deny>(&verdict.action)) {
    text += " " + std::to_string(deny->status);
  } else if (const auto* redirect = std::get_if<Redirect>(&verdict.action)) {
    text += " " + std::to_string(redirect->status) + " " + std::string(redirect->location);
  } else if (const auto* respond = std::get_if<Respond>(&verdict.action)) {
    text += " " + std::to_string(respond->status) + " " + std::string(respond->body);
  }
  text += " by " + (verdict.rule == kNoRule ? "none" : std::to_string(verdict.rule)) + ", matches";
  for (const RuleMatch& match : verdict.matches) {
    text += " " + std::to_string(match.rule) + (match.shadow ? "shadow" : "");
  }
  text += ", tags";
  for (const std::string_view tag : verdict.tags) text += " " + std::string(tag);
  text += ", headers";
  for (const auto& [name, value] : verdict.set_headers) {
    text += " " + std::string(name) + "=" + std::string(value);
  }
  return text + ", pool " + std::to_string(verdict.pool);
}

std::string InWords(const Question& question) {
  std::string text = question.method + " " + question.path + " ?" + question.query + " of " +
                     question.host + " " + question.scheme + " " + question.protocol + " ja4 " +
                     question.ja4 + " certificate " + question.certificate + " from " +
                     question.client + "\n";
  for (const auto& [name, value] : question.headers) text += name + ": " + value + "\n";
  return text;
}

// Borrows from the question; `fields` from the caller.
Request AsRequest(const Question& question, std::vector<HeaderField>* fields) {
  for (const auto& [name, value] : question.headers) fields->push_back({name, value});
  Request request;
  request.method = question.method;
  request.target = request.path = question.path;
  request.query = question.query;
  request.host = question.host;
  request.scheme = question.scheme;
  request.protocol = question.protocol;
  request.ja4 = question.ja4;
  request.client_certificate = question.certificate;
  request.headers = *fields;
  request.client = IpAddress::Parse(question.client).value();
  return request;
}

RuleScope Scope() {
  RuleScope scope;
  scope.toggles = {"surge", "phones"};
  for (std::size_t i = 0; i < std::size(kLists); ++i)
    scope.lists[kListNames[i] + 1].items = kLists[i];
  return scope;
}

// That a rule which matched is told as such, and of each other one what kept it from doing so.
void CheckTrace(const std::vector<RuleTrace>& traces, const std::vector<Rule>& rules,
                const bool (&toggles)[2], const Question& question, const Verdict& verdict) {
  using Fate = RuleTrace::Fate;
  ASSERT_EQ(traces.size(), rules.size());
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    const bool reached = verdict.rule == kNoRule || i <= verdict.rule;
    const Fate fate = !reached                                    ? Fate::kNotReached
                      : rule.mode == "off"                        ? Fate::kModeOff
                      : rule.toggle >= 0 && !toggles[rule.toggle] ? Fate::kToggleOff
                      : naive::Holds(rule.match, question)        ? Fate::kMatched
                                                                  : Fate::kNotMatched;
    ASSERT_EQ(traces[i].fate, fate) << "rule " << i << " " << naive::Write(rule);
    ASSERT_EQ(traces[i].why.empty(), fate != Fate::kNotMatched) << naive::Write(rule);
  }
}

struct Tally {
  int judged = 0;     // rules by which a request was judged
  int held = 0;       // of them, those that matched
  int decisions = 0;  // requests that some rule ended
};

// Requests judged by one rule set: each without memory, then twice with it, and again at the end,
// when the memory has seen them all.
void JudgeByBoth(std::uint64_t seed, std::size_t rule_count, int requests, Tally* tally) {
  Maker maker(seed);
  const std::vector<Rule> rules = maker.Rules(rule_count);
  std::string text;
  for (const Rule& rule : rules) text += naive::Write(rule);
  RuleBook book(text, Scope());
  MatchMemo memo({seed, 1});
  ASSERT_NE(book.policy, nullptr) << "seed " << seed << "\n" << Format(book.diagnostics) << text;

  std::vector<Question> questions;
  for (int i = 0; i < requests; ++i) questions.push_back(maker.OneQuestion());
  const bool toggles[2] = {maker.OneIn(2), maker.OneIn(2)};
  book.Switch(0, toggles[0]);
  book.Switch(1, toggles[1]);
  book.passes.holds = maker.OneIn(2);
  const auto judge = [&](const Question& question, MatchMemo* with) {
    std::vector<HeaderField> fields;
    book.memo = with;
    return InWords(book.JudgeRequest(AsRequest(question, &fields)));
  };
  Texts expected;
  for (const Question& question : questions) {
    expected.push_back(naive::Judge(rules, question, toggles, book.passes.holds));
    for (MatchMemo* with : {static_cast<MatchMemo*>(nullptr), &memo, &memo}) {
      ASSERT_EQ(judge(question, with), expected.back())
          << "seed " << seed << (with == nullptr ? ", without" : ", with") << " memory\n"
          << text << InWords(question);
    }
    std::vector<HeaderField> fields;
    const Request request = AsRequest(question, &fields);
    CheckTrace(book.Explain(request), rules, toggles, question, book.verdict);
    if (testing::Test::HasFatalFailure()) {
      FAIL() << "seed " << seed << "\n" << text << InWords(question);
    }
    tally->judged += static_cast<int>(rule_count);
    tally->held += static_cast<int>(book.verdict.matches.size());
    tally->decisions += book.verdict.rule != kNoRule;
  }
  for (std::size_t i = 0; i < questions.size(); ++i) {
    ASSERT_EQ(judge(questions[i], &memo), expected[i])
        << "seed " << seed << ", with a full memory\n"
        << text << InWords(questions[i]);
  }
}

TEST(TwoEngines, DecideTheSameByFewRules) {
  Tally tally;
  for (std::uint64_t seed = 1; seed <= 600 && !HasFatalFailure(); ++seed) {
    JudgeByBoth(seed, 1 + seed % 8, 40, &tally);
  }
  EXPECT_GT(tally.judged, 100'000);
  // Neither "never" nor "always" would do for an engine.
  EXPECT_GT(tally.held, tally.judged / 10);
  EXPECT_LT(tally.held, tally.judged / 2);
  EXPECT_GT(tally.decisions, 1000);
}

// With many rules tests share fields and stages, and few rules are looked at.
TEST(TwoEngines, DecideTheSameByManyRules) {
  Tally tally;
  for (std::uint64_t seed = 1001; seed <= 1060 && !HasFatalFailure(); ++seed) {
    JudgeByBoth(seed, 40 + seed % 100, 40, &tally);
  }
  EXPECT_GT(tally.judged, 100'000);
  EXPECT_GT(tally.held, 5'000);
}

// Each operator of each condition alone, so that it is often the one that decides.
TEST(TwoEngines, DecideTheSameByOneRule) {
  Tally tally;
  for (std::uint64_t seed = 2001; seed <= 5000 && !HasFatalFailure(); ++seed) {
    JudgeByBoth(seed, 1, 10, &tally);
  }
  EXPECT_GT(tally.held, tally.judged / 10);
}

}  // namespace
}  // namespace spillway
