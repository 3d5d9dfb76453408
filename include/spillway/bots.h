// SPDX-License-Identifier: MIT
// Robots that say who they are in their user agent, and the names that the addresses of the real ones
// have. Whoever runs such a robot publishes these, so that others can ask DNS: the name of the address
// lies below one of the robot's domains, and that name has this address (forward-confirmed reverse
// DNS). Here is who claims to be whom; DNS is asked by others. Thread rule: plain values, pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

struct Request;

struct BotConfig {
  std::string name;
  std::vector<std::string> user_agent;  // texts, sought without case; one is enough to claim it
  std::vector<std::string> domains;     // lower case, "search.example.com"
  std::uint64_t mark = 0;               // of the domains: what DNS says depends on them alone
};

struct BotsConfig {
  std::vector<std::string> nameservers;  // "192.0.2.1:53"; empty: the system's
  std::vector<BotConfig> known;          // of those that a user agent claims to be the first counts
};

// Whether a client is the robot that it says it is.
enum class BotCheck : std::uint8_t {
  kYes,
  kForged,   // DNS says that it is not
  kUnknown,  // DNS was not asked yet, or gives no answer
  kNone,     // it does not say that it is one of those that are known
};
inline constexpr std::string_view kBotWords[] = {"yes", "forged", "unknown", "none"};
std::string_view WordOf(BotCheck check);
// One of the first three: what a word says of who claims to be one.
std::optional<BotCheck> ReadBotWord(std::string_view word);

// Those whose operators publish the method.
std::span<const BotConfig> BuiltInBots();
std::uint64_t MarkOf(std::span<const std::string> domains);

// The one that the request says it is from; null: none.
const BotConfig* ClaimedBot(std::span<const BotConfig> bots, const Request& request);

// The name is one of the domains, or below one. Names that no host has are not.
bool IsNameOf(std::string_view name, std::span<const std::string> domains);

}  // namespace spillway
