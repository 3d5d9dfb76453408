// SPDX-License-Identifier: MIT
// `tests`: requests that nobody sent, and what is to become of them. Read last, since they name rules,
// limits and toggles. The parts of a request have the names that conditions have.
#include <algorithm>
#include <span>

#include "rules/actions.h"
#include "rules/conditions.h"
#include "rules/draft.h"
#include "rules/kind_row.h"
#include "rules/week.h"

namespace spillway {
namespace {

using Expectation = RuleTest::Expectation;

constexpr std::size_t kMostName = 200;

// A request as its parts are read, in any order.
struct RequestReader {
  RequestTexts& texts;
  std::string query = {}, cookies = {};
};
// What is to be read: `name` is the user's part of the key.
struct PartSlot {
  const yaml::Node& key;
  std::string_view name;
  const yaml::Node& value;
};
using PartFunction = void(RequestReader& reader, const PartSlot& slot);

// A text that could stand in one line of a request; reported when it is none.
std::optional<std::string> ReadLine(const yaml::Node& node) {
  if (node.is_scalar() && LegalFieldValue(node.text())) return std::string(node.text());
  node.Fail("expected a text without control characters and outer white space, found " +
            (node.is_scalar() ? yaml::Quote(node.text()) : std::string(KindName(node.kind()))));
  return std::nullopt;
}

// One of the words that the condition of this name knows.
void ReadWord(const PartSlot& slot, std::string* out) {
  std::span<const std::string_view> words;
  for (const Condition& row : RequestConditions()) {
    if (row.name == slot.key.text()) words = row.asks.words;
  }
  if (!ExpectScalar(slot.value, "a " + std::string(slot.key.text()))) return;
  const std::string_view text = slot.value.text();
  if (std::find(words.begin(), words.end(), text) != words.end()) {
    *out = text;
  } else {
    slot.value.Fail("unknown " + std::string(slot.key.text()) + " " + yaml::Quote(text) +
                    yaml::ExpectedOneOf(text, {words.begin(), words.end()}));
  }
}

void ReadMethod(RequestReader& reader, const PartSlot& slot) {
  ReadWord(slot, &reader.texts.method);
}

void ReadScheme(RequestReader& reader, const PartSlot& slot) {
  ReadWord(slot, &reader.texts.scheme);
}

void ReadProtocol(RequestReader& reader, const PartSlot& slot) {
  ReadWord(slot, &reader.texts.protocol);
}

void ReadHost(RequestReader& reader, const PartSlot& slot) {
  if (auto text = ReadLine(slot.value)) reader.texts.host = *std::move(text);
}

void ReadPath(RequestReader& reader, const PartSlot& slot) {
  if (slot.value.is_scalar() && slot.value.text().starts_with('/')) {
    reader.texts.target = slot.value.text();
  } else {
    slot.value.Fail("expected a path that begins with '/', such as /search?q=a");
  }
}

// As a form would send it.
void AppendEncoded(std::string_view text, std::string* out) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (IsTokenChar(c) && std::string_view("%&+#").find(c) == std::string_view::npos) {
      *out += c;
    } else {
      out->append(1, '%').append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
    }
  }
}

void ReadQuery(RequestReader& reader, const PartSlot& slot) {
  if (slot.name.empty()) slot.key.Fail("expected the name of a query parameter after 'query.'");
  for (const yaml::Node& item : slot.value.Items()) {
    if (!item.is_scalar()) {
      item.Fail("expected a text, found " + std::string(KindName(item.kind())));
      continue;
    }
    if (!reader.query.empty()) reader.query += '&';
    AppendEncoded(slot.name, &reader.query);
    reader.query += '=';
    AppendEncoded(item.text(), &reader.query);
  }
}

void ReadField(RequestReader& reader, std::string_view name, const yaml::Node& value) {
  for (const yaml::Node& item : value.Items()) {
    if (auto text = ReadLine(item)) {
      reader.texts.headers.emplace_back(std::string(name), *std::move(text));
    }
  }
}

