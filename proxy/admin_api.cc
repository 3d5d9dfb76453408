// SPDX-License-Identifier: MIT
#include "proxy/admin_api.h"

#include <algorithm>
#include <array>
#include <utility>

#include "proxy/admin_views.h"
#include "proxy/generation.h"
#include "proxy/log.h"
#include "proxy/metrics.h"
#include "proxy/receipt_view.h"
#include "proxy/version.h"
#include "spillway/text.h"

namespace spillway {
namespace {

constexpr std::string_view kTogglePrefix = "/api/v1/toggles/";
constexpr std::string_view kExplainPrefix = "/api/v1/explain/";

AdminReply JsonReply(const Json& json, int status = 200) {
  AdminReply reply;
  reply.status = status;
  reply.body = DumpJson(json, 2) + "\n";
  return reply;
}

AdminReply TextReply(int status, std::string text) {
  AdminReply reply;
  reply.status = status;
  reply.content_type = "text/plain; charset=utf-8";
  reply.body = std::move(text);
  return reply;
}

// --- what is there to GET ---

struct Page {
  std::string_view path;
  AdminReply (*make)(AdminControls& server);
};

template <Json (*kView)(const AdminControls&)>
AdminReply View(AdminControls& server) {
  return JsonReply(kView(server));
}

AdminReply Live(AdminControls&) {
  return TextReply(200, "live\n");
}

AdminReply Ready(AdminControls& server) {
  if (server.ready()) return TextReply(200, "ready\n");
  return TextReply(503, server.draining() ? "draining\n" : "starting\n");
}

AdminReply Metrics(AdminControls& server) {
  AdminReply reply;
  reply.content_type = kMetricsContentType;
  reply.body = FormatMetrics(server, ReadProcessFacts(server.wall_now()));
  return reply;
}

AdminReply StatusPage(AdminControls& server) {
  AdminReply reply;
  reply.content_type = "text/html; charset=utf-8";
  reply.body = FormatStatusPage(server);
  reply.headers.emplace_back(
      "Content-Security-Policy",
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
  return reply;
}

AdminReply VersionPage(AdminControls&) {
  return JsonReply({{"version", Version()}});
}

constexpr Page kPages[] = {
    {"/", StatusPage},
    {"/livez", Live},
    {"/readyz", Ready},
    {"/ready", Ready},
    {"/metrics", Metrics},
    {"/version", VersionPage},
    {"/api/v1/status", View<ViewStatus>},
    {"/api/v1/config", View<ViewConfig>},
    {"/api/v1/rules", View<ViewRules>},
    {"/api/v1/toggles", View<ViewToggles>},
    {"/api/v1/limits", View<ViewLimits>},
    {"/api/v1/pools", View<ViewPools>},
};

// --- what is there to POST, beside toggles ---

struct Verb {
  std::string_view path;
  AdminReply (*act)(AdminControls& server, const std::string& who);
};

AdminReply Reload(AdminControls& server, const std::string& who) {
  if (const Result<void> done = server.Reload(who); !done) {
    return AdminError(422, done.error().message);
  }
  return JsonReply({{"ok", true}, {"generation", server.generation().number}});
}

AdminReply Check(AdminControls& server, const std::string&) {
  const Result<std::string> summary = server.Check();
  if (!summary) return AdminError(422, summary.error().message);
  return JsonReply({{"ok", true}, {"summary", *summary}});
}

AdminReply Drain(AdminControls& server, const std::string& who) {
  server.Drain(who);
  return JsonReply({{"ok", true}, {"state", "draining"}}, 202);
}

constexpr Verb kVerbs[] = {
    {"/api/v1/reload", Reload},
    {"/api/v1/config/check", Check},
    {"/api/v1/drain", Drain},
};

// --- parameters ---

std::string Decode(std::string_view text, bool plus_is_space) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool coded = text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
                       HexDigit(text[i + 2]) >= 0;
    if (coded) {
      out += static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

// Where an order asks for more time than the toggle's max_on gives: what it got.
std::string NoteOnTime(const AdminControls& server, const std::string& name, Duration asked) {
  for (const ToggleConfig& toggle : server.generation().config.toggles) {
    if (toggle.name != name || toggle.max_on == Duration(0) || asked <= toggle.max_on) continue;
    return "cut to " + FormatDuration(toggle.max_on) +
           " by max_on of this toggle; asked for were " + FormatDuration(asked);
  }
  return {};
}

// What a flip says: `on`, `for`, `reason`; from the query, then from the body.
struct FlipOrder {
  std::optional<bool> on;
  std::optional<Duration> hold;
  std::string reason;
};

Result<void> Take(FlipOrder* order, const std::string& key, const std::string& value) {
  if (key == "on") {
    if (value != "true" && value != "false") return Fail("`on` must be true or false");
    order->on = value == "true";
  } else if (key == "for") {
    const Result<Duration> hold = ParseDuration(value);
    if (!hold) return Fail("`for`: " + hold.error().message);
    order->hold = *hold;
  } else if (key == "reason") {
    order->reason = value;
  } else {
    return Fail("unknown parameter '" + key + "'; expected one of on, for, reason");
  }
  return {};
}

Result<FlipOrder> ReadOrder(const AdminRequest& request) {
  FlipOrder order;
  std::string_view query = request.query;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    const std::string value =
        equals == std::string_view::npos ? "" : Decode(pair.substr(equals + 1), true);
    if (auto taken = Take(&order, Decode(pair.substr(0, equals), true), value); !taken) {
      return Fail(taken.error().message);
    }
  }
  if (!request.body.empty()) {
    const std::optional<Json> body = ParseJson(request.body);
    if (!body || !body->is_object()) return Fail("the body is not a JSON object");
    for (const auto& [key, value] : body->items()) {
      if (!value.is_string() && !value.is_boolean()) {
        return Fail("`" + key + "` must be text, or true or false");
      }
      const std::string text = value.is_string() ? value.get<std::string>() : DumpJson(value);
      if (auto taken = Take(&order, key, text); !taken) return Fail(taken.error().message);
    }
  }
  if (!order.on) return Fail("`on` is missing: send {\"on\": true} or {\"on\": false}");
  return order;
}

template <typename List>
auto FindPath(const List& list, std::string_view path) {
  return std::find_if(std::begin(list), std::end(list),
                      [&](const auto& item) { return item.path == path; });
}

AdminReply WrongMethod(const char* allowed) {
  AdminReply reply = AdminError(405, std::string("this path takes ") + allowed);
  reply.headers.emplace_back("Allow", allowed);
  return reply;
}

std::string Who(const AdminRequest& request) {
  return "admin (" + request.peer + ")";
}

}  // namespace

AdminApi::AdminApi(AdminControls& server, AdminGuard guard)
    : server_(server), guard_(std::move(guard)) {}

AdminReply AdminApi::Handle(const AdminRequest& request) {
  std::optional<AdminReply> refusal = guard_.Refuse(request);
  AdminReply reply = refusal ? std::move(*refusal) : Route(request);
  reply.headers.emplace_back("Cache-Control", "no-store");
  reply.headers.emplace_back("X-Content-Type-Options", "nosniff");
  const bool asked_for_change = request.method != "GET" && request.method != "HEAD";
  if (refusal || asked_for_change) {
    log::Info("admin: {} {}{}{} from {} ({}): {}", log::Escape(request.method),
              log::Escape(request.path), request.query.empty() ? "" : "?",
              log::Escape(request.query), log::Escape(request.peer),
              log::Escape(request.Header("User-Agent").value_or("-"), 64), reply.status);
  }
  return reply;
}

namespace {

// Who mistyped a name in the night is told which there are.
AdminReply NoToggle(const std::string& name, const std::vector<ToggleStatus>& toggles) {
  std::vector<std::string> names;
  names.reserve(toggles.size());
  for (const ToggleStatus& toggle : toggles) names.push_back(toggle.name);
  return AdminError(404, "there is no toggle " + Quote(name) +
                             (names.empty() ? "; there are none" : ExpectedOneOf(name, names)));
}

}  // namespace

AdminReply AdminApi::Route(const AdminRequest& request) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (const auto page = FindPath(kPages, request.path); page != std::end(kPages)) {
    return reads ? page->make(server_) : WrongMethod("GET, HEAD");
  }
  if (const auto verb = FindPath(kVerbs, request.path); verb != std::end(kVerbs)) {
    return request.method == "POST" ? verb->act(server_, Who(request)) : WrongMethod("POST");
  }
  if (request.path.starts_with(kTogglePrefix)) {
    const std::string name =
        Decode(std::string_view(request.path).substr(kTogglePrefix.size()), false);
    const auto toggles = server_.toggles();
    const auto found = std::find_if(toggles.begin(), toggles.end(),
                                    [&](const auto& toggle) { return toggle.name == name; });
    if (found == toggles.end()) return NoToggle(name, toggles);
    if (reads) return JsonReply(ViewToggle(server_, *found));
    return request.method == "POST" ? FlipToggle(request, name) : WrongMethod("GET, HEAD, POST");
  }
  if (request.path.starts_with(kExplainPrefix)) {
    if (!reads) return WrongMethod("GET, HEAD");
    return ExplainRefusal(
        Decode(std::string_view(request.path).substr(kExplainPrefix.size()), false));
  }
  return AdminError(404, "there is nothing at this path");
}

AdminReply AdminApi::ExplainRefusal(const std::string& id) {
  const ReceiptSearch search = server_.FindReceipt(id);
  // Of those that begin so another worker may know a newer one.
  if (search.found.receipt && (search.complete || search.found.whole)) {
    Json view = ViewReceipt(server_, *search.found.receipt);
    view["alike"] = search.found.alike;
    return JsonReply(view);
  }
  if (!search.complete) return AdminError(503, "a worker is too busy to look; ask again");
  if (id.size() < Receipts::kShortest) {
    return AdminError(404, "no refusal with the id '" + id +
                               "' is remembered; of the beginning of one " +
                               std::to_string(Receipts::kShortest) + " characters are needed");
  }
  return AdminError(404,
                    "no refusal with the id '" + id +
                        "' is remembered: it was refused by no rule (then `end` in the access log "
                        "says why), by another process, or too long ago");
}

AdminReply AdminApi::FlipToggle(const AdminRequest& request, const std::string& name) {
  const Result<FlipOrder> order = ReadOrder(request);
  if (!order) return AdminError(400, order.error().message);
  const Result<void> done =
      server_.SetToggle(name, *order->on, order->hold, "admin", order->reason);
  if (!done) return AdminError(400, done.error().message);
  for (const ToggleStatus& toggle : server_.toggles()) {
    if (toggle.name != name) continue;
    Json json = ViewToggle(server_, toggle);
    const std::string note = order->hold ? NoteOnTime(server_, name, *order->hold) : "";
    if (!note.empty()) json["note"] = note;
    return JsonReply(json);
  }
  return AdminError(404, "there is no toggle '" + name + "'");
}

}  // namespace spillway
