// SPDX-License-Identifier: MIT
#include "spillway/rule_test.h"

#include <variant>

#include "rules/gcra.h"
#include "spillway/rehearsal.h"

namespace spillway {
namespace {

// Any will do.
constexpr WallTime kMonday = std::chrono::sys_days(std::chrono::January / 1 / 2024);

using Expectation = RuleTest::Expectation;
using Action = Expectation::Action;

// What became of a request, in the words of an expectation.
struct Outcome {
  std::string_view action;
  std::optional<int> status;
  std::string_view rule, place;  // empty: none ended it
  std::string_view limit;        // the one that is used up
};

Outcome OutcomeOf(const Policy& policy, const Verdict& verdict) {
  Outcome outcome{ActionName(verdict.action), StatusOf(verdict.action), {}, {}, {}};
  if (verdict.rule != kNoRule) {
    outcome.rule = policy.rules()[verdict.rule].name;
    outcome.place = policy.rules()[verdict.rule].place;
  }
  if (std::holds_alternative<OverLimit>(verdict.action)) {
    outcome.limit = policy.limits()[verdict.limits.back().limit].name;
  }
  return outcome;
}

std::string_view NameOf(Action action) {
  constexpr std::string_view kNames[] = {"forward",   "allow",    "deny",    "limit",
                                         "challenge", "redirect", "respond", "drop"};
  return kNames[static_cast<std::size_t>(action)];
}

bool Meets(const Expectation& expect, const Outcome& outcome) {
  const bool action = expect.action == Action::kAllow
                          ? outcome.action == "forward" && !outcome.rule.empty()
                          : outcome.action == NameOf(expect.action);
  return action && (expect.rule.empty() || expect.rule == outcome.rule) &&
         (expect.limit.empty() || expect.limit == outcome.limit) &&
         (!expect.status || expect.status == outcome.status);
}

// "limit with status 429 by rule 'clients' (site.yaml:12), limit 'per-client'"
std::string InWords(const Outcome& outcome) {
  std::string text(outcome.action);
  if (outcome.status) text += " with status " + std::to_string(*outcome.status);
  if (outcome.rule.empty()) {
    text += " by no rule";
  } else {
    text += " by rule " + Quote(outcome.rule) + " (" + std::string(outcome.place) + ")";
  }
  if (!outcome.limit.empty()) text += ", limit " + Quote(outcome.limit);
  return text;
}

std::string InWords(const Expectation& expect) {
  std::string text(NameOf(expect.action));
  if (expect.status) text += " with status " + std::to_string(*expect.status);
  if (!expect.rule.empty()) text += " by rule " + Quote(expect.rule);
  if (!expect.limit.empty()) text += ", limit " + Quote(expect.limit);
  return text;
}

Diagnostic Failure(const RuleTest& test, std::uint32_t number, const std::string& came) {
  const bool early = number <= test.expect.after;
  Diagnostic failure = test.place;
  failure.message = "the test " + Quote(test.name) + " fails: expected ";
  failure.message +=
      early ? "forward for the first " + std::to_string(test.expect.after) : InWords(test.expect);
  if (!early && test.expect.after > 0)
    failure.message += " after " + std::to_string(test.expect.after);
  failure.message += "; found " + came;
  if (test.repeat > 1) {
    failure.message +=
        ", for request " + std::to_string(number) + " of " + std::to_string(test.repeat);
  }
  return failure;
}

// The time of the request that has so many before it.
Duration TimeOf(const Rate& spacing, std::uint32_t before) {
  const Wide time = static_cast<Wide>(spacing.period.count()) * before / spacing.events;
  return Duration(static_cast<std::int64_t>(time));
}

// The answers of a test, as they are given to one request after another.
class Answers {
 public:
  explicit Answers(const RuleTest& test) : test_(test) { Take(); }

  const Response& Next() {
    if (given_++ > 0 && at_ + 1 < test_.answers.size()) {
      ++at_;
      Take();
    }
    return response_;
  }

 private:
  void Take() {
    response_.status = 200;
    if (test_.answers.empty()) return;
    const AnswerTexts& texts = test_.answers[at_];
    headers_.clear();
    for (const auto& [name, value] : texts.headers) headers_.push_back({name, value});
    response_ = {texts.status, headers_};
  }

  const RuleTest& test_;
  std::size_t at_ = 0, given_ = 0;
  std::vector<HeaderField> headers_;
  Response response_;
};

std::optional<Diagnostic> Run(const Config& config, const RuleTest& test, Rehearsal* rehearsal) {
  rehearsal->ResetToggles();
  for (const auto& [toggle, on] : test.toggles) rehearsal->SetToggle(toggle, on);
  rehearsal->SetPass(test.pass);
  rehearsal->LeaveOut(test.left_out.empty() ? nullptr : &test.left_out);
  rehearsal->SetWall(kMonday + test.into_week);
  rehearsal->Say(test.request.said);
  if (const Result<void> fresh = rehearsal->Fresh(); !fresh)
    return Failure(test, 1, fresh.error().message);

  PosedRequest posed;
  const auto refused = posed.Pose(test.request, config.clients.ambiguous_paths);
  if (!refused) {
    return Failure(test, 1, "an answer with 400 before any rule, since " + refused.error().message);
  }
  Expectation forward;
  Answers answers(test);
  for (std::uint32_t i = 0; i < test.repeat; ++i) {
    const Verdict& verdict = rehearsal->Judge(posed.request(), TimeOf(test.spacing, i));
    const Outcome outcome = OutcomeOf(*config.policy, verdict);
    if (!Meets(i < test.expect.after ? forward : test.expect, outcome)) {
      return Failure(test, i + 1, InWords(outcome));
    }
    if (outcome.action == "forward") rehearsal->Answer(posed.request(), answers.Next());
  }
  return std::nullopt;
}

}  // namespace

Diagnostics RunRuleTests(const Config& config) {
  Diagnostics failures;
  if (config.tests.empty()) return failures;
  const auto rehearsal = Rehearsal::Create(config);
  if (!rehearsal) {
    failures.push_back(config.tests.front().place);
    failures.back().message = "the tests cannot be run: " + rehearsal.error().message;
    return failures;
  }
  for (const RuleTest& test : config.tests) {
    if (auto failure = Run(config, test, rehearsal->get())) failures.push_back(*std::move(failure));
  }
  return failures;
}

}  // namespace spillway
