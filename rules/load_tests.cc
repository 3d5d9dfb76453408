// SPDX-License-Identifier: MIT
// `tests`: requests that nobody sent, and what is to become of them. Read last, since they name rules,
// limits and toggles. What a request is made of: load_test_requests.cc; an answer: load_test_answers.cc.
#include <algorithm>

#include "rules/draft.h"
#include "rules/week.h"

namespace spillway {
namespace {

using Expectation = RuleTest::Expectation;

constexpr std::size_t kMostName = 200;

// A test as its keys are read, in any order.
struct TestDraft {
  const std::vector<std::string>& rules;
  const std::vector<std::string>& limits;
  const std::vector<ToggleConfig>& known_toggles;
  RuleTest test = {};
  yaml::Node name = {}, expect = {}, rate = {};
};

void ReadRequest(const Slot& slot, TestDraft* out) {
  ReadTestRequest(slot.node, &out->test.request);
}

void ReadAnswer(const Slot& slot, TestDraft* out) {
  ReadTestAnswers(slot.node, &out->test.answers);
}

void ReadRepeat(const Slot& slot, TestDraft* out) {
  ReadValue(slot, &out->test.repeat);
}

void ReadEvery(const Slot& slot, TestDraft* out) {
  ReadValue(slot, &out->test.spacing.period);
}

// As `every`, so that its own bound holds: an hour from one to the next.
void ReadRateOf(const Slot& slot, TestDraft* out) {
  out->rate = slot.node;
  Rate rate;
  const std::size_t errors = slot.node.diagnostics().size();
  ReadValue(slot, &rate);
  if (slot.node.diagnostics().size() > errors) return;
  out->test.spacing = rate;
  if (rate.period / static_cast<std::int64_t>(std::min<std::uint64_t>(rate.events, 1U << 30)) >
      std::chrono::hours(1)) {
    slot.node.Fail("fewer than one request an hour; expected a higher rate");
  }
}

void ReadTime(const Slot& slot, TestDraft* out) {
  constexpr std::string_view kWhat = "a day and a time of day in UTC, such as sat 23:30";
  if (!ExpectScalar(slot.node, kWhat)) return;
  if (const auto minutes = DayAndTime(slot.node.text())) {
    out->test.into_week = std::chrono::minutes(*minutes);
  } else {
    slot.node.Fail("expected " + std::string(kWhat) + ", found " + yaml::Quote(slot.node.text()));
  }
}

void ReadTestToggles(const Slot& slot, TestDraft* out) {
  if (!ExpectMap(slot.node, "{ surge: on }")) return;
  std::vector<std::string> names;
  for (const ToggleConfig& toggle : out->known_toggles) names.push_back(toggle.name);
  for (const auto& [key, value] : slot.node.Entries()) {
    const auto toggle = ReadName(key, "toggle", names);
    const auto on = ReadBool(value);
    if (toggle && on) out->test.toggles.emplace_back(*toggle, *on);
  }
}

void ReadPass(const Slot& slot, TestDraft* out) {
  bool pass = false;
  ReadValue(slot, &pass);
  out->test.pass = out->test.pass || pass;
}

// To rules it is the same: whoever is protected is not challenged.
void ReadProtected(const Slot& slot, TestDraft* out) {
  bool is_protected = false;
  ReadValue(slot, &is_protected);
  out->test.pass = out->test.pass || is_protected;
}

struct ExpectDraft {
  const TestDraft& test;
  Expectation expect = {};
  yaml::Node limit = {}, status = {}, after = {};
};

void ReadAction(const Slot& slot, ExpectDraft* out) {
  // Whatever it is called elsewhere: nothing but a refusal by a limit has a limit.
  const bool limited = !out->test.expect.Get("limit").missing();
  if (limited && slot.node.is_scalar() && slot.type.find(slot.node.text()) == std::string::npos) {
    slot.node.Fail("unknown action " + yaml::Quote(slot.node.text()) +
                   "; a refusal by the limit beside it is action: limit");
    return;
  }
  if (const auto choice = ReadChoice(slot.node, slot.type, "action")) {
    out->expect.action = static_cast<Expectation::Action>(*choice);
  }
}

void ReadRule(const Slot& slot, ExpectDraft* out) {
  if (const auto rule = ReadName(slot.node, "rule", out->test.rules)) {
    out->expect.rule = out->test.rules[*rule];
  }
}

void ReadLimitOf(const Slot& slot, ExpectDraft* out) {
  out->limit = slot.node;
  if (const auto limit = ReadName(slot.node, "limit", out->test.limits)) {
    out->expect.limit = out->test.limits[*limit];
  }
}

void ReadStatus(const Slot& slot, ExpectDraft* out) {
  out->status = slot.node;
  std::uint32_t status = 0;
  ReadValue(slot, &status);
  if (status != 0) out->expect.status = static_cast<int>(status);
}

void ReadAfter(const Slot& slot, ExpectDraft* out) {
  out->after = slot.node;
  ReadValue(slot, &out->expect.after);
}

constexpr std::string_view kActionWords =
    "forward | allow | deny | limit | challenge | redirect | respond | drop";

constexpr KeyRow<ExpectDraft> kExpectRows[] = {
    {"action", kActionWords, "",
     "what becomes of it; forward: by whichever rule or none; allow: forwarded by an allow rule",
     &ReadAction, nullptr, "an action: forward, allow, deny, limit, challenge, redirect, ..."},
    {"rule", "name", "", "the rule that ends it", &ReadRule},
    {"limit", "name", "", "with limit: the one that is used up", &ReadLimitOf},
    {"status", "integer 200..599", "", "the status of a denial, refusal, redirect or response",
     &ReadStatus},
    {"after", "integer 0..99999", "0",
     "so many requests are forwarded first; all that follow come to this", &ReadAfter},
};

void KeepExpect(const Slot& slot, TestDraft* out) {
  out->expect = slot.node;
}

constexpr KeyRow<TestDraft> kTestRows[] = {
    {"name", "text", "", "what it shows, in at most 200 bytes; unique", &Keep<&TestDraft::name>,
     nullptr, "a name such as: the office is never limited"},
    {"request", "map of request parts", "", "who asks for what; without it GET /", &ReadRequest},
    {"answer", "integer 200..599, map of answer parts, or list of these", "200",
     "what the server answers when it is forwarded; a list: in turn, the last one from then on",
     &ReadAnswer},
    {"repeat", "integer 1..100000", "1", "how many times it is asked, of 200000 in all tests",
     &ReadRepeat},
    {"every", "duration 0s..1h", "0s", "the time from one to the next", &ReadEvery},
    {"rate", "rate", "", "how many in what time, instead of `every`", &ReadRateOf},
    {"time", "day and time", "mon 12:00", "when it is asked first, in UTC", &ReadTime},
    {"toggles", "map of names to on/off", "", "toggles that stand otherwise than by default",
     &ReadTestToggles},
    {"pass", "true | false", "false", "the client has passed every challenge", &ReadPass},
    {"protected", "true | false", "false",
     "the visitor is in the middle of something (`protect`), and so is not challenged",
     &ReadProtected},
    {"expect", "map", "", "what is to become of it", &KeepExpect, &ListSection<kExpectRows>,
     "what is to become of it, such as { action: forward }"},
};

// What one key says of another.
void CheckExpectation(const ExpectDraft& draft) {
  using Action = Expectation::Action;
  const Action action = draft.expect.action;
  const bool forwards = action == Action::kForward || action == Action::kAllow;
  if (!draft.limit.missing() && action != Action::kLimit)
    draft.limit.Fail("only a refusal by a limit has one; expected action: limit beside it");
  if (!draft.status.missing() &&
      (forwards || action == Action::kChallenge || action == Action::kDrop)) {
    draft.status.Fail(
        "the rules do not say the status of this; it is known of deny, limit, redirect "
        "and respond");
  }
  if (draft.expect.after == 0) return;
  if (forwards) {
    draft.after.Fail("all are forwarded, those that come first too; leave it out");
  } else if (draft.expect.after >= draft.test.test.repeat) {
    draft.after.Fail("nothing comes after " + std::to_string(draft.expect.after) +
                     " requests; expected a `repeat` above that");
  }
}

void ReadExpect(TestDraft* draft, Loader& loader) {
  if (draft->expect.missing()) return;
  ExpectDraft reader{*draft};
  const std::size_t errors = draft->expect.diagnostics().size();
  ReadKeys(draft->expect, kExpectRows, loader, &reader, "{ action: forward }");
  if (draft->expect.diagnostics().size() == errors) CheckExpectation(reader);
  draft->test.expect = std::move(reader.expect);
  draft->test.place = draft->expect.About("");
}

void ReadTestName(TestDraft* draft, Draft* all) {
  if (draft->name.missing()) return;
  const auto text = ReadText(draft->name);
  if (!text) return;
  if (text->size() > kMostName) draft->name.Fail("a name has at most 200 bytes");
  TakeName("test", draft->name, all);
  draft->test.name = *text;
}

}  // namespace

void KeepTests(const Slot& slot, Draft* draft) {
  if (slot.node.kind() == yaml::NodeKind::kNull) return;
  if (!slot.node.is_list()) {
    slot.node.Fail(
        "expected a list of tests, each beginning with '- ', such as - { name: all may look, "
        "expect: { action: forward } }, found " +
        Found(slot.node));
    return;
  }
  for (const yaml::Node& test : slot.node.Items()) draft->tests.push_back(test);
}

void ReadTests(const std::vector<std::string>& rules, const std::vector<std::string>& limits,
               Loader& loader, Draft* draft) {
  std::uint64_t judged = 0;
  for (const yaml::Node& node : draft->tests) {
    if (draft->config.tests.size() == kMostTests) {
      node.Fail("there are more than " + std::to_string(kMostTests) + " tests");
      return;
    }
    TestDraft reader{rules, limits, draft->config.toggles};
    ReadKeys(node, kTestRows, loader, &reader,
             "{ name: all may look, expect: { action: forward } }");
    ReadTestName(&reader, draft);
    ReadExpect(&reader, loader);
    if (node.is_map() && !reader.rate.missing() && !node.Get("every").missing())
      reader.rate.Fail("a test has `every` or `rate`, not both");
    const bool fits = judged <= kMostJudged;
    judged += reader.test.repeat;
    if (fits && judged > kMostJudged) {
      node.Get("repeat").Fail("the tests up to here judge more than " +
                              std::to_string(kMostJudged) + " requests; expected fewer");
    }
    draft->config.tests.push_back(std::move(reader.test));
  }
}

void ListTestKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListItems<kTestRows>(name, kinds);
}

}  // namespace spillway
