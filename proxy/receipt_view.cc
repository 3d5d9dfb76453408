// SPDX-License-Identifier: MIT
// The trace is made anew, by the rules that judged the request, of what the receipt kept of it: which
// rules matched is recorded, and why others did not is found by their conditions. A condition that
// asks what was not kept, or was cut, is not told: it could be told wrongly.
#include "proxy/receipt_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "proxy/deadline_fields.h"
#include "proxy/explain_telling.h"
#include "proxy/generation.h"
#include "proxy/wall_time.h"
#include "spillway/posed_request.h"
#include "spillway/printable.h"

namespace spillway {
namespace {

using Text = Receipt::Text;

struct Kept {
  Text text;
  const char* key;    // in the answer
  const char* field;  // what conditions call it; nullptr: they do not ask it
};

constexpr Kept kRequestTexts[] = {
    {Text::kClient, "client", nullptr},
    {Text::kMethod, "method", "method"},
    {Text::kHost, "host", "host"},
    {Text::kPath, "path", "path"},
    {Text::kQuery, "query", nullptr},  // conditions ask for parts of it
    {Text::kUserAgent, "user_agent", "user_agent"},
    {Text::kReferer, "referer", "referer"},
    {Text::kAcceptLanguage, "accept_language", "header.accept-language"},
    {Text::kJa4, "ja4", "tls.ja4"},
};

std::string_view Get(const Receipt& receipt, Text text) {
  return receipt.Get(text).value_or(std::string_view());
}

std::string_view SchemeOf(const Receipt& receipt) {
  return receipt.https ? "https" : "http";
}

std::string_view ProtocolOf(const Receipt& receipt) {
  const auto end = std::find(receipt.protocol.begin(), receipt.protocol.end(), '\0');
  return {receipt.protocol.data(), static_cast<std::size_t>(end - receipt.protocol.begin())};
}

// What stands in the way of knowing what a condition made of `field`.
std::string Unknown(const Receipt& receipt, const std::string& field, bool bot_known) {
  if (field == "client.verified_bot" && bot_known) return {};
  for (const char* kept : {"scheme", "protocol", "client.address", "sample", "time"}) {
    if (field == kept) return {};
  }
  for (const Kept& kept : kRequestTexts) {
    const bool of_query = kept.text == Text::kQuery && field.starts_with("query.");
    if (!of_query && (kept.field == nullptr || field != kept.field)) continue;
    return receipt.cut(kept.text) ? std::string(kept.key) + " was cut" : std::string();
  }
  return field + " is not kept";
}

FinalAction ActionOf(const Receipt& receipt) {
  switch (receipt.decision) {
    case Decision::kLimit:
      return OverLimit{receipt.status};
    case Decision::kChallenge:
      return Challenge{};
    case Decision::kRespond:
      return Respond{receipt.status, {}, {}, nullptr};
    case Decision::kDrop:
      return Drop{};
    case Decision::kShed:
    case Decision::kUpstreamError:
      return Forward{};  // so the rules had it
    default:
      return Deny{receipt.status};
  }
}

Verdict VerdictOf(const Receipt& receipt) {
  Verdict verdict;
  verdict.action = ActionOf(receipt);
  verdict.rule = receipt.rule;
  for (std::size_t i = 0; i < receipt.limits_size; ++i) {
    const Receipt::Limit& limit = receipt.limits[i];
    verdict.limits.push_back({limit.limit,
                              {limit.allowed, limit.from_parent, limit.remaining,
                               Duration(limit.retry_after), Duration(limit.reset)}});
  }
  for (std::size_t i = 0; i < receipt.matches_size; ++i) {
    verdict.matches.push_back({receipt.matches[i], false, false});
  }
  if (receipt.matches_cut) verdict.matches.push_back({receipt.rule, false, false});
  return verdict;
}

Json ViewTrace(const Receipt& receipt, const Config& config, const Verdict& verdict,
               std::size_t* untried) {
  const Policy& policy = *config.policy;
  std::vector<HeaderField> headers;
  const auto add = [&](Text text, const char* name) {
    if (const auto value = receipt.Get(text)) headers.push_back({name, *value});
  };
  add(Text::kUserAgent, "User-Agent");
  add(Text::kReferer, "Referer");
  add(Text::kAcceptLanguage, "Accept-Language");
  Request request;
  request.method = Get(receipt, Text::kMethod);
  request.path = request.target = Get(receipt, Text::kPath);
  request.query = Get(receipt, Text::kQuery);
  request.host = Get(receipt, Text::kHost);
  request.scheme = SchemeOf(receipt);
  request.protocol = ProtocolOf(receipt);
  request.ja4 = Get(receipt, Text::kJa4);
  request.headers = headers;
  if (const auto client = IpAddress::Parse(Get(receipt, Text::kClient))) request.client = *client;

  // A policy may have more toggles than a receipt: those count as off.
  const auto toggles = std::make_unique<bool[]>(policy.toggles().size() + 1);
  std::copy_n(receipt.toggles.begin(),
              std::min<std::size_t>(receipt.toggles_size, policy.toggles().size()), toggles.get());
  Facts facts;
  facts.toggles = {toggles.get(), policy.toggles().size()};
  facts.wall = WallTime(Duration(receipt.when));
  PosedSurroundings around(config.bots.known);
  around.Say({.bot = receipt.bot().value_or(BotCheck::kUnknown)});
  facts.surroundings = &around;
  const bool bot_known = receipt.bot() || (!receipt.cut(Text::kUserAgent) &&
                                           ClaimedBot(config.bots.known, request) == nullptr);
  const ToldRules told =
      TellRules(policy, verdict, policy.Explain(request, facts, verdict),
                [&](const std::string& field) { return Unknown(receipt, field, bot_known); });
  *untried = told.untried;
  Json trace = Json::array();
  for (const ToldRule& rule : told.rules) {
    trace.push_back(
        {{"says", rule.word}, {"rule", rule.name}, {"place", rule.place}, {"why", rule.text}});
  }
  return trace;
}

Json ViewRequest(const Receipt& receipt) {
  Json request;
  Json cut = Json::array();
  for (const Kept& kept : kRequestTexts) {
    const auto value = receipt.Get(kept.text);
    request[kept.key] = value ? Json(*value) : Json();
    if (receipt.cut(kept.text)) cut.push_back(kept.key);
  }
  request["scheme"] = SchemeOf(receipt);
  request["protocol"] = ProtocolOf(receipt);
  request["verified_bot"] = receipt.bot() ? Json(WordOf(*receipt.bot())) : Json();
  request["cut"] = std::move(cut);
  return request;
}

Json ViewShed(const Receipt::Shed& shed) {
  return {{"reason", ShedReasonLabel(shed.reason)},
          {"class", TrafficClassName(shed.traffic_class)},
          {"cohort", shed.cohort},
          {"protected", shed.is_protected},
          {"queued_ms", shed.queued_ms}};
}

double Seconds(std::int64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e9;
}

// Without the rules of then only the one that refused has a name.
Json ViewLimit(const Receipt& receipt, const Receipt::Limit& limit, const Policy* policy) {
  Json json;
  json["name"] = nullptr;
  if (!limit.allowed) json["name"] = Get(receipt, Text::kLimit);
  json["key"] = json["burst"] = nullptr;
  if (policy != nullptr) {
    const LimitInfo& info = policy->limits()[limit.limit];
    json["name"] = info.name;
    json["key"] = info.key;
    json["burst"] = info.spec.burst;
  }
  json["allowed"] = limit.allowed;
  json["remaining"] = limit.remaining;
  json["retry_after_seconds"] = Seconds(limit.retry_after);
  json["reset_seconds"] = Seconds(limit.reset);
  json["from_parent"] = limit.from_parent;
  return json;
}

// Was a pass asked for, and was there one? By the rules that matched: one that asks a challenge lets
// those pass that have it.
const char* PassOf(const Receipt& receipt, const Policy* policy) {
  if (receipt.decision == Decision::kChallenge) return "none";
  if (policy == nullptr) return nullptr;
  for (std::size_t i = 0; i < receipt.matches_size; ++i) {
    const RuleInfo& rule = policy->rules()[receipt.matches[i]];
    if (rule.action == "challenge" && rule.mode == RuleInfo::Mode::kEnforce) return "held";
  }
  return "not asked";
}

}  // namespace

Json ViewReceipt(const AdminControls& server, const Receipt& receipt) {
  const Generation& now = server.generation();
  std::shared_ptr<const Generation> then = server.FindGeneration(receipt.generation);
  const Policy* policy = then ? then->config.policy.get() : nullptr;
  const Verdict verdict = VerdictOf(receipt);

  Json json;
  json["id"] = Get(receipt, Text::kId);
  json["when"] = FormatTime(WallTime(Duration(receipt.when)));
  json["request"] = ViewRequest(receipt);
  json["decision"] = DecisionName(receipt.decision);
  json["status"] = receipt.status;
  json["answer"] = TellAction(verdict.action);
  json["rule"] = nullptr;
  if (receipt.rule != kNoRule)
    json["rule"] = {{"name", Get(receipt, Text::kRule)}, {"place", Get(receipt, Text::kPlace)}};
  json["shed"] = nullptr;
  if (receipt.decision == Decision::kShed) {
    json["shed"] = ViewShed(receipt.shed);
    json["answer"] =
        fmt::format("{} with status {}", ShedReasonText(receipt.shed.reason), receipt.status);
  }
  if (receipt.decision == Decision::kUpstreamError)
    json["answer"] = fmt::format("no server answered: status {}", receipt.status);
  const char* const pass = PassOf(receipt, policy);
  json["pass"] = pass == nullptr ? Json() : Json(pass);
  json["limits"] = Json::array();
  for (std::size_t i = 0; i < receipt.limits_size; ++i) {
    json["limits"].push_back(ViewLimit(receipt, receipt.limits[i], policy));
  }
  json["toggles_on"] = nullptr;
  if (policy != nullptr) {
    json["toggles_on"] = Json::array();
    for (std::size_t i = 0; i < receipt.toggles_size; ++i) {
      if (receipt.toggles[i]) json["toggles_on"].push_back(policy->toggles()[i]);
    }
  }
  json["generation"] = receipt.generation;
  json["generation_now"] = now.number;
  json["note"] = nullptr;
  json["trace"] = nullptr;
  json["not_tried"] = nullptr;
  if (policy == nullptr) {
    json["note"] = fmt::format(
        "the rules of generation {} are gone, generation {} is in force: what was decided is "
        "recorded, why the other rules did not decide it can no longer be told",
        receipt.generation, now.number);
    return json;
  }
  if (then.get() != &now)
    json["note"] = fmt::format("told by the rules of generation {}; generation {} is in force",
                               receipt.generation, now.number);
  if (receipt.matches_cut || receipt.limits_cut) {
    const std::string cut = "more rules matched, or more limits were charged, than a receipt keeps";
    json["note"] = json["note"].is_string() ? json["note"].get<std::string>() + "; " + cut : cut;
  }
  std::size_t untried = 0;
  json["trace"] = ViewTrace(receipt, then->config, verdict, &untried);
  json["not_tried"] = untried;
  return json;
}

// ---- for people

namespace {

const Json& At(const Json& json, const char* key) {
  static const Json kNothing;
  const auto found = json.is_object() ? json.find(key) : json.end();
  return found == json.end() ? kNothing : *found;
}

std::string FormatLimit(const Json& limit) {
  const std::string name = TextAt(limit, "name"), key = TextAt(limit, "key");
  std::string text = "limit " + (name.empty() ? "of a name that is gone" : name);
  if (!key.empty()) text += fmt::format(" by {}", key);
  const Json& burst = At(limit, "burst");
  const std::string of = burst.is_number() ? " of " + DumpJson(burst) : "";
  if (At(limit, "allowed") == true) {
    text += fmt::format(": {}{} left", DumpJson(At(limit, "remaining")), of);
  } else {
    const Json& after = At(limit, "retry_after_seconds");
    text += fmt::format(": used up; the next one passes after {:.3g} s",
                        after.is_number() ? after.get<double>() : 0.0);
  }
  if (At(limit, "from_parent") == true) text += " (shared with its network: the table was full)";
  return text;
}

}  // namespace

std::string FormatReceipt(const Json& view) {
  const Json& request = At(view, "request");
  const std::string query = TextAt(request, "query");
  std::vector<std::string> lines = {
      fmt::format("{} {} {}://{}{}{} from {}", TextAt(view, "when"), TextAt(request, "method"),
                  TextAt(request, "scheme"), TextAt(request, "host"), TextAt(request, "path"),
                  query.empty() ? "" : "?" + query, TextAt(request, "client"))};
  for (const auto& [key, label] : {std::pair{"user_agent", "user agent"},
                                   {"referer", "referer"},
                                   {"accept_language", "languages"},
                                   {"ja4", "JA4"},
                                   {"verified_bot", "verified robot"}}) {
    const std::string value = TextAt(request, key);
    if (!value.empty()) lines.push_back(fmt::format("{}: {}", label, value));
  }
  std::string cut;
  for (const Json& each : At(request, "cut"))
    cut += (cut.empty() ? "" : ", ") + (each.is_string() ? each.get<std::string>() : "");
  if (!cut.empty()) lines.push_back("not kept whole: " + cut);
  for (const Json& limit : At(view, "limits")) lines.push_back(FormatLimit(limit));
  std::string on;
  for (const Json& each : At(view, "toggles_on"))
    on += (on.empty() ? "" : ", ") + (each.is_string() ? each.get<std::string>() : "");
  if (!on.empty()) lines.push_back("toggles on: " + on);
  if (TextAt(view, "pass") == "held") lines.emplace_back("the client held a pass");
  for (const Json& rule : At(view, "trace")) {
    lines.push_back(LineOf(
        {TextAt(rule, "says"), TextAt(rule, "rule"), TextAt(rule, "place"), TextAt(rule, "why")}));
  }
  if (const Json& untried = At(view, "not_tried"); untried.is_number() && untried != 0)
    lines.push_back(LineOfUntried(untried.get<std::size_t>()));
  if (const Json& shed = At(view, "shed"); shed.is_object()) {
    lines.push_back(fmt::format("class {}, cohort {} of 128{}, {} ms in the queue",
                                TextAt(shed, "class"), DumpJson(At(shed, "cohort")),
                                At(shed, "protected") == true ? ", protected" : "",
                                DumpJson(At(shed, "queued_ms"))));
  }
  if (const Json& alike = At(view, "alike"); alike.is_number() && alike > 1) {
    lines.push_back(fmt::format("the newest of {} whose ids begin so; this one's is {}",
                                DumpJson(alike), TextAt(view, "id")));
  }
  const Json& rule = At(view, "rule");
  lines.push_back(TextAt(view, "answer") +
                  (rule.is_object() ? fmt::format(" by rule {} ({})", TextAt(rule, "name"),
                                                  TextAt(rule, "place"))
                                    : ""));
  if (const std::string note = TextAt(view, "note"); !note.empty()) lines.push_back(note);
  std::string text;
  for (const std::string& line : lines) text += Printable(line) + "\n";
  return text;
}

}  // namespace spillway
