// SPDX-License-Identifier: MIT
#include "proxy/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <istream>
#include <ostream>

#include "proxy/explain_telling.h"
#include "proxy/http1.h"
#include "proxy/wall_time.h"
#include "spillway/bots.h"
#include "spillway/client_address.h"
#include "spillway/posed_request.h"
#include "spillway/printable.h"
#include "spillway/target.h"

namespace spillway {
namespace {

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

}  // namespace

Result<void> TakeSaid(const std::string& country, const std::string& network,
                      const std::string& verified_bot, SaidOfClient* said) {
  if (!country.empty()) {
    auto code = ParseCountry(country);
    if (!code) return Fail(std::move(code.error().message));
    said->country = std::move(*code);
  }
  if (!network.empty()) {
    auto number = ParseNetwork(network);
    if (!number) return Fail(std::move(number.error().message));
    said->network = *number;
  }
  if (!verified_bot.empty()) {
    const auto check = ReadBotWord(verified_bot);
    if (!check)
      return Fail("expected yes, forged or unknown of a robot, found " + Quote(verified_bot));
    said->bot = *check;
  }
  return {};
}

namespace {

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
  if (taken) taken = TakeSaid(order.country, order.network, order.verified_bot, &texts->said);
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
      return Fail(fmt::format("expected {0}=on or {0}=off, found {1}", name, Quote(one)));
    rehearsal->SetToggle(static_cast<std::uint32_t>(found - toggles.begin()), state == "on");
  }
  return {};
}

// ---- what is told

std::string TellEnd(const Policy& policy, const Verdict& verdict) {
  std::string text = TellAction(verdict.action);
  if (std::holds_alternative<Forward>(verdict.action))
    text += " to pool " + policy.pools()[verdict.pool];
  if (verdict.rule == kNoRule) return text + ": no rule ended it";
  const RuleInfo& rule = policy.rules()[verdict.rule];
  return text + " by rule " + rule.name + " (" + rule.place + ")";
}

void Tell(const Policy& policy, const Verdict& verdict, const std::vector<RuleTrace>& traces,
          std::ostream& out) {
  const ToldRules told = TellRules(policy, verdict, traces);
  for (const ToldRule& rule : told.rules) out << Printable(LineOf(rule)) << "\n";
  if (told.untried > 0) out << LineOfUntried(told.untried) << "\n";
  out << Printable(TellEnd(policy, verdict)) << "\n";
}

}  // namespace

Result<void> Explain(const ExplainOrder& order, const Config& config, std::uint64_t seed,
                     WallTime now, std::istream& in, std::ostream& out) {
  auto rehearsal = Rehearsal::Create(config, {seed, ~seed});
  if (!rehearsal) return Fail(rehearsal.error().message);
  (*rehearsal)->SetPass(order.pass || order.is_protected);  // neither is challenged
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
  if (!order.verified_bot.empty() && ClaimedBot(config.bots.known, request) == nullptr) {
    out << "note: --verified-bot says nothing here: the user agent claims to be no robot of "
           "bots.known\n";
  }
  (*rehearsal)->Say(texts.said);
  const Verdict& verdict = (*rehearsal)->Judge(request);
  Tell(policy, verdict, (*rehearsal)->Explain(request), out);
  return {};
}

}  // namespace spillway
