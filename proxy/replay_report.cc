// SPDX-License-Identifier: MIT
#include "proxy/replay_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "proxy/table.h"
#include "proxy/wall_time.h"

namespace spillway {
namespace {

constexpr std::size_t kTop = 10;             // clients and families that people are shown
constexpr std::size_t kTopJson = 100;        // and programs
constexpr std::size_t kTopDifferences = 20;  // that people are shown
constexpr std::size_t kLongestName = 24;     // of a rule, in a table
constexpr std::size_t kLongestLine = 78;     // of an example

std::string Count(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string Share(std::uint64_t part, std::uint64_t all) {
  const double share = all == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(all);
  return part > 0 && share < 0.05 ? "<0.1%" : fmt::format("{:.1f}%", share);
}

std::string Size(std::uint64_t bytes) {
  if (bytes >= 1'000'000'000) return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
  if (bytes >= 1'000'000) return fmt::format("{:.0f} MB", static_cast<double>(bytes) / 1e6);
  return fmt::format("{:.0f} kB", static_cast<double>(bytes) / 1e3);
}

std::string Clip(const std::string& text, std::size_t most) {
  return text.size() <= most ? text : text.substr(0, most - 3) + "...";
}

std::string Times(std::uint64_t count, const char* one, const char* many) {
  return Count(count) + " " + (count == 1 ? one : many);
}

bool IsFigure(const std::string& cell) {
  return !cell.empty() && (cell[0] == '<' || (cell[0] >= '0' && cell[0] <= '9')) &&
         cell.find_first_not_of("0123456789,.%<") == cell.npos;
}

// A table below its heading, figures set to the right.
std::string Table(const std::string& heading, std::vector<std::vector<std::string>> rows) {
  for (std::size_t column = 0; column < rows.front().size(); ++column) {
    std::size_t width = 0;
    bool figures = rows.size() > 1;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      width = std::max(width, rows[i][column].size());
      if (i > 0 && !IsFigure(rows[i][column]) && !rows[i][column].empty()) figures = false;
    }
    if (!figures) continue;
    for (auto& row : rows) row[column].insert(0, width - row[column].size(), ' ');
  }
  return "\n" + heading + "\n" + FormatTable(rows);
}

std::string NameOf(const ReplaySide& side, std::uint32_t rule) {
  return side.policy().rules()[rule].name;
}

// "deny bad-bots", "forward", "perhaps challenge phones, else forward"
std::string Describe(const ReplaySide& side, const Outcome& outcome) {
  std::string text(OutcomeName(outcome.action));
  if (outcome.rule != kNoRule) text += " " + NameOf(side, outcome.rule);
  if (outcome.perhaps == kNoRule) return text;
  const RuleInfo& perhaps = side.policy().rules()[outcome.perhaps];
  return "perhaps " + perhaps.action + " " + perhaps.name + ", else " + text;
}

// What a rule would have done with those that matched it.
std::string Effect(const RuleInfo& rule, const RuleTally& tally) {
  if (rule.mode == RuleInfo::Mode::kOff) return "off";
  const bool shadow = rule.mode == RuleInfo::Mode::kShadow;
  if (rule.limits) {
    return (shadow ? "shadow: over limit " : "over limit ") + Count(tally.over_limit);
  }
  if (shadow) return "shadow: none";
  if (tally.ended > 0) return "ended " + Count(tally.ended);
  return "";
}

std::string Overview(const Replay& replay, const Reading& reading) {
  std::uint64_t unreadable = 0, too_long = 0;
  for (const LogReading& log : reading.logs) {
    unreadable += log.unreadable;
    too_long += log.too_long;
  }
  std::string out = Times(replay.requests(), "request", "requests") + " of " +
                    Times(reading.lines, "line", "lines");
  if (replay.requests() > 0) {
    out += ", " + FormatTime(replay.first()) + " to " + FormatTime(replay.last());
  }
  out += "\n";
  const auto left_out = [&](std::uint64_t count, const char* one, const char* many) {
    if (count > 0) out += "  not judged: " + Times(count, one, many) + "\n";
  };
  left_out(unreadable, "line that cannot be read", "lines that cannot be read");
  left_out(too_long, "line of more than 512 KiB", "lines of more than 512 KiB");
  left_out(replay.no_request(), "line without a request", "lines without a request");
  left_out(replay.refused(), "request that is refused before any rule",
           "requests that are refused before any rule");
  left_out(replay.own(), "request to spillway itself (/.spillway/)",
           "requests to spillway itself (/.spillway/)");
  for (const std::string& one : reading.unreadable) out += "  " + Clip(one, kLongestLine) + "\n";
  if (unreadable > reading.unreadable.size()) {
    out += "  ... and " + Count(unreadable - reading.unreadable.size()) + " more\n";
  }
  return out;
}

bool TellsQueries(const Reading& reading) {
  return std::any_of(reading.logs.begin(), reading.logs.end(),
                     [](const LogReading& log) { return log.query; });
}

// What makes the figures less than exact.
std::vector<std::string> Notes(const Replay& replay, const Reading& reading) {
  std::vector<std::string> notes;
  if (replay.after().unsure() > 0) {
    notes.push_back(Times(replay.after().unsure(), "request", "requests") +
                    " came behind an undecided rule, taken not to match");
  }
  if (const std::uint64_t unsure = replay.after().unsure_answers(); unsure > 0) {
    notes.push_back("what servers said to " + Times(unsure, "request", "requests") +
                    " is not known: rules on responses charge nothing for it");
  }
  if (replay.late() > 0) {
    notes.push_back(Times(replay.late(), "line was", "lines were") +
                    " too far out of order: judged at the time reached");
  }
  const auto rules = replay.after().policy().rules();
  const bool limits =
      std::any_of(rules.begin(), rules.end(), [](const RuleInfo& rule) { return rule.limits; });
  if (replay.whole_seconds() && limits) {
    notes.push_back("times are whole seconds: what limits do within a second is approximate");
  }
  if (replay.json() && replay.after().config().clients.ambiguous_paths == AmbiguousPaths::kRefuse) {
    notes.push_back("spillway's JSON holds no raw paths: ambiguous_paths was not applied to it");
  }
  if (!TellsQueries(reading) && replay.requests() > 0) {
    notes.push_back("no line has a query: queries count as not logged");
  }
  return notes;
}

std::string Outcomes(const Replay& replay) {
  const ReplaySide& after = replay.after();
  const ReplaySide* before = replay.before();
  std::vector<std::vector<std::string>> rows = {{"OUTCOME", "REQUESTS", "SHARE"}};
  if (before != nullptr) rows.front().insert(rows.front().end(), {"BEFORE", "SHARE"});
  for (std::size_t i = 0; i < kOutcomes; ++i) {
    const std::uint64_t now = after.outcomes()[i], was = before ? before->outcomes()[i] : 0;
    if (now == 0 && was == 0) continue;
    rows.push_back({std::string(OutcomeName(i)), Count(now), Share(now, replay.requests())});
    if (before) rows.back().insert(rows.back().end(), {Count(was), Share(was, replay.requests())});
  }
  return Table("What would have come of them", std::move(rows));
}

std::string Rules(const Replay& replay) {
  const ReplaySide& side = replay.after();
  if (side.rules().empty()) return "\nThere are no rules.\n";
  std::vector<std::vector<std::string>> rows = {{"RULE", "ACTION", "MATCHED", "SHARE", "EFFECT"}};
  std::vector<std::vector<std::string>> undecided = {{"RULE", "ACTION", "REQUESTS", "NOT LOGGED"}};
  for (std::size_t i = 0; i < side.rules().size(); ++i) {
    const RuleInfo& rule = side.policy().rules()[i];
    const RuleTally& tally = side.rules()[i];
    const std::string name = Clip(rule.name, kLongestName);
    rows.push_back({name, rule.action, Count(tally.matched),
                    Share(tally.matched, replay.requests()), Effect(rule, tally)});
    for (const auto& [reason, count] : tally.reasons) {
      undecided.push_back({name, rule.action, Count(count), reason});
    }
  }
  std::string out = Table("What each rule would have done", std::move(rows));
  if (undecided.size() > 1) {
    out += Table("Undecided: the log does not hold what these rules look at", std::move(undecided));
  }
  return out;
}

std::string ClientText(const Replay& replay, const IpAddress& client) {
  const int prefix = replay.after().config().clients.ipv6_prefix;
  std::string text = client.ToString();
  if (!client.is_v4() && prefix < 128) text += "/" + std::to_string(prefix);
  return text;
}

std::string Clients(const Replay& replay) {
  const auto top = replay.clients().Top(kTop);
  if (top.empty()) return "";
  std::vector<std::vector<std::string>> rows = {{"CLIENT", "REQUESTS"}};
  bool errors = false;
  for (const auto& entry : top) {
    rows.push_back({ClientText(replay, entry.key), Count(entry.count)});
    if (entry.error > 0) rows.back().back() += " (" + Count(entry.error) + " too many at most)";
    errors = errors || entry.error > 0;
  }
  return Table(replay.after().unsure() > 0
                   ? "Clients with the most requests that were not forwarded, or perhaps not"
                   : "Clients with the most requests that were not forwarded",
               std::move(rows));
}

std::vector<std::size_t> FamiliesInOrder(const Replay& replay) {
  const std::vector<Replay::Family>& all = replay.families();
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].requests > 0) order.push_back(i);
  }
  const auto weight = [&](std::size_t i) {
    return std::tuple(all[i].affected + all[i].perhaps, all[i].requests);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return weight(a) > weight(b); });
  return order;
}