void ReadHeader(RequestReader& reader, const PartSlot& slot) {
  if (!IsToken(slot.name)) {
    slot.key.Fail("expected the name of a header field after 'header.', found " +
                  yaml::Quote(slot.name));
  } else if (EqualsIgnoreCase(slot.name, "host")) {
    slot.key.Fail("the Host of a request is what `host` says");
  } else {
    ReadField(reader, slot.name, slot.value);
  }
}

void ReadCookie(RequestReader& reader, const PartSlot& slot) {
  if (!IsToken(slot.name)) {
    slot.key.Fail("expected the name of a cookie after 'cookie.', found " + yaml::Quote(slot.name));
    return;
  }
  for (const yaml::Node& item : slot.value.Items()) {
    const auto text = ReadLine(item);
    if (!text) continue;
    if (text->find(';') != std::string::npos)
      item.Fail("a ';' would end the cookie; expected its value alone");
    reader.cookies.append(reader.cookies.empty() ? "" : "; ").append(slot.name);
    reader.cookies.append("=").append(*text);
  }
}

void ReadUserAgent(RequestReader& reader, const PartSlot& slot) {
  ReadField(reader, "User-Agent", slot.value);
}

void ReadReferer(RequestReader& reader, const PartSlot& slot) {
  ReadField(reader, "Referer", slot.value);
}

void ReadAddress(RequestReader& reader, const PartSlot& slot) {
  if (const auto address = IpAddress::Parse(slot.value.text())) {
    reader.texts.client = *address;
  } else {
    slot.value.Fail("expected an address such as 192.0.2.1 or 2001:db8::1, found " +
                    (slot.value.is_scalar() ? yaml::Quote(slot.value.text())
                                            : std::string(KindName(slot.value.kind()))));
  }
}

void ReadJa4(RequestReader& reader, const PartSlot& slot) {
  if (auto text = ReadLine(slot.value)) reader.texts.ja4 = *std::move(text);
}

void ReadCertificate(RequestReader& reader, const PartSlot& slot) {
  if (auto text = ReadLine(slot.value)) reader.texts.client_certificate = *std::move(text);
}

void ReadCountry(RequestReader& reader, const PartSlot& slot) {
  const Result<std::string> code = ParseCountry(slot.value.text());
  if (code) {
    reader.texts.said.country = *code;
  } else {
    slot.value.Fail(code.error().message);
  }
}

void ReadNetwork(RequestReader& reader, const PartSlot& slot) {
  const Result<std::uint32_t> number = ParseNetwork(slot.value.text());
  if (number) {
    reader.texts.said.network = *number;
  } else {
    slot.value.Fail(number.error().message);
  }
}

void ReadVerifiedBot(RequestReader& reader, const PartSlot& slot) {
  if (!ExpectScalar(slot.value, "yes, forged or unknown")) return;
  const std::string_view text = slot.value.text();
  if (const auto check = ReadBotWord(text)) {
    reader.texts.said.bot = *check;
  } else if (text == WordOf(BotCheck::kNone)) {
    slot.value.Fail("who claims to be a robot is yes, forged or unknown; none is who does not");
  } else {
    slot.value.Fail("unknown word " + yaml::Quote(text) +
                    yaml::ExpectedOneOf(text, {"yes", "forged", "unknown"}));
  }
}

