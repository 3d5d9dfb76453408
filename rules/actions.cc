// SPDX-License-Identifier: MIT
#include "rules/actions.h"

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string_view>

#include "rules/kind_row.h"
#include "rules/loader.h"
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

// Reports keys of a map other than the legal ones, and things that are no map, by an example of
// one. True when it is a map.
bool ExpectMap(const yaml::Node& node, std::initializer_list<std::string_view> legal,
               std::string_view example) {
  const std::vector<std::string> names(legal.begin(), legal.end());
  if (!node.is_map()) {
    node.Fail("expected a map such as " + std::string(example) + ", found " +
              (node.is_scalar() ? yaml::Quote(node.text()) : std::string(KindName(node.kind()))));
    return false;
  }
  for (const auto& [key, unused] : node.Entries()) {
    if (std::find(names.begin(), names.end(), key.text()) == names.end()) {
      key.Fail("unknown key " + yaml::Quote(key.text()) + yaml::ExpectedOneOf(key.text(), names));
    }
  }
  return true;
}

void ReadStatus(const yaml::Node& node, std::uint64_t low, std::uint64_t high, int* status) {
  if (node.missing()) return;
  if (const auto number = ReadInteger(node, low, high)) *status = static_cast<int>(*number);
}

// The index of the name in `known`; reports one that is not there.
std::optional<std::uint32_t> ReadName(const yaml::Node& node, std::string_view what,
                                      const std::vector<std::string>& known) {
  if (!ExpectScalar(node, "the name of a " + std::string(what))) return std::nullopt;
  const auto found = std::find(known.begin(), known.end(), node.text());
  if (found != known.end()) return static_cast<std::uint32_t>(found - known.begin());
  node.Fail("unknown " + std::string(what) + " " + yaml::Quote(node.text()) +
            (known.empty() ? "; there are none" : yaml::ExpectedOneOf(node.text(), known)));
  return std::nullopt;
}

bool LegalFieldValue(std::string_view value) {
  const bool edges = value.empty() || (value.front() != ' ' && value.front() != '\t' &&
                                       value.back() != ' ' && value.back() != '\t');
  return edges && std::all_of(value.begin(), value.end(), [](char c) {
           return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != 0x7f);
         });
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
      value.Fail("expected a value without control characters and outer white space");
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

void ReadDeny(ActionReader& reader, const yaml::Node& key, const yaml::Node& argument) {
  Deny deny;
  // `deny: 404`: what was meant is clear, how it is written is not.
  const bool number = ParseInteger(argument.text()).has_value();
  const std::string example =
      "{ status: " + (number ? std::string(argument.text()) : std::string("403")) + " }";
  if (!Bare(argument) && ExpectMap(argument, {"status"}, example)) {
    ReadStatus(argument.Get("status"), 400, 599, &deny.status);
  }
  SetFinal(reader, key, deny);
}

void ReadChallengeKind(const yaml::Node& node, ChallengeKind* kind) {
  const std::vector<std::string> names = {"cookie", "refresh",
                                          "pow"};  // in the order of ChallengeKind
  if (const auto index = ReadName(node, "kind of challenge", names)) {
    *kind = static_cast<ChallengeKind>(*index);
  }
}