std::string Families(const Replay& replay) {
  const std::vector<std::size_t> order = FamiliesInOrder(replay);
  if (order.empty()) return "";
  std::vector<std::vector<std::string>> rows = {
      {"USER AGENT", "REQUESTS", "SHARE", "NOT FORWARDED", "OF ITS OWN", "PERHAPS"}};
  for (std::size_t i = 0; i < std::min(order.size(), kTop); ++i) {
    const Replay::Family& family = replay.families()[order[i]];
    rows.push_back({std::string(FamilyName(order[i])), Count(family.requests),
                    Share(family.requests, replay.requests()), Count(family.affected),
                    Share(family.affected, family.requests), Count(family.perhaps)});
  }
  return Table("User agents, by what they say they are", std::move(rows));
}

std::string DifferencesText(const Replay& replay) {
  if (replay.before() == nullptr) return "";
  const std::vector<Difference> all = replay.Differences();
  const std::uint64_t differ = replay.requests() - replay.same();
  std::string out = "\nAgainst " + replay.before()->config().file + ": " +
                    Times(differ, "request", "requests") + " (" + Share(differ, replay.requests()) +
                    ") would have gone otherwise\n";
  for (std::size_t i = 0; i < std::min(all.size(), kTopDifferences); ++i) {
    out +=
        fmt::format("{:>10}  {}\n", Count(all[i].count), Describe(*replay.before(), all[i].before));
    out += fmt::format("{:>10}  -> {}\n", "", Describe(replay.after(), all[i].after));
    for (const std::string& example : all[i].examples) {
      out += "            " + Clip(example, kLongestLine - 12) + "\n";
    }
  }
  if (all.size() > kTopDifferences) {
    out += "  ... and " + Count(all.size() - kTopDifferences) + " more kinds (--json has them)\n";
  }
  if (replay.other_differences() > 0) {
    out += "  ... and " + Count(replay.other_differences()) + " requests of yet other kinds\n";
  }
  return out;
}

