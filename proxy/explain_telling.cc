// SPDX-License-Identifier: MIT
#include "proxy/explain_telling.h"

#include <fmt/format.h>

#include <algorithm>

namespace spillway {
namespace {

// What a request does not say, and who is asked here may not know.
bool IsOfSurroundings(const std::string& field) {
  return field.starts_with("pool.") || field == "client.country" || field == "client.asn";
}

std::string Told(const ConditionTrace& why, const Ignorance& ignorance) {
  if (ignorance) {
    for (const std::string& field : why.asked) {
      const std::string unknown = ignorance(field);
      if (!unknown.empty()) return why.text + ": cannot be told, " + unknown;
    }
  }
  std::string text = why.text + (why.holds ? " holds, and must not" : " does not hold");
  std::string found;
  for (const auto& [name, value] : why.found) {
    if (!found.empty()) found += ", ";
    found += fmt::format("{} is '{}'", name, value);
  }
  if (!found.empty()) return text + ": " + found;
  const bool unknown = std::any_of(why.asked.begin(), why.asked.end(), IsOfSurroundings);
  return text + ": " + (unknown ? "not known here" : "there is none");
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
    parts.emplace_back("the client has passed its challenge, or is protected");
  }
  for (const std::uint32_t limit : trace.limits) {
    parts.push_back(rule.mode == RuleInfo::Mode::kShadow ? "limit " + policy.limits()[limit].name
                                                         : TellLimit(policy, verdict, limit));
  }
  parts.insert(parts.end(), trace.effects.begin(), trace.effects.end());
  if (rule.mode == RuleInfo::Mode::kShadow)
    parts.push_back(rule.action + " in shadow mode: without effect");
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace

ToldRules TellRules(const Policy& policy, const Verdict& verdict,
                    const std::vector<RuleTrace>& traces, const Ignorance& ignorance) {
  using Fate = RuleTrace::Fate;
  ToldRules told;
  for (const RuleTrace& trace : traces) {
    if (trace.fate == Fate::kNotReached) {
      ++told.untried;
      continue;
    }
    const RuleInfo& rule = policy.rules()[trace.rule];
    ToldRule one{"off", rule.name, rule.place, ""};
    switch (trace.fate) {
      case Fate::kMatched:
        one.word = "yes";
        one.text = TellMatch(policy, verdict, trace);
        break;
      case Fate::kNotMatched:
        one.word = "no";
        for (std::size_t i = 0; i < trace.why.size(); ++i) {
          one.text += (i == 0 ? "" : "; ") + Told(trace.why[i], ignorance);
        }
        // By what is known it would match: it did not by what is not.
        if (trace.why.empty() && ignorance) one.text = "by something that is not kept";
        break;
      case Fate::kToggleOff:
        one.text = "toggle " + policy.toggles()[rule.toggle] + " is off";
        break;
      case Fate::kModeOff:
        one.text = "mode: off";
        break;
      case Fate::kOnResponse:
        one.text = "judged when there is an answer";
        break;
      case Fate::kNotReached:
        break;
    }
    told.rules.push_back(std::move(one));
  }
  return told;
}

std::string LineOf(const ToldRule& rule) {
  return fmt::format("  {:<4} {} ({}){}{}", rule.word, rule.name, rule.place,
                     rule.text.empty() ? "" : ": ", rule.text);
}

std::string LineOfUntried(std::size_t untried) {
  return fmt::format("  ...  {} more {} not tried", untried,
                     untried == 1 ? "rule is" : "rules are");
}

std::string TellAction(const FinalAction& action) {
  std::string text(ActionName(action));
  if (const std::optional<int> status = StatusOf(action)) {
    text += fmt::format(" with status {}", *status);
  }
  if (const auto* redirect = std::get_if<Redirect>(&action)) {
    text += fmt::format(" to {}", redirect->location);
  }
  return text;
}

}  // namespace spillway
