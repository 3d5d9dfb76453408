// SPDX-License-Identifier: MIT
// The status page: what an operator wants to see first, in one screen that renews itself. No
// script, so that nothing from a configuration or a client can become one.
#include <fmt/format.h>

#include "proxy/admin_api.h"
#include "proxy/generation.h"
#include "proxy/html.h"
#include "proxy/version.h"
#include "proxy/wall_time.h"

namespace spillway {
namespace {

constexpr std::string_view kTop = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>spillway</title><style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
th, td { padding: .15rem .8rem .15rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } .bad { color: #c22; }
pre { white-space: pre-wrap; } .dim { opacity: .7; }
</style></head><body>
)";

std::uint64_t Sum(const AdminControls& server, Decision decision) {
  std::uint64_t sum = 0;
  for (const WorkerCounters* worker : server.counters()) {
    sum += worker->decisions[static_cast<std::size_t>(decision)].value();
  }
  return sum;
}

void AppendHead(const AdminControls& server, std::string* out) {
  const Generation& generation = server.generation();
  const ReloadStatus& reload = server.reload_status();
  const auto up = std::chrono::duration_cast<std::chrono::seconds>(server.now() - server.started());
  *out += fmt::format("<h1>spillway {} <span class=\"{}\">{}</span></h1>\n", Version(),
                      server.ready() ? "dim" : "bad",
                      server.draining() ? "draining"
                      : server.ready()  ? "ready"
                                        : "starting");
  *out += fmt::format(
      "<p>Up {}, configuration {} ({:016x}) from {}, listening on", FormatDuration(up),
      generation.number, generation.config.digest,
      generation.config.file.empty() ? "the environment" : EscapeHtml(generation.config.file));
  for (const std::string& address : server.listening()) *out += " " + EscapeHtml(address);
  *out += ".</p>\n";
  if (!reload.ok) {
    *out += fmt::format("<p class=\"bad\">The reload of {} was refused:</p><pre>{}</pre>\n",
                        FormatTime(reload.when), EscapeHtml(reload.error));
  }
}

void AppendDecisions(const AdminControls& server, std::string* out) {
  *out += "<h2>Requests</h2><table><tr>";
  std::string numbers;
  for (std::size_t i = 0; i < static_cast<std::size_t>(Decision::kCount); ++i) {
    const auto decision = static_cast<Decision>(i);
    *out += fmt::format("<th class=\"n\">{}</th>", DecisionName(decision));
    numbers += fmt::format("<td class=\"n\">{}</td>", Sum(server, decision));
  }
  *out += "</tr><tr>" + numbers + "</tr></table>\n";
}

void AppendToggles(const AdminControls& server, std::string* out) {
  const auto toggles = server.toggles();
  if (toggles.empty()) return;
  *out +=
      "<h2>Toggles</h2><table><tr><th>name</th><th>state</th><th>since</th><th>until</th>"
      "<th>why</th></tr>\n";
  for (const ToggleStatus& toggle : toggles) {
    *out += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        EscapeHtml(toggle.name), toggle.on ? "<b>on</b>" : "off", FormatTime(toggle.since),
        toggle.until ? FormatTime(*toggle.until) : "",
        EscapeHtml(toggle.reason.empty() ? toggle.cause : toggle.cause + ": " + toggle.reason));
  }
  *out += "</table>\n";
}

void AppendPools(const AdminControls& server, std::string* out) {
  *out +=
      "<h2>Pools</h2><table><tr><th>pool</th><th>server</th><th>state</th>"
      "<th class=\"n\">in flight</th><th class=\"n\">requests</th><th "
      "class=\"n\">errors</th></tr>\n";
  for (const std::shared_ptr<Pool>& pool : server.generation().pools) {
    const auto members = pool->members();
    if (members->empty()) {
      *out += fmt::format("<tr><td>{}</td><td class=\"bad\" colspan=\"5\">no servers</td></tr>\n",
                          EscapeHtml(pool->config().name));
    }
    for (const PoolMember& member : *members) {
      const Endpoint& endpoint = *member.endpoint;
      const char* state = !endpoint.healthy.load()                ? "<b class=\"bad\">unhealthy</b>"
                          : !Pool::Usable(endpoint, server.now()) ? "<b class=\"bad\">ejected</b>"
                          : endpoint.refuses.load() ? "<b class=\"bad\">refuses connections</b>"
                          : member.backup           ? "up (backup)"
                                                    : "up";
      *out += fmt::format(
          "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>"
          "<td class=\"n\">{}</td></tr>\n",
          EscapeHtml(pool->config().name), EscapeHtml(endpoint.text), state,
          endpoint.in_flight.load(), endpoint.requests.load(), endpoint.errors.load());
    }
  }
  *out += "</table>\n";
}

void AppendRules(const AdminControls& server, std::string* out) {
  const Generation& generation = server.generation();
  const auto rules = generation.config.policy->rules();
  if (rules.empty()) return;
  *out +=
      "<h2>Rules</h2><table><tr><th>rule</th><th>action</th><th class=\"n\">matches</th>"
      "<th class=\"n\">in shadow</th></tr>\n";
  for (std::size_t i = 0; i < rules.size(); ++i) {
    std::uint64_t enforced = 0, shadow = 0;
    for (const auto& worker : generation.rule_counters) {
      enforced += worker[i]->enforced.value();
      shadow += worker[i]->shadow.value();
    }
    *out += fmt::format(
        "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
        EscapeHtml(rules[i].name), EscapeHtml(rules[i].action), enforced, shadow);
  }
  *out += "</table>\n";
}

}  // namespace

std::string FormatStatusPage(const AdminControls& server) {
  std::string out(kTop);
  AppendHead(server, &out);
  AppendDecisions(server, &out);
  AppendToggles(server, &out);
  AppendPools(server, &out);
  AppendRules(server, &out);
  out += "</body></html>\n";
  return out;
}

}  // namespace spillway