// ---- for programs

Json OutcomeJson(const ReplaySide& side, const Outcome& outcome) {
  Json json = {{"action", OutcomeName(outcome.action)}};
  if (outcome.rule != kNoRule) json["rule"] = NameOf(side, outcome.rule);
  if (outcome.perhaps != kNoRule) json["undecided"] = NameOf(side, outcome.perhaps);
  return json;
}

Json SideJson(const ReplaySide& side) {
  Json outcomes = Json::object();
  for (std::size_t i = 0; i < kOutcomes; ++i) outcomes[OutcomeName(i)] = side.outcomes()[i];
  Json rules = Json::array();
  for (std::size_t i = 0; i < side.rules().size(); ++i) {
    const RuleInfo& rule = side.policy().rules()[i];
    const RuleTally& tally = side.rules()[i];
    Json reasons = Json::object();
    for (const auto& [reason, count] : tally.reasons) reasons[reason] = count;
    rules.push_back({{"name", rule.name},
                     {"action", rule.action},
                     {"when", rule.on_response ? "response" : "request"},
                     {"mode", ModeName(rule.mode)},
                     {"matched", tally.matched},
                     {"ended", tally.ended},
                     {"over_limit", tally.over_limit},
                     {"undecided", tally.undecided},
                     {"not_logged", reasons}});
  }
  return {{"file", side.config().file},
          {"outcomes", outcomes},
          {"behind_undecided", side.unsure()},
          {"unknown_answers", side.unsure_answers()},
          {"rules", rules}};
}

}  // namespace