void ReadChallenge(ActionReader& reader, const yaml::Node& key, const yaml::Node& argument) {
  ChallengeDemand demand = reader.scope.challenge_defaults;
  if (argument.is_scalar() && !Bare(argument)) {
    ReadChallengeKind(argument, &demand.kind);
  } else if (!Bare(argument) &&
             ExpectMap(argument, {"kind", "bits", "pass"}, "{ kind: pow, bits: 16 }")) {
    if (const yaml::Node kind = argument.Get("kind"); !kind.missing()) {
      ReadChallengeKind(kind, &demand.kind);
    }
    if (const yaml::Node bits = argument.Get("bits"); !bits.missing()) {
      demand.bits = static_cast<int>(ReadInteger(bits, 1, 24).value_or(1));
    }
    if (const yaml::Node pass = argument.Get("pass"); !pass.missing()) {
      demand.pass = ReadDuration(pass, 1min, 24h).value_or(1min);
    }
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

void ReadRedirect(ActionReader& reader, const yaml::Node& key, const yaml::Node& argument) {
  Redirect redirect;
  yaml::Node to = argument;
  bool keep_path = false;
  if (!argument.is_scalar()) {
    if (!ExpectMap(argument, {"to", "status", "keep_path"}, "{ to: /new, status: 301 }")) return;
    to = argument.Get("to");
    if (const yaml::Node keep = argument.Get("keep_path"); !keep.missing()) {
      keep_path = ReadBool(keep).value_or(false);
    }
    if (const yaml::Node status = argument.Get("status"); !status.missing()) {
      const std::vector<std::string> statuses = {"301", "302", "303", "307", "308"};
      constexpr int kStatuses[] = {301, 302, 303, 307, 308};
      if (const auto i = ReadName(status, "status for a redirect", statuses)) {
        redirect.status = kStatuses[*i];
      }
    }
  }
  if (!to.is_scalar() || !LegalLocation(to.text())) {
    to.Fail("expected where to go: a URL such as https://example.com/ or a path such as /new");
    return;
  }
  if (keep_path && to.text().find_first_of("?#") != std::string_view::npos) {
    to.Fail("with keep_path, where to go has no '?' and no '#': the request's path goes behind it");
  }
  SetFinal(reader, key, redirect);
  reader.final_text->keep_path = keep_path;
  reader.final_text->location = to.text();
}

std::string ReadPage(const RuleScope& scope, const yaml::Node& node) {
  if (scope.loader != nullptr) return scope.loader->ReadNamed(node, kMaxBody).value_or("");
  node.Fail("there are no files to be read here");
  return {};
}

void ReadRespond(ActionReader& reader, const yaml::Node& key, const yaml::Node& argument) {
  constexpr std::string_view kForbidden[] = {
      "connection", "keep-alive", "proxy-connection", "te",          "trailer", "transfer-encoding",
      "upgrade",    "host",       "content-length",   "content-type"};
  if (!ExpectMap(argument, {"status", "body", "page", "content_type", "headers"},
                 "{ status: 200, body: \"User-agent: *\" }")) {
    return;
  }
  Respond respond;
  ReadStatus(argument.Get("status"), 200, 599, &respond.status);
  SetFinal(reader, key, respond);
  FinalText& text = *reader.final_text;
  const yaml::Node body = argument.Get("body"), page = argument.Get("page");
  text.content_type = page.missing() ? "text/plain; charset=utf-8" : "text/html; charset=utf-8";
  if (const yaml::Node type = argument.Get("content_type"); !type.missing()) {
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
    text.body = ReadPage(reader.scope, page);
  }
  const bool none = respond.status == 204 || respond.status == 205 || respond.status == 304;
  if (none && !text.body.empty()) {
    (page.missing() ? body : page)
        .Fail("a response with status " + std::to_string(respond.status) + " has no body");
  }
  if (const yaml::Node headers = argument.Get("headers"); !headers.missing()) {
    ReadHeaders(headers, kForbidden, &text.header_texts);
  }
}

void ReadLimit(ActionReader& reader, const yaml::Node&, const yaml::Node& argument) {
  yaml::Node names = argument;
  if (argument.is_map()) {
    ExpectMap(argument, {"name", "names", "status"}, "{ name: per-client, status: 429 }");
    ReadStatus(argument.Get("status"), 400, 599, &reader.action.limit_status);
    names = argument.Get(argument.Get("names").missing() ? "name" : "names");
  }
  std::vector<std::string> known;
  for (const LimitInfo& limit : reader.scope.limits) known.push_back(limit.name);
  const std::vector<yaml::Node> items = names.Items();
  if (names.missing() || items.empty())
    names.Fail("expected the name of a limit, or a list of names");
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

constexpr KindRow<ActionFunction> kActions[] = {
    {"allow", "nothing", "forward, and skip the rest of the rules", &ReadAllow},
    {"deny", "nothing, or { status: 400..599 }", "refuse the request", &ReadDeny,
     "{ status: 403 }"},
    {"challenge",
     "nothing, a kind, or { kind: pow | refresh | cookie, bits: 1..24, pass: 1m..24h }",
     "ask for a proof; a client that holds a pass goes on to the next rule", &ReadChallenge},
    {"redirect",
     "URL or path, or { to, status: 301 | 302 | 303 | 307 | 308, keep_path: true | false }",
     "send the client elsewhere", &ReadRedirect, "{ status: 302, keep_path: false }"},
    {"respond", "{ status: 200..599, body or page: FILE, content_type, headers }",
     "answer with this; a page is a file of at most 1 MiB, HTML unless content_type says otherwise",
     &ReadRespond, "{ status: 200, content_type: text/plain; charset=utf-8 }"},
    {"drop", "nothing", "close the connection without an answer", &ReadDrop},
    {"limit", "name, list of names, or { name, status: 400..599 }",
     "charge these limits; refuse when one is used up", &ReadLimit, "{ status: 429 }"},
    {"set_header", "map of name: value", "set header fields on the request to the upstream",
     &ReadSetHeader},
    {"tag", "word or list of words", "words for the access log", &ReadTag},
    {"pool", "name", "the pool to forward to", &ReadPool},
};

void ReadOne(ActionReader& reader, const yaml::Node& key, const yaml::Node& argument) {
  for (const KindRow<ActionFunction>& row : kActions) {
    if (row.name != key.text()) continue;
    if (reader.action.name.empty()) reader.action.name = row.name;
    const bool alone = argument.missing();
    if (alone && !row.type.starts_with("nothing")) {
      key.Fail(yaml::Quote(key.text()) + " needs more than its name: { " + std::string(key.text()) +
               ": ... }, with " + std::string(row.type));
      return;
    }
    row.parse(reader, key, argument);
    return;
  }
  std::vector<std::string> legal;
  AppendNames(std::span<const KindRow<ActionFunction>>(kActions), &legal);
  key.Fail("unknown action " + yaml::Quote(key.text()) + yaml::ExpectedOneOf(key.text(), legal));
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

RuleAction ReadAction(const RuleScope& scope, const yaml::Node& node) {
  RuleAction action;
  ActionReader reader{scope, action};
  if (node.is_map() && !node.Entries().empty()) {
    for (const auto& [key, argument] : node.Entries()) ReadOne(reader, key, argument);
  } else if (ExpectScalar(node, "an action such as deny, or a map of actions")) {
    ReadOne(reader, node, yaml::Node());
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
