// SPDX-License-Identifier: MIT
#include "spillway/bots.h"

#include <algorithm>
#include <iterator>

#include "spillway/hash.h"
#include "spillway/request.h"
#include "spillway/text.h"

namespace spillway {
namespace {

bool ContainsIgnoreCase(std::string_view text, std::string_view part) {
  for (std::size_t at = 0; at + part.size() <= text.size(); ++at) {
    if (EqualsIgnoreCase(text.substr(at, part.size()), part)) return true;
  }
  return false;
}

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

BotConfig Make(std::string_view name, std::vector<std::string> user_agent,
               std::vector<std::string> domains) {
  const std::uint64_t mark = MarkOf(domains);
  return {std::string(name), std::move(user_agent), std::move(domains), mark};
}

}  // namespace

std::string_view WordOf(BotCheck check) {
  return kBotWords[static_cast<std::size_t>(check)];
}

std::optional<BotCheck> ReadBotWord(std::string_view word) {
  for (const BotCheck check : {BotCheck::kYes, BotCheck::kForged, BotCheck::kUnknown}) {
    if (WordOf(check) == word) return check;
  }
  return std::nullopt;
}

// Two that publish names are not here. googleusercontent.com has the machines of everybody who rents one
// from Google, so that anybody could be Googlebot. The names of Baiduspider's addresses mostly have no
// address themselves, so that the real one would be forged.
std::span<const BotConfig> BuiltInBots() {
  static const std::vector<BotConfig> kBots = {
      Make("googlebot",
           {"Googlebot", "AdsBot-Google", "GoogleOther", "Google-InspectionTool",
            "Mediapartners-Google", "Storebot-Google"},
           {"googlebot.com", "google.com"}),
      Make("bingbot", {"bingbot", "msnbot", "adidxbot"}, {"search.msn.com"}),
      Make("applebot", {"Applebot"}, {"applebot.apple.com"}),
      Make("yandexbot", {"YandexBot", "YandexImages", "YandexMobileBot"},
           {"yandex.ru", "yandex.net", "yandex.com"}),
      Make("petalbot", {"PetalBot"}, {"petalsearch.com"}),
      Make("slurp", {"Yahoo! Slurp"}, {"crawl.yahoo.net"}),
      Make("amazonbot", {"Amazonbot"}, {"crawl.amazonbot.amazon"}),
      Make("pinterestbot", {"Pinterestbot"}, {"pinterest.com", "pinterestcrawler.com"}),
      Make("ahrefsbot", {"AhrefsBot"}, {"ahrefs.com", "ahrefs.net"}),
      Make("semrushbot", {"SemrushBot"}, {"bot.semrush.com"}),
  };
  return kBots;
}

std::uint64_t MarkOf(std::span<const std::string> domains) {
  std::string all;
  for (const std::string& domain : domains) all.append(domain).append(1, ' ');
  return HashBytes(all, 0);
}

const BotConfig* ClaimedBot(std::span<const BotConfig> bots, const Request& request) {
  for (const HeaderField& field : request.headers) {
    if (!EqualsIgnoreCase(field.name, "user-agent")) continue;
    for (const BotConfig& bot : bots) {
      for (const std::string& text : bot.user_agent) {
        if (ContainsIgnoreCase(field.value, text)) return &bot;
      }
    }
  }
  return nullptr;
}

bool IsNameOf(std::string_view name, std::span<const std::string> domains) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (!std::all_of(name.begin(), name.end(), &IsHostCharacter)) return false;
  return std::any_of(domains.begin(), domains.end(), [&](const std::string& domain) {
    if (name.size() < domain.size()) return false;
    const std::size_t before = name.size() - domain.size();
    return EqualsIgnoreCase(name.substr(before), domain) &&
           (before == 0 || name[before - 1] == '.');
  });
}

}  // namespace spillway