constexpr KindRow<PartFunction> kParts[] = {
    {"method", "value", "the method; without it GET", &ReadMethod},
    {"path", "path of a URL",
     "path and query as they are sent, such as /search?q=a, of at most 64 KiB; without it /",
     &ReadPath},
    {"query.NAME", "value, list of values", "this query parameter, encoded, behind those of `path`",
     &ReadQuery},
    {"host", "value", "the host; without it localhost; '': there is none", &ReadHost},
    {"scheme", "http | https", "the scheme as the client sees it; without it http", &ReadScheme},
    {"protocol", "HTTP/1.0 | HTTP/1.1 | HTTP/2.0", "the version of HTTP; without it HTTP/1.1",
     &ReadProtocol},
    {"header.NAME", "value, list of values", "this header field, a line for each value",
     &ReadHeader},
    {"cookie.NAME", "value, list of values", "this cookie", &ReadCookie},
    {"user_agent", "value", "the User-Agent; without it there is none", &ReadUserAgent},
    {"referer", "value", "the Referer; without it there is none", &ReadReferer},
    {"client.address", "IP address", "who asks; without it 198.51.100.1", &ReadAddress},
    {"client.country", "country code", "where the address is; without it that is not known",
     &ReadCountry},
    {"client.asn", "AS number", "whose the address is; without it that is not known", &ReadNetwork},
    {"client.verified_bot", "yes | forged | unknown",
     "what DNS says of a user agent that claims to be a robot; without it unknown",
     &ReadVerifiedBot},
    {"tls.ja4", "value", "the JA4 fingerprint; without it there is none", &ReadJa4},
    {"tls.client_certificate", "value", "the subject of the client's certificate",
     &ReadCertificate},
};

void ReadPart(RequestReader& reader, const yaml::Node& key, const yaml::Node& value) {
  std::string_view name;
  for (const KindRow<PartFunction>& row : kParts) {
    if (Covers(row, key.text(), &name)) return row.parse(reader, {key, name, value});
  }
  std::vector<std::string> legal;
  AppendNames(std::span<const KindRow<PartFunction>>(kParts), &legal);
  key.Fail("unknown part of a request " + yaml::Quote(key.text()) +
           yaml::ExpectedOneOf(key.text(), legal));
}

constexpr std::size_t kMostTarget = std::size_t{64} << 10;  // as clients.sizes.target at most

// What a live request would be refused for without any rule is a mistake in a test.
void CheckPosed(const yaml::Node& request, const RequestTexts& texts) {
  PosedRequest posed;
  if (texts.target.size() > kMostTarget) {
    request.Get("path").Fail("no request may have a target of more than 64 KiB");
  } else if (const auto fault = posed.Pose(texts, AmbiguousPaths::kPass); !fault) {
    RequestTexts without_host = texts;
    without_host.host.clear();
    const bool host = posed.Pose(without_host, AmbiguousPaths::kPass).has_value();
    request.Get(host ? "host" : "path").Fail("no request can be so: " + fault.error().message);
  }
}

// A test as its keys are read, in any order.
struct TestDraft {
  const std::vector<std::string>& rules;
  const std::vector<std::string>& limits;
  const std::vector<ToggleConfig>& known_toggles;
  RuleTest test = {};
  yaml::Node name = {}, expect = {}, rate = {};
};

void ReadRequest(const Slot& slot, TestDraft* out) {
  if (!ExpectMap(slot.node, "{ method: POST, path: /login }")) return;
  const std::size_t errors = slot.node.diagnostics().size();
  RequestTexts& texts = out->test.request;
  RequestReader reader{texts};
  for (const auto& [key, value] : slot.node.Entries()) ReadPart(reader, key, value);
  if (!reader.query.empty()) {
    texts.target += texts.target.find('?') == std::string::npos ? '?' : '&';
    texts.target += reader.query;
  }
  if (!reader.cookies.empty()) texts.headers.emplace_back("Cookie", std::move(reader.cookies));
  if (slot.node.diagnostics().size() == errors) CheckPosed(slot.node, texts);
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
    slot.node.Fail("expected a list of tests, each beginning with '- ', found " +
                   std::string(KindName(slot.node.kind())));
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

void AppendRequestKinds(std::vector<Kind>* kinds) {
  AppendKinds("request", std::span<const KindRow<PartFunction>>(kParts), kinds);
}

}  // namespace spillway
