// SPDX-License-Identifier: MIT
#include "proxy/ctl.h"

#include <fmt/format.h>

#include <ostream>
#include <sstream>
#include <vector>

#include "proxy/ctl_client.h"
#include "proxy/receipt_view.h"
#include "proxy/table.h"

namespace spillway {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(30);  // a reload may have large lists to read

using Rows = std::vector<std::vector<std::string>>;

// A value as a person would write it; missing ones are empty.
std::string Show(const Json& json, const char* key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (found == json.end() || found->is_null()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (found->is_boolean()) return found->get<bool>() ? "yes" : "no";
  return DumpJson(*found);
}

const Json& At(const Json& json, const char* key) {
  static const Json kNothing;
  const auto found = json.is_object() ? json.find(key) : json.end();
  return found == json.end() ? kNothing : *found;
}

std::string ShowSeconds(const Json& seconds) {
  if (!seconds.is_number()) return "";
  return FormatDuration(std::chrono::seconds(static_cast<std::int64_t>(seconds.get<double>())));
}

std::string Join(const Json& list) {
  std::string text;
  for (const Json& item : list) {
    if (!text.empty()) text += ", ";
    text += item.is_string() ? item.get<std::string>() : DumpJson(item);
  }
  return text;
}

std::string Pairs(const Json& object) {
  std::string text;
  for (const auto& [key, value] : object.items()) {
    if (!text.empty()) text += ", ";
    text += key + " " + (value.is_string() ? value.get<std::string>() : DumpJson(value));
  }
  return text;
}

// The same of counts, leaving out what is none.
std::string Counts(const Json& object) {
  Json some = Json::object();
  for (const auto& [key, value] : object.items()) {
    if (value != 0) some[key] = value;
  }
  return some.empty() ? "none" : Pairs(some);
}

// What was wrong with a refused one has lines of its own.
std::vector<std::vector<std::string>> ReloadRows(const Json& reload) {
  const bool ok = At(reload, "ok") == true;
  std::vector<std::vector<std::string>> rows = {
      {"last load",
       fmt::format("{} at {}; reloads taken {}, refused {}", ok ? "taken" : "REFUSED",
                   Show(reload, "when"), Show(reload, "succeeded"), Show(reload, "failed"))}};
  if (ok) return rows;
  std::istringstream error(Show(reload, "error"));
  for (std::string line; std::getline(error, line);) rows.push_back({"", line});
  return rows;
}

// By class and reason, leaving out what is none.
std::string ShowShed(const Json& pool) {
  std::string text;
  for (const auto& [name, reasons] : At(pool, "shed").items()) {
    for (const auto& [reason, count] : reasons.items()) {
      if (count == 0) continue;
      if (!text.empty()) text += ", ";
      text += fmt::format("{} {} {}", count.dump(), name, reason);
    }
  }
  return text.empty() ? "none" : text;
}

// "12.5 %", of a number from 0 to 1.
std::string ShowPercent(const Json& share) {
  return share.is_number() ? fmt::format("{:.1f} %", share.get<double>() * 100) : "";
}

std::string ShowAdmission(const Json& pool) {
  std::string text =
      fmt::format("{} of {} in flight, {} apart, {} protected; queued: {}; shed: {}",
                  Show(pool, "in_flight"), Show(pool, "limit"), Show(pool, "apart"),
                  Show(pool, "protected"), Counts(At(pool, "queued")), ShowShed(pool));
  if (At(pool, "pressed") == true) {
    text += fmt::format("; overloaded: {} of {} is served", ShowPercent(At(pool, "admit_share")),
                        Show(pool, "lowest_class"));
  }
  for (const Json& route : At(pool, "culprits")) {
    text +=
        fmt::format("; {} is held to {} places, {}", Show(route, "route"), Show(route, "allowed"),
                    At(route, "reason") == "hangs" ? "as it hangs" : "of which it has too many");
  }
  return text;
}

std::string ShowHold(const Json& pool) {
  const bool down = At(pool, "state") == "down";
  return fmt::format(
      "servers {}{}; held: {}; since the start outages {}, held {}, let out {}, given up {}, "
      "turned "
      "away {}",
      Show(pool, "state"),
      down ? " for " + ShowSeconds(At(pool, "down_for_seconds")) : std::string(),
      Counts(At(pool, "held")), Show(pool, "outages"), Show(pool, "entered"),
      Show(pool, "released"), Show(pool, "given_up"), Show(pool, "turned_away"));
}

std::string FormatStatus(const Json& status) {
  const Json& config = At(status, "config");
  const std::string file = Show(config, "file");
  Rows rows = {
      {"version", Show(status, "version")},
      {"state", Show(status, "state") + (At(status, "ready") == true ? ", ready" : ", not ready")},
      {"uptime", ShowSeconds(At(status, "uptime_seconds"))},
      {"workers", Show(status, "workers")},
      {"listening on", Join(At(status, "listeners"))},
      {"configuration", fmt::format("generation {}, {} ({})", Show(status, "generation"),
                                    file.empty() ? "environment" : file, Show(config, "digest"))},
      {"toggles on", At(status, "toggles_on").empty() ? "none" : Join(At(status, "toggles_on"))},
      {"connections", Pairs(At(status, "connections"))},
      {"decisions", Pairs(At(status, "decisions"))},
      {"responses", Pairs(At(status, "responses"))},
      {"access log lines dropped", Show(status, "access_log_dropped")},
  };
  for (auto& row : ReloadRows(At(status, "reload"))) rows.push_back(std::move(row));
  for (const Json& pool : At(status, "admission")) {
    rows.push_back({"pool " + Show(pool, "name"), ShowAdmission(pool)});
  }
  for (const Json& pool : At(status, "outages")) {
    rows.push_back({"pool " + Show(pool, "name"), ShowHold(pool)});
  }
  return FormatTable(rows);
}

// A table of a list of objects: the columns' heads and keys.
struct Column {
  const char* head;
  const char* key;
};

std::string FormatList(const Json& list, const std::vector<Column>& columns) {
  Rows rows(1);
  for (const Column& column : columns) rows[0].emplace_back(column.head);
  for (const Json& item : list) {
    std::vector<std::string>& row = rows.emplace_back();
    for (const Column& column : columns) row.push_back(Show(item, column.key));
  }
  return FormatTable(rows);
}

// What it would refuse if it were on, in a word for a table.
std::string ShowForecast(const Json& forecast) {
  return At(forecast, "refused").is_number() ? "refuses " + ShowPercent(At(forecast, "share")) : "";
}

std::string FormatToggles(const Json& list) {
  Rows rows = {{"TOGGLE", "STATE", "SINCE", "UNTIL", "CAUSE", "REASON", "IF ON"}};
  for (const Json& toggle : list) {
    rows.push_back({Show(toggle, "name"), At(toggle, "on") == true ? "on" : "off",
                    Show(toggle, "since"), Show(toggle, "until"), Show(toggle, "cause"),
                    Show(toggle, "reason"), ShowForecast(At(toggle, "forecast"))});
  }
  return FormatTable(rows);
}

std::string FormatShares(const Json& shares) {
  std::string text;
  for (const Json& share : shares) {
    text +=
        (text.empty() ? "" : ", ") + Show(share, "name") + " " + ShowPercent(At(share, "share"));
  }
  return text;
}

std::string FormatForecast(const Json& toggle) {
  const std::string name = Show(toggle, "name");
  if (At(toggle, "on") == true)
    return "the toggle " + name + " is on: `ctl rules` tells what its rules do\n";
  const Json& forecast = At(toggle, "forecast");
  const std::string span = Show(forecast, "seconds");
  std::string text =
      fmt::format("if {} were on: {} of the {} requests of the last {} s refused ({})\n", name,
                  Show(forecast, "refused"), Show(forecast, "requests"), span,
                  ShowPercent(At(forecast, "share")));
  text += FormatTable(
      {{"denied", Show(forecast, "denied_per_second") + " a second"},
       {"limited", Show(forecast, "limited_per_second") + " a second"},
       {"challenged", Show(forecast, "challenged_per_second") + " a second"},
       {"answered otherwise", Show(forecast, "answered_per_second") + " a second"},
       {"clients", "about " + Show(forecast, "clients")},
       {"with a cookie", ShowPercent(At(forecast, "with_cookie")) + " of what is refused"},
       {"user agents", FormatShares(At(forecast, "agents"))},
       {"paths", FormatShares(At(forecast, "paths"))}});
  return text;
}

std::string FormatPools(const Json& pools) {
  Rows rows = {{"POOL", "SERVER", "STATE", "WEIGHT", "IN FLIGHT", "REQUESTS", "ERRORS"}};
  Rows pressed;  // the pools that have a limit, and those whose servers do not answer
  for (const Json& pool : pools) {
    if (At(pool, "servers").empty()) rows.push_back({Show(pool, "name"), "-", "no servers"});
    for (const Json& server : At(pool, "servers")) {
      std::string state = At(server, "healthy") != true ? "unhealthy"
                          : At(server, "up") != true
                              ? "ejected for " + ShowSeconds(At(server, "ejected_for_seconds")) +
                                    ": " + Show(server, "ejected_as")
                          : At(server, "refuses") == true ? "refuses connections"
                                                          : "up";
      if (At(server, "backup") == true) state += " (backup)";
      rows.push_back({Show(pool, "name"), Show(server, "address"), state, Show(server, "weight"),
                      Show(server, "in_flight"), Show(server, "requests"), Show(server, "errors")});
    }
    const Json& place = At(pool, "admission");
    if (place.is_object()) pressed.push_back({"pool " + Show(pool, "name"), ShowAdmission(place)});
    const Json& hold = At(pool, "hold");
    if (hold.is_object() && At(hold, "state") != "up")
      pressed.push_back({"pool " + Show(pool, "name"), ShowHold(hold)});
  }
  return FormatTable(rows) + (pressed.empty() ? "" : FormatTable(pressed));
}

std::string BodyOf(const CtlOrder& order) {
  if (order.verb != "toggle" || order.forecast) return "";
  Json body;
  body["on"] = order.on;
  if (!order.hold.empty()) body["for"] = order.hold;
  if (!order.reason.empty()) body["reason"] = order.reason;
  return DumpJson(body);
}

// Everything but letters, digits, '-', '_' and '.' in percent signs.
std::string EncodeSegment(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

struct Call {
  std::string method, target;
};

Call CallFor(const CtlOrder& order) {
  const std::string base = "/api/v1/";
  if (order.forecast) return {"GET", base + "toggles/" + EncodeSegment(order.toggle)};
  if (order.verb == "toggle") return {"POST", base + "toggles/" + EncodeSegment(order.toggle)};
  if (order.verb == "check") return {"POST", base + "config/check"};
  if (order.verb == "reload" || order.verb == "drain") return {"POST", base + order.verb};
  if (order.verb == "explain") return {"GET", base + "explain/" + EncodeSegment(order.id)};
  return {"GET", base + order.verb};
}

}  // namespace

std::string FormatForPeople(const std::string& verb, const Json& answer) {
  if (verb == "status") return FormatStatus(answer);
  if (verb == "toggles") return FormatToggles(At(answer, "toggles"));
  if (verb == "toggle") {
    const std::string note = Show(answer, "note");
    return FormatToggles(Json::array({answer})) + (note.empty() ? "" : note + "\n");
  }
  if (verb == "forecast") return FormatForecast(answer);
  if (verb == "pools") return FormatPools(At(answer, "pools"));
  if (verb == "rules") {
    return FormatList(At(answer, "rules"), {{"RULE", "name"},
                                            {"ACTION", "action"},
                                            {"WHEN", "when"},
                                            {"MODE", "mode"},
                                            {"TOGGLE", "toggle"},
                                            {"MATCHES", "matches"},
                                            {"IN SHADOW", "shadow_matches"},
                                            {"PLACE", "place"}});
  }
  if (verb == "limits") {
    return FormatList(At(answer, "limits"), {{"LIMIT", "name"},
                                             {"KEY", "key"},
                                             {"RATE", "rate"},
                                             {"BURST", "burst"},
                                             {"ENTRIES", "entries"},
                                             {"CAPACITY", "capacity"},
                                             {"BY PARENT", "parent_answers"}});
  }
  if (verb == "explain") return FormatReceipt(answer);
  if (verb == "reload") return "reloaded: generation " + Show(answer, "generation") + "\n";
  if (verb == "check") return "ok (" + Show(answer, "summary") + ")\n";
  if (verb == "drain") return "draining\n";
  return DumpJson(answer, 2) + "\n";
}

int RunCtl(const CtlOrder& order, const SocketAddress& admin, const std::string& token,
           std::ostream& out, std::ostream& err) {
  const Call call = CallFor(order);
  const Result<CtlAnswer> answer =
      AskAdmin(admin, token, call.method, call.target, BodyOf(order), kTimeout);
  if (!answer) {
    err << "spillway: cannot reach the admin address " << answer.error().message << "\n";
    return kCtlUnreachable;
  }
  const std::optional<Json> json = ParseJson(answer->body);
  if (answer->status >= 300 || !json) {
    std::string why = json ? TextAt(*json, "error") : "";
    if (why.empty()) why = fmt::format("the admin address answered with status {}", answer->status);
    if (answer->status == 401) {
      why += token.empty() ? "; name its file with --token-file FILE, or with -c FILE the "
                             "configuration whose admin.token_file it is"
                           : "; the one that was sent is not the one that is set there";
    }
    err << why << (why.ends_with('\n') ? "" : "\n");
    return kCtlRefused;
  }
  out << (order.json ? answer->body
                     : FormatForPeople(order.forecast ? "forecast" : order.verb, *json));
  return kCtlDone;
}

}  // namespace spillway
