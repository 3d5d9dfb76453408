// SPDX-License-Identifier: MIT
// What an operator throws in the night: `toggles`, and what a `challenge` asks by default.
#include <csignal>

#include "rules/draft.h"

namespace spillway {
namespace {

// SIGUSR1, SIGUSR2 or a real-time signal; all others have a meaning already.
// What is suggested is none of those that the toggles in `others` have.
void ReadSignal(const yaml::Node& node, const std::vector<ToggleConfig>& others,
                ToggleConfig* out) {
  if (node.missing() || !ExpectScalar(node, "a signal such as USR1")) return;
  constexpr std::string_view kRealTime = "RTMIN+";
  std::string_view text = node.text();
  const auto room = static_cast<std::uint64_t>(SIGRTMAX - SIGRTMIN);
  const std::string range = "RTMIN+0 to RTMIN+" + std::to_string(room);
  if (text == "USR1") {
    out->signal = SIGUSR1;
  } else if (text == "USR2") {
    out->signal = SIGUSR2;
  } else if (text.starts_with(kRealTime)) {
    Result<std::uint64_t> offset = ParseInteger(text.substr(kRealTime.size()));
    if (offset && *offset <= room) {
      out->signal = SIGRTMIN + static_cast<int>(*offset);
    } else {
      node.Fail(yaml::Quote(text) + " is out of range; expected " + range);
    }
  } else {
    std::vector<std::string> free = {"USR1", "USR2", range};
    for (const ToggleConfig& other : others) {
      if (other.signal == SIGUSR1) std::erase(free, "USR1");
      if (other.signal == SIGUSR2) std::erase(free, "USR2");
    }
    node.Fail("a toggle cannot have the signal " + yaml::Quote(text) +
              yaml::ExpectedOneOf(text, free));
  }
}

void LeaveSignal(const Slot&, ToggleConfig*) {}  // read where the other toggles are known

constexpr KeyRow<ToggleConfig> kToggleRows[] = {
    {"description", "text", "", "what it does, for those who see it in a list",
     &Set<&ToggleConfig::description>},
    {"default", "on | off", "off", "how it stands at the first start",
     &Set<&ToggleConfig::initial>},
    {"signal", "USR1 | USR2 | RTMIN+n", "", "each delivery of this signal flips it", &LeaveSignal},
    {"file", "path", "", "it is on while this file exists", &SetPath<&ToggleConfig::file>},
    {"max_on", "duration 0s..30d", "0s", "it goes off by itself after so long; 0s: never",
     &Set<&ToggleConfig::max_on>},
};

void ReadCookie(const Slot& slot, ChallengeConfig* out) {
  auto text = ReadText(slot.node);
  if (!text) return;
  if (IsToken(*text) && text->size() <= 64) {
    out->cookie = *std::move(text);
  } else {
    slot.node.Fail("expected the name of a cookie, found " + yaml::Quote(*text));
  }
}

using Demand = ChallengeDemand;
constexpr KeyRow<ChallengeConfig> kChallengeRows[] = {
    {"key_file", "path", "",
     "file with 32 secret bytes or more; without it passes end with the process",
     &SetPath<&ChallengeConfig::key_file>},
    {"cookie", "cookie name", "spillway-pass", "the cookie that holds a pass", &ReadCookie},
    {"kind", "cookie | refresh | pow", "pow", "what a plain `challenge` asks for",
     &SetIn<&ChallengeConfig::defaults, &Demand::kind>},
    {"bits", "integer 1..24", "14", "how hard its proof of work is; one more is twice the work",
     &SetIn<&ChallengeConfig::defaults, &Demand::bits>},
    {"pass", "duration 1m..1d", "30m", "how long its pass is good for",
     &SetIn<&ChallengeConfig::defaults, &Demand::pass>},
};

}  // namespace

void ReadToggles(const Slot& slot, Draft* draft) {
  ForEachNamed(
      slot.node, "surge: { signal: USR1 }", [&](const yaml::Node& key, const yaml::Node& value) {
        ToggleConfig toggle;
        toggle.name = key.text();
        if (value.kind() != yaml::NodeKind::kNull)
          ReadKeys(value, kToggleRows, slot.loader, &toggle);
        if (value.is_map()) ReadSignal(value.Get("signal"), draft->config.toggles, &toggle);
        for (const ToggleConfig& other : draft->config.toggles) {
          if (toggle.signal != 0 && toggle.signal == other.signal) {
            value.Get("signal").Fail("toggle '" + other.name + "' has this signal already");
          }
        }
        draft->config.toggles.push_back(std::move(toggle));
      });
}

void ListToggleKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListNamed<kToggleRows>(name, kinds);
}

void ReadChallenge(const Slot& slot, Draft* draft) {
  ReadKeys(slot.node, kChallengeRows, slot.loader, &draft->config.challenge);
}

void ListChallengeKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListSection<kChallengeRows>(name, kinds);
}

}  // namespace spillway
