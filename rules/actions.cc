// SPDX-License-Identifier: MIT
#include "rules/actions.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "rules/key_table.h"
#include "rules/kind_row.h"
#include "rules/loader.h"
#include "rules/meant.h"
#include "rules/scalars.h"
#include "rules/text_index.h"

namespace spillway {
namespace {

constexpr std::size_t kMaxBody = 1 << 20;  // of respond; larger things are an upstream's business

struct ActionReader {
  const RuleScope& scope;
  RuleAction& action;
  std::unique_ptr<FinalText> final_text = nullptr;
};
using ActionFunction = void(ActionReader& reader, const yaml::Node& key,
                            const yaml::Node& argument);

// `action: deny`, `{ deny: }` and `{ deny: true }` say nothing more than the name.
bool Bare(const yaml::Node& argument) {
  return argument.missing() || argument.kind() == yaml::NodeKind::kNull ||
         (argument.is_scalar() && argument.text() == "true");
}

void SetFinal(ActionReader& reader, const yaml::Node& key, FinalAction final_action) {
  if (reader.final_text != nullptr) {
    key.Fail("a rule has at most one final action, and this is the second");
    return;
  }
  reader.final_text = std::make_unique<FinalText>();
  reader.final_text->action = final_action;
}

// Reads the map that an action takes, by its rows; what is no map is reported by an example of one.
// True when it is one.
template <class T, std::size_t kSize>
bool ReadArguments(const ActionReader& reader, const yaml::Node& node,
                   const KeyRow<T> (&rows)[kSize], std::string_view example, T* out) {
  if (node.is_map()) {
    ReadKeys(node, rows, *reader.scope.loader, out);
    return true;
  }
  return ExpectMap(node, example);
}

using HeaderTexts = std::vector<std::pair<std::string, std::string>>;

// Fields that belong to a connection or frame the message; who sets them cuts the proxy's own
// throat.
void ReadHeaders(const yaml::Node& node, std::span<const std::string_view> forbidden,
                 HeaderTexts* headers) {
  if (!node.is_map() || node.Entries().empty()) {
    node.Fail("expected a map of header field names and values");
    return;
  }
  for (const auto& [key, value] : node.Entries()) {
    const std::string lower = LowerAscii(key.text());
    if (!IsToken(key.text())) {
      key.Fail(yaml::Quote(key.text()) + " is not the name of a header field");
    } else if (std::find(forbidden.begin(), forbidden.end(), lower) != forbidden.end()) {
      key.Fail(yaml::Quote(key.text()) + " is for the proxy to set, not for a rule");
    } else if (!value.is_scalar() || !LegalFieldValue(value.text())) {
      value.Fail("expected a value without control characters and outer white space, found " +
                 Found(value));
    } else {
      headers->emplace_back(key.text(), value.text());
    }
  }
}

void ReadAllow(ActionReader& reader, const yaml::Node& key, const yaml::Node& argument) {
  if (!Bare(argument)) argument.Fail("allow takes nothing; write allow: true");
  SetFinal(reader, key, Forward{});
}

void ReadDrop(ActionReader& reader, const yaml::Node& key, const yaml::Node& argument) {
  if (!Bare(argument)) argument.Fail("drop takes nothing; write drop: true");
  SetFinal(reader, key, Drop{});
}

constexpr KeyRow<Deny> kDenyRows[] = {
    {"status", "integer 400..599", "403", "the answer's status", &Set<&Deny::status>},
};

void ReadDeny(ActionReader& reader, const yaml::Node& key, const yaml::Node& argument) {
  Deny deny;
  // `deny: 404`: what was meant is clear, how it is written is not.
  const bool number = ParseInteger(argument.text()).has_value();
  const std::string example =
      "{ status: " + (number ? std::string(argument.text()) : std::string("403")) + " }";
  if (!Bare(argument)) ReadArguments(reader, argument, kDenyRows, example, &deny);
  SetFinal(reader, key, deny);
}

void ReadChallengeKind(const Slot& slot, ChallengeDemand* out) {
  if (const auto choice = ReadChoice(slot.node, slot.type, "kind of challenge")) {
    out->kind = static_cast<ChallengeKind>(*choice);
  }
}

// Their defaults are what the section `challenge` says.
constexpr KeyRow<ChallengeDemand> kChallengeRows[] = {
    {"kind", "cookie | refresh | pow", "", "what is asked for", &ReadChallengeKind},
    {"bits", "integer 1..24", "", "how hard the proof of work is", &Set<&ChallengeDemand::bits>},
    {"pass", "duration 1m..1d", "", "how long the pass is good for", &Set<&ChallengeDemand::pass>},
};

void ReadChallenge(ActionReader& reader, const yaml::Node& key, const yaml::Node& argument) {
  ChallengeDemand demand = reader.scope.challenge_defaults;
  if (argument.is_scalar() && !Bare(argument)) {
    ReadChallengeKind({argument, kChallengeRows[0].type, *reader.scope.loader}, &demand);
  } else if (!Bare(argument)) {
    ReadArguments(reader, argument, kChallengeRows, "{ kind: pow, bits: 16 }", &demand);
  }
  SetFinal(reader, key, Challenge{demand});
}

// An absolute URL or a path of this site, in visible ASCII; "//host" would be neither to a reader.
bool LegalLocation(std::string_view to) {
  const bool visible =
      std::all_of(to.begin(), to.end(), [](char c) { return c > ' ' && c < 0x7f; });
  const bool path = to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\");
  const std::string lower = LowerAscii(to.substr(0, 8));
  const std::size_t scheme = lower.starts_with("https://")  ? 8
                             : lower.starts_with("http://") ? 7
                                                            : 0;
  const bool url = scheme != 0 && to.size() > scheme && to[scheme] != '/' && to[scheme] != '?';
  return visible && (path || url);
}

struct RedirectArguments {
  yaml::Node to;
  int status = Redirect{}.status;
  bool keep_path = false;
};

void ReadRedirectStatus(const Slot& slot, RedirectArguments* out) {
  if (!ReadChoice(slot.node, slot.type, "status for a redirect")) return;
  out->status = static_cast<int>(ParseInteger(slot.node.text()).value_or(0));
}

constexpr std::string_view kWhereTo =
    "where to go: a URL such as https://example.com/ or a path such as /new";

constexpr KeyRow<RedirectArguments> kRedirectRows[] = {
    {"to", "URL or path of this site", "", "where to go", &Keep<&RedirectArguments::to>, nullptr,
     kWhereTo},
    {"status", "301 | 302 | 303 | 307 | 308", "302", "the answer's status", &ReadRedirectStatus},
    {"keep_path", "true | false", "false", "put the request's path and query behind it",
     &Set<&RedirectArguments::keep_path>},
};

void ReadRedirect(ActionReader& reader, const yaml::Node& key, const yaml::Node& argument) {
  RedirectArguments said;
  said.to = argument;
  if (!argument.is_scalar()) {
    said.to = {};
    constexpr std::string_view kExample = "{ to: /new, status: 301 }";
    if (!ReadArguments(reader, argument, kRedirectRows, kExample, &said)) return;
    if (said.to.missing()) return;
  }
  const yaml::Node& to = said.to;
  if (!to.is_scalar() || !LegalLocation(to.text())) {
    to.Fail("expected " + std::string(kWhereTo));
    return;
  }
  if (said.keep_path && to.text().find_first_of("?#") != std::string_view::npos) {
    to.Fail("with keep_path, where to go has no '?' and no '#': the request's path goes behind it");
  }
  SetFinal(reader, key, Redirect{said.status, {}});
  reader.final_text->keep_path = said.keep_path;
  reader.final_text->location = to.text();
}

// What stays a node is judged together with its neighbours.
struct RespondArguments {
  int status = Respond{}.status;
  yaml::Node body, page, content_type, headers;
};

constexpr KeyRow<RespondArguments> kRespondRows[] = {
    {"status", "integer 200..599", "200", "the answer's status", &Set<&RespondArguments::status>},
    {"body", "value", "", "the text itself, at most 1 MiB", &Keep<&RespondArguments::body>},
    {"page", "path", "", "or a file of at most 1 MiB, HTML unless content_type says otherwise",
     &Keep<&RespondArguments::page>},
    {"content_type", "text", "text/plain; charset=utf-8", "the media type",
     &Keep<&RespondArguments::content_type>},
    {"headers", "map of header names to values", "", "more header fields of the answer",
     &Keep<&RespondArguments::headers>},
};

constexpr std::string_view kPageFile = "a file with the text of the answer, such as HTML";

void ReadRespond(ActionReader& reader, const yaml::Node& key, const yaml::Node& argument) {
  constexpr std::string_view kForbidden[] = {
      "connection", "keep-alive", "proxy-connection", "te",          "trailer", "transfer-encoding",
      "upgrade",    "host",       "content-length",   "content-type"};
  RespondArguments said;
  constexpr std::string_view kExample = "{ status: 200, body: \"User-agent: *\" }";
  if (!ReadArguments(reader, argument, kRespondRows, kExample, &said)) return;
  Respond respond;
  respond.status = said.status;
  SetFinal(reader, key, respond);
  FinalText& text = *reader.final_text;
  const yaml::Node &body = said.body, &page = said.page;
  text.content_type = page.missing() ? "text/plain; charset=utf-8" : "text/html; charset=utf-8";
  if (const yaml::Node& type = said.content_type; !type.missing()) {
    text.content_type = type.text();
    if (!type.is_scalar() || type.text().empty() || !LegalFieldValue(type.text())) {
      type.Fail("expected a media type such as text/html; charset=utf-8");
    }
  }
  if (!body.missing() && !page.missing()) {
    page.Fail("a response has a body or a page, not both");
  } else if (!body.missing()) {
    text.body = body.text();
    if (!body.is_scalar() || body.text().size() > kMaxBody) {
      body.Fail("expected a text of at most 1 MiB");
    }
  } else if (!page.missing()) {
    text.body = reader.scope.loader->ReadNamed(page, kPageFile, kMaxBody).value_or("");
  }
  const bool none = respond.status == 204 || respond.status == 205 || respond.status == 304;
  if (none && !text.body.empty()) {
    (page.missing() ? body : page)
        .Fail("a response with status " + std::to_string(respond.status) + " has no body");
  }
  if (!said.headers.missing()) ReadHeaders(said.headers, kForbidden, &text.header_texts);
}

struct LimitArguments {
  yaml::Node names;
  int status = OverLimit{}.status;
  bool charge = true;
};

constexpr std::string_view kLimitNames = "the name of a limit, or a list of names";

constexpr KeyRow<LimitArguments> kLimitRows[] = {
    {"name", "name or list of names", "", "the limits", &Keep<&LimitArguments::names>, nullptr,
     kLimitNames},
    {"status", "integer 400..599", "429", "the status of a refusal", &Set<&LimitArguments::status>},
    {"charge", "true | false", "true", "false: refuse when one is used up, but charge none",
     &Set<&LimitArguments::charge>},
};

void ReadLimit(ActionReader& reader, const yaml::Node&, const yaml::Node& argument) {
  LimitArguments said;
  said.names = argument;
  if (argument.is_map()) {
    said.names = {};
    ReadKeys(argument, kLimitRows, *reader.scope.loader, &said);
    reader.action.limit_status = said.status;
    reader.action.charges = said.charge;
    if (said.names.missing()) return;
  }
  std::vector<std::string> known;
  for (const LimitInfo& limit : reader.scope.limits) known.push_back(limit.name);
  const std::vector<yaml::Node> items = said.names.Items();
  if (items.empty()) said.names.Fail("expected " + std::string(kLimitNames));
  for (const yaml::Node& item : items) {
    const auto index = ReadName(item, "limit", known);
    std::vector<std::uint32_t>& limits = reader.action.limits;
    if (index && std::find(limits.begin(), limits.end(), *index) == limits.end()) {
      limits.push_back(*index);
    }
  }
}

void ReadSetHeader(ActionReader& reader, const yaml::Node&, const yaml::Node& argument) {
  constexpr std::string_view kForbidden[] = {
      "connection", "keep-alive", "proxy-connection", "te",    "trailer", "transfer-encoding",
      "upgrade",    "host",       "content-length",   "expect"};
  ReadHeaders(argument, kForbidden, &reader.action.set_headers);
}

void ReadTag(ActionReader& reader, const yaml::Node&, const yaml::Node& argument) {
  for (const yaml::Node& item : argument.Items()) {
    if (item.is_scalar() && IsName(item.text())) {
      reader.action.tags.emplace_back(item.text());
    } else {
      item.Fail("expected a tag of letters, digits, '-' and '_', 64 at most");
    }
  }
  if (argument.missing() || argument.Items().empty())
    argument.Fail("expected a tag or a list of tags");
}

void ReadPool(ActionReader& reader, const yaml::Node&, const yaml::Node& argument) {
  reader.action.pool = ReadName(argument, "pool", reader.scope.pools);
}

constexpr std::string_view kClasses = "critical_plus | critical | sheddable_plus | sheddable";

void ReadClass(ActionReader& reader, const yaml::Node&, const yaml::Node& argument) {
  if (const auto choice = ReadChoice(argument, kClasses, "class")) {
    reader.action.traffic_class = static_cast<TrafficClass>(*choice);
  }
}

constexpr std::string_view kProtection = "duration 1m..1d";

void ReadProtect(ActionReader& reader, const yaml::Node&, const yaml::Node& argument) {
  Duration time{0};
  ReadValue(Slot{argument, kProtection, *reader.scope.loader}, &time);
  if (time > Duration{0}) reader.action.protect = time;
}

constexpr KindRow<ActionFunction> kActions[] = {
    {"allow", "nothing", "forward, and skip the rest of the rules", &ReadAllow},
    {"deny", "nothing or map", "refuse the request", &ReadDeny, &ListArguments<kDenyRows>},
    {"challenge", "nothing, kind, or map",
     "ask for a proof; a client that holds a pass goes on to the next rule", &ReadChallenge,
     &ListArguments<kChallengeRows>},
    {"redirect", "URL or path of this site, or map", "send the client elsewhere", &ReadRedirect,
     &ListArguments<kRedirectRows>},
    {"respond", "map", "answer with this", &ReadRespond, &ListArguments<kRespondRows>},
    {"drop", "nothing", "close the connection without an answer", &ReadDrop},
    {"limit", "name, list of names, or map", "charge these limits; refuse when one is used up",
     &ReadLimit, &ListArguments<kLimitRows>},
    {"set_header", "map of header names to values",
     "set header fields on the request to the upstream", &ReadSetHeader},
    {"tag", "word or list of words", "words for the access log", &ReadTag},
    {"pool", "name", "the pool to forward to", &ReadPool},
    {"class", kClasses,
     "how much it matters when not all can be served; critical unless a rule says so", &ReadClass},
    {"protect", kProtection,
     "for so long after a good answer the visitor is served before others, and not challenged",
     &ReadProtect},
};

// What an action that needs more than its name looks like in full.
std::string_view ExampleOf(std::string_view action) {
  constexpr std::pair<std::string_view, std::string_view> kExamples[] = {
      {"redirect", "{ redirect: /elsewhere }"},
      {"respond", "{ respond: { status: 503, body: \"Back in an hour.\" } }"},
      {"limit", "{ limit: per-client }, where limits has one of this name"},
      {"set_header", "{ set_header: { x-tier: gold } }"},
      {"tag", "{ tag: seen }"},
      {"pool", "{ pool: app }, where pools has one of this name"},
      {"class", "{ class: sheddable }"},
      {"protect", "{ protect: 15m }"},
  };
  for (const auto& [name, example] : kExamples) {
    if (name == action) return example;
  }
  return {};
}

// `all`: the map that `key` stands in, or the name alone.
void ReadOne(ActionReader& reader, const yaml::Node& all, const yaml::Node& key,
             const yaml::Node& argument) {
  for (const KindRow<ActionFunction>& row : kActions) {
    if (row.name != key.text()) continue;
    if (reader.action.name.empty()) reader.action.name = row.name;
    const bool alone = argument.missing();
    if (alone && !row.type.starts_with("nothing")) {
      std::string takes(row.type);
      std::vector<Kind> parts;
      if (row.list != nullptr) row.list("", &parts);
      for (std::size_t i = 0; i < parts.size(); ++i) {
        takes += (i == 0 ? " of " : ", ") + parts[i].name.substr(parts[i].name.rfind('.') + 1);
      }
      key.Fail(yaml::Quote(key.text()) + " needs more than its name, such as " +
               std::string(ExampleOf(row.name)) + "; it takes " + takes);
      return;
    }
    row.parse(reader, key, argument);
    return;
  }
  std::vector<std::string> legal;
  AppendNames(std::span<const KindRow<ActionFunction>>(kActions), &legal);
  std::string message = UnknownIn(all, "action", key.text(), std::move(legal));
  // The one that was meant, in full: its name alone would be the next error.
  for (const KindRow<ActionFunction>& row : kActions) {
    const std::string meant = " (did you mean '" + std::string(row.name) + "'?)";
    if (!message.ends_with(meant) || ExampleOf(row.name).empty()) continue;
    message += ", such as " + std::string(ExampleOf(row.name));
  }
  key.Fail(std::move(message));
}

// Lets the action's views look at the texts that stand beside it.
void Borrow(FinalText* text) {
  if (auto* redirect = std::get_if<Redirect>(&text->action)) redirect->location = text->location;
  if (auto* respond = std::get_if<Respond>(&text->action)) {
    for (const auto& [name, value] : text->header_texts) text->headers.push_back({name, value});
    respond->content_type = text->content_type;
    respond->body = text->body;
    respond->headers = &text->headers;
  }
}

}  // namespace

bool LegalFieldValue(std::string_view value) {
  const bool edges = value.empty() || (value.front() != ' ' && value.front() != '\t' &&
                                       value.back() != ' ' && value.back() != '\t');
  return edges && std::all_of(value.begin(), value.end(), [](char c) {
           return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != 0x7f);
         });
}

RuleAction ReadAction(const RuleScope& scope, const yaml::Node& node) {
  RuleAction action;
  ActionReader reader{scope, action};
  if (node.is_map() && !node.Entries().empty()) {
    for (const auto& [key, argument] : node.Entries()) ReadOne(reader, node, key, argument);
  } else if (ExpectScalar(node, "an action such as deny, or a map of actions")) {
    ReadOne(reader, node, node, yaml::Node());
  }
  if (reader.final_text != nullptr) {
    Borrow(reader.final_text.get());
    action.final_action = std::move(reader.final_text);
  }
  return action;
}

void AppendActionKinds(std::vector<Kind>* kinds) {
  AppendKinds("action", std::span<const KindRow<ActionFunction>>(kActions), kinds);
}

}  // namespace spillway
