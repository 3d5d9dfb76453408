// SPDX-License-Identifier: MIT
#include "proxy/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <istream>
#include <ostream>

#include "proxy/http1.h"
#include "proxy/wall_time.h"
#include "spillway/client_address.h"
#include "spillway/posed_request.h"
#include "spillway/target.h"

namespace spillway {
namespace {

// What a terminal can be trusted with.
std::string Printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

// ---- what is asked

// Sets target, and of a URL host and scheme, as curl reads it.
Result<void> TakeTarget(std::string_view typed, RequestTexts* texts) {
  typed = typed.substr(0, typed.find('#'));
  if (typed.starts_with('/') || typed == "*") {
    texts->target = typed;
    return {};
  }
  std::string url(typed);
  if (url.find("://") == std::string::npos) url = "http://" + url;
  const Result<Target> target = ParseTarget(url);
  if (!target) return Fail(Quote(typed) + ": " + target.error().message);
  texts->scheme = EqualsIgnoreCase(target->scheme, "https") ? "https" : "http";
  texts->host = target->authority;
  texts->target = target->raw_path.empty() ? "/" : target->raw_path;
  if (url.find('?') != std::string::npos) texts->target.append("?").append(target->query);
  return {};
}

Result<void> TakeHeader(std::string_view line, RequestTexts* texts) {
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  if (colon == std::string_view::npos || !IsToken(name))
    return Fail("expected a header field such as 'Accept: text/html', found " + Quote(line));
  const std::string_view value = TrimSpace(line.substr(colon + 1));
  if (EqualsIgnoreCase(name, "host")) {
    texts->host = value;
  } else {
    texts->headers.emplace_back(name, value);
  }
  return {};
}

// "GET /path?x=1", perhaps with a version behind it.
Result<void> TakeRequestLine(std::string_view line, RequestTexts* texts) {
  const std::size_t space = line.find(' ');
  const std::string_view rest =
      space == std::string_view::npos ? std::string_view() : TrimSpace(line.substr(space));
  if (rest.empty() || !IsToken(line.substr(0, space)))
    return Fail("expected a request such as 'GET /path?x=1', found " + Quote(line));
  texts->method = line.substr(0, space);
  const std::size_t end = rest.rfind(" HTTP/");
  if (end != std::string_view::npos) texts->protocol = rest.substr(end + 1);
  return TakeTarget(TrimSpace(rest.substr(0, end)), texts);
}

// A request that was written by hand has neither CR nor, perhaps, its empty line.
std::string ReadRaw(std::istream& in, std::size_t most) {
  std::string raw;
  char piece[4096];
  while (raw.size() <= most && (in.read(piece, sizeof(piece)), in.gcount() > 0)) {
    raw.append(piece, static_cast<std::size_t>(in.gcount()));
  }
  if (raw.find('\r') != std::string::npos) return raw;
  std::string lines;
  for (const char c : raw) lines += c == '\n' ? std::string("\r\n") : std::string(1, c);
  if (!lines.ends_with("\r\n")) lines += "\r\n";
  if (lines.find("\r\n\r\n") == std::string::npos) lines += "\r\n";
  return lines;
}

// Refused: the error says with which status, and why.
Result<void> TakeRaw(const std::string& raw, const ClientConfig::Sizes& sizes,
                     RequestTexts* texts) {
  RequestParser parser({sizes.head.count, sizes.headers, sizes.target.count});
  const ParseStep step = parser.Feed(raw.data(), 0, raw.size());
  if (step == ParseStep::kFailed)
    return Fail(fmt::format("{}, since {}", parser.status(), parser.error()));
  if (step != ParseStep::kHead) return Fail("nothing, since its head has no end");
  const RequestHead& head = parser.head();
  texts->method = head.method;
  texts->target = head.target;
  texts->host = head.Get(Field::kHost);
  texts->protocol = fmt::format("HTTP/{}.{}", head.major, head.minor);
  for (std::size_t i = 0; i < head.headers.size(); ++i) {
    if (head.fields[i] == Field::kHost) continue;
    texts->headers.emplace_back(head.headers[i].name, head.headers[i].value);
  }
  return {};
}

Result<void> TakeTyped(const ExplainOrder& order, RequestTexts* texts) {
  Result<void> taken;
  if (!order.request.empty()) taken = TakeRequestLine(order.request, texts);
  if (taken && !order.target.empty()) taken = TakeTarget(order.target, texts);
  if (!order.method.empty()) texts->method = order.method;
  if (!order.user_agent.empty()) texts->headers.emplace_back("User-Agent", order.user_agent);
  if (!order.referer.empty()) texts->headers.emplace_back("Referer", order.referer);
  if (!order.cookie.empty()) texts->headers.emplace_back("Cookie", order.cookie);
  for (const std::string& header : order.headers) {
    if (taken) taken = TakeHeader(header, texts);
  }
  if (!order.scheme.empty()) texts->scheme = order.scheme;
  if (!order.protocol.empty()) texts->protocol = order.protocol;
  if (order.client_address.empty() || !taken) return taken;
  const auto client = IpAddress::Parse(order.client_address);
  if (!client) return Fail("expected an address, found " + Quote(order.client_address));
  texts->client = *client;
  return {};
}

// What a trusted proxy says of its client, as for a live request.
void IdentifyAsker(const ClientConfig& clients, RequestTexts* texts) {
  if (!Contains(clients.trusted_proxies, texts->client)) return;
  std::vector<HeaderField> fields;
  for (const auto& [name, value] : texts->headers) fields.push_back({name, value});
  texts->client =
      IdentifyClient(texts->client, fields, clients.trusted_proxies, clients.address_header);
  const HeaderField* scheme = FindHeader(fields, "x-forwarded-proto");
  if (scheme == nullptr) return;
  for (const char* known : {"http", "https"}) {
    if (EqualsIgnoreCase(scheme->value, known)) texts->scheme = known;
  }
}

Result<void> SetToggles(const std::vector<std::string>& typed, const Policy& policy,
                        Rehearsal* rehearsal) {
  const auto toggles = policy.toggles();
  for (const std::string& one : typed) {
    const std::size_t equals = one.find('=');
    const std::string name = one.substr(0, equals);
    const std::string state = equals == std::string::npos ? "on" : one.substr(equals + 1);
    const auto found = std::find(toggles.begin(), toggles.end(), name);
    if (found == toggles.end())
      return Fail("unknown toggle " + Quote(name) +
                  ExpectedOneOf(name, {toggles.begin(), toggles.end()}));
    if (state != "on" && state != "off")
      return Fail("expected " + name + "=on or " + name + "=off, found " + Quote(one));
    rehearsal->SetToggle(static_cast<std::uint32_t>(found - toggles.begin()), state == "on");
  }
  return {};
}

// ---- what is told

std::string Told(const ConditionTrace& why) {
  std::string text = why.text + (why.holds ? " holds, and must not" : " does not hold");
  std::string found;
  for (const auto& [name, value] : why.found) {
    found += (found.empty() ? "" : ", ") + name + " is '" + value + "'";
  }
  return text + ": " + (found.empty() ? "there is none" : found);
}

std::string TellLimit(const Policy& policy, const Verdict& verdict, std::uint32_t limit) {
  const LimitInfo& info = policy.limits()[limit];
  for (const LimitOutcome& outcome : verdict.limits) {
    if (outcome.limit != limit) continue;
    if (!outcome.state.allowed) return "limit " + info.name + " is used up";
    return fmt::format("limit {}: {} of {} left", info.name, outcome.state.remaining,
                       info.spec.burst);
  }
  return "limit " + info.name + ": not charged";
}

std::string TellMatch(const Policy& policy, const Verdict& verdict, const RuleTrace& trace) {
  const RuleInfo& rule = policy.rules()[trace.rule];
  std::vector<std::string> parts;
  const bool ends = verdict.rule == trace.rule;
  if (ends) {
    parts.push_back("ends it: " + std::string(ActionName(verdict.action)));
  } else if (rule.action == "challenge" && rule.mode == RuleInfo::Mode::kEnforce) {
    parts.emplace_back("the client has passed its challenge");
  }
  for (const std::uint32_t limit : trace.limits) {
    parts.push_back(rule.mode == RuleInfo::Mode::kShadow ? "limit " + policy.limits()[limit].name
                                                         : TellLimit(policy, verdict, limit));
  }
  parts.insert(parts.end(), trace.effects.begin(), trace.effects.end());
  if (rule.mode == RuleInfo::Mode::kShadow)
    parts.push_back(rule.action + " in shadow mode: without effect");
  return parts.empty() ? "" : fmt::format(": {}", fmt::join(parts, "; "));
}

void TellRule(const Policy& policy, const Verdict& verdict, const RuleTrace& trace,
              std::ostream& out) {
  using Fate = RuleTrace::Fate;
  const RuleInfo& rule = policy.rules()[trace.rule];
  const std::string who = rule.name + " (" + rule.place + ")";
  std::string line;
  switch (trace.fate) {
    case Fate::kMatched:
      line = "  yes  " + who + TellMatch(policy, verdict, trace);
      break;
    case Fate::kNotMatched:
      line = "  no   " + who;
      for (std::size_t i = 0; i < trace.why.size(); ++i) {
        line += (i == 0 ? ": " : "; ") + Told(trace.why[i]);
      }
      break;
    case Fate::kToggleOff:
      line = "  off  " + who + ": toggle " + policy.toggles()[rule.toggle] + " is off";
      break;
    case Fate::kModeOff:
      line = "  off  " + who + ": mode: off";
      break;
    case Fate::kOnResponse:
      line = "  ...  " + who + ": judged when there is an answer";
      break;
    case Fate::kNotReached:
      return;
  }
  out << Printable(line) << "\n";
}

std::string TellAction(const Policy& policy, const Verdict& verdict) {
  std::string text(ActionName(verdict.action));
  if (std::holds_alternative<Forward>(verdict.action)) {
    text += " to pool " + policy.pools()[verdict.pool];
  } else if (const auto* deny = std::get_if<Deny>(&verdict.action)) {
    text += fmt::format(" with status {}", deny->status);
  } else if (const auto* limit = std::get_if<OverLimit>(&verdict.action)) {
    text += fmt::format(" with status {}", limit->status);
  } else if (const auto* redirect = std::get_if<Redirect>(&verdict.action)) {
    text += fmt::format(" with status {} to {}", redirect->status, redirect->location);
  } else if (const auto* respond = std::get_if<Respond>(&verdict.action)) {
    text += fmt::format(" with status {}", respond->status);
  }
  if (verdict.rule == kNoRule) return text + ": no rule ended it";
  const RuleInfo& rule = policy.rules()[verdict.rule];
  return text + " by rule " + rule.name + " (" + rule.place + ")";
}

void Tell(const Policy& policy, const Verdict& verdict, const std::vector<RuleTrace>& traces,
          std::ostream& out) {
  std::size_t untried = 0;
  for (const RuleTrace& trace : traces) {
    TellRule(policy, verdict, trace, out);
    untried += trace.fate == RuleTrace::Fate::kNotReached ? 1 : 0;
  }
  if (untried > 0) {
    out << fmt::format("  ...  {} more {} not tried\n", untried,
                       untried == 1 ? "rule is" : "rules are");
  }
  out << Printable(TellAction(policy, verdict)) << "\n";
}

}  // namespace

Result<void> Explain(const ExplainOrder& order, const Config& config, std::uint64_t seed,
                     WallTime now, std::istream& in, std::ostream& out) {
  auto rehearsal = Rehearsal::Create(config, {seed, ~seed});
  if (!rehearsal) return Fail(rehearsal.error().message);
  (*rehearsal)->SetPass(order.pass);
  const std::optional<WallTime> at = order.at.empty() ? now : ParseTime(order.at);
  if (!at)
    return Fail("--at: expected a time such as 2026-01-31T12:00:00Z, found '" + order.at + "'");
  (*rehearsal)->SetWall(*at);
  const Policy& policy = *config.policy;
  if (auto set = SetToggles(order.toggles, policy, rehearsal->get()); !set) return set;
  if (order.jsonl) return ExplainLines(config, **rehearsal, in, out), Result<void>();

  RequestTexts texts;
  Result<void> known;
  if (order.request.empty() && order.target.empty()) {
    const std::string raw = ReadRaw(in, config.clients.sizes.head.count);
    if (raw.find_first_not_of("\r\n") == std::string::npos)
      return Fail(
          "what request? expected a URL or path, --request 'GET /path', or a whole one "
          "on the standard input");
    known = TakeRaw(raw, config.clients.sizes, &texts);
  }
  if (auto typed = TakeTyped(order, &texts); !typed) return typed;
  IdentifyAsker(config.clients, &texts);
  PosedRequest posed;
  if (known) {
    known = posed.Pose(texts, config.clients.ambiguous_paths);
    if (!known) known = Fail("400, since " + known.error().message);
  }
  if (!known) {
    out << "answered before any rule with " << Printable(known.error().message) << "\n";
    return {};
  }
  const Request& request = posed.request();
  out << Printable(fmt::format("{} {}://{}{} from {}; path {}", request.method, request.scheme,
                               texts.host, request.target, request.client.ToString(), request.path))
      << "\n";
  const Verdict& verdict = (*rehearsal)->Judge(request);
  Tell(policy, verdict, (*rehearsal)->Explain(request), out);
  return {};
}

}  // namespace spillway