std::string ReplayText(const Replay& replay, const Reading& reading) {
  std::string out = Overview(replay, reading);
  if (replay.requests() > 0) {
    out += Outcomes(replay) + Rules(replay) + DifferencesText(replay) + Clients(replay) +
           Families(replay);
  }
  const std::vector<std::string> notes = Notes(replay, reading);
  if (!notes.empty()) out += "\n";
  for (const std::string& note : notes) out += "Note: " + note + ".\n";
  return out;
}

Json ReplayJson(const Replay& replay, const Reading& reading) {
  Json logs = Json::array();
  for (const LogReading& log : reading.logs) {
    logs.push_back({{"name", log.name},
                    {"lines", log.lines},
                    {"unreadable", log.unreadable},
                    {"too_long", log.too_long},
                    {"queries", log.query}});
  }
  Json json = {{"lines", reading.lines},
               {"requests", replay.requests()},
               {"no_request", replay.no_request()},
               {"refused_before_rules", replay.refused()},
               {"own_paths", replay.own()},
               {"out_of_order", replay.late()}};
  if (replay.requests() > 0) {
    json["from"] = FormatTime(replay.first());
    json["to"] = FormatTime(replay.last());
  }
  json["logs"] = logs;
  json["unreadable"] = reading.unreadable;
  json["notes"] = Notes(replay, reading);
  json["result"] = SideJson(replay.after());
  Json clients = Json::array();
  for (const auto& entry : replay.clients().Top(kTopJson)) {
    clients.push_back({{"client", ClientText(replay, entry.key)},
                       {"requests", entry.count},
                       {"too_many_at_most", entry.error}});
  }
  json["clients"] = clients;
  Json families = Json::array();
  for (const std::size_t i : FamiliesInOrder(replay)) {
    const Replay::Family& family = replay.families()[i];
    families.push_back({{"family", FamilyName(i)},
                        {"requests", family.requests},
                        {"not_forwarded", family.affected},
                        {"perhaps", family.perhaps}});
  }
  json["user_agents"] = families;
  if (replay.before() == nullptr) return json;
  json["against"] = SideJson(*replay.before());
  json["same"] = replay.same();
  json["other_differences"] = replay.other_differences();
  Json differences = Json::array();
  for (const Difference& difference : replay.Differences()) {
    differences.push_back({{"requests", difference.count},
                           {"before", OutcomeJson(*replay.before(), difference.before)},
                           {"after", OutcomeJson(replay.after(), difference.after)},
                           {"examples", difference.examples}});
  }
  json["differences"] = differences;
  return json;
}

std::string ProgressText(const Progress& progress) {
  const std::string lines = Times(progress.lines, "line", "lines");
  if (progress.bytes_in_all == 0) return "replay: " + Size(progress.bytes) + ", " + lines;
  const std::uint64_t percent =
      100 * std::min(progress.bytes, progress.bytes_in_all) / progress.bytes_in_all;
  return fmt::format("replay: {:>3}% of {}, {}", percent, Size(progress.bytes_in_all), lines);
}

}  // namespace spillway
