// SPDX-License-Identifier: MIT
// The first row whose words are all in the text says it. Order matters: nearly everybody claims to
// be everybody before them ("Mozilla/5.0 ... Chrome/126.0 Safari/537.36 Edg/126.0"), so bots come
// first, then those who build on others, then those they build on.
#include "proxy/agent_family.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <vector>

#include "spillway/hash.h"

namespace spillway {
namespace {

struct Row {
  std::string_view family;
  std::string_view word;
  std::string_view and_word = {};  // empty: none
};

constexpr Row kRows[] = {
    {"Googlebot", "Googlebot"},
    {"Google (other bots)", "AdsBot-Google"},
    {"Google (other bots)", "Mediapartners-Google"},
    {"Google (other bots)", "Google-"},
    {"Google (other bots)", "GoogleOther"},
    {"bingbot", "bingbot"},
    {"Applebot", "Applebot"},
    {"Baiduspider", "Baiduspider"},
    {"YandexBot", "Yandex"},
    {"DuckDuckBot", "DuckDuck"},
    {"GPTBot", "GPTBot"},
    {"OpenAI (other bots)", "ChatGPT-User"},
    {"OpenAI (other bots)", "OAI-SearchBot"},
    {"ClaudeBot", "ClaudeBot"},
    {"PerplexityBot", "Perplexity"},
    {"Amazonbot", "Amazonbot"},
    {"Bytespider", "Bytespider"},
    {"CCBot", "CCBot"},
    {"Meta (bots)", "facebookexternalhit"},
    {"Meta (bots)", "meta-external"},
    {"Twitterbot", "Twitterbot"},
    {"LinkedInBot", "LinkedInBot"},
    {"Slackbot", "Slackbot"},
    {"Discordbot", "Discordbot"},
    {"TelegramBot", "TelegramBot"},
    {"WhatsApp", "WhatsApp"},
    {"Mastodon", "Mastodon"},
    {"AhrefsBot", "AhrefsBot"},
    {"SemrushBot", "SemrushBot"},
    {"MJ12bot", "MJ12bot"},
    {"DotBot", "DotBot"},
    {"PetalBot", "PetalBot"},
    {"UptimeRobot", "UptimeRobot"},
    {"curl", "curl/"},
    {"Wget", "Wget/"},
    {"Python", "python-requests"},
    {"Python", "Python-urllib"},
    {"Python", "aiohttp"},
    {"Python", "python-httpx"},
    {"Scrapy", "Scrapy"},
    {"Go", "Go-http-client"},
    {"Java", "Java/"},
    {"Java", "Apache-HttpClient"},
    {"okhttp", "okhttp"},
    {"Node.js", "node-fetch"},
    {"Node.js", "axios/"},
    {"Node.js", "undici"},
    {"PHP", "GuzzleHttp"},
    {"Perl", "libwww-perl"},
    {"Ruby", "Ruby"},
    {"PostmanRuntime", "PostmanRuntime"},
    {"kube-probe", "kube-probe"},
    {"headless Chrome", "HeadlessChrome"},
    {"other bots", "bot/"},
    {"other bots", "Bot/"},
    {"other bots", "bot;"},
    {"other bots", "crawl"},
    {"other bots", "Crawl"},
    {"other bots", "spider"},
    {"other bots", "Spider"},
    {"other bots", "+http"},
    {"Edge", "Edg"},
    {"Opera", "OPR/"},
    {"Samsung Internet", "SamsungBrowser"},
    {"Firefox iOS", "FxiOS"},
    {"Chrome iOS", "CriOS"},
    {"Firefox Android", "Firefox/", "Android"},
    {"Firefox", "Firefox/"},
    {"Android WebView", "; wv)", "Android"},
    {"Chrome Android", "Chrome/", "Android"},
    {"Chrome", "Chrome/"},
    {"Safari iOS", "Safari/", "iPhone"},
    {"Safari iOS", "Safari/", "iPad"},
    {"iOS WebView", "AppleWebKit", "iPhone"},
    {"iOS WebView", "AppleWebKit", "iPad"},
    {"Safari", "Safari/", "Version/"},
    {"Apple apps", "CFNetwork"},
    {"Internet Explorer", "Trident/"},
    {"Internet Explorer", "MSIE "},
};

constexpr std::size_t kNone = 0, kOther = 1;

// Names in the order of the rows, each once, behind those of no row.
const std::vector<std::string_view>& Names() {
  static const auto* names = [] {
    auto* all = new std::vector<std::string_view>{"(none)", "others"};
    for (const Row& row : kRows) {
      if (std::find(all->begin(), all->end(), row.family) == all->end()) all->push_back(row.family);
    }
    return all;
  }();
  return *names;
}

}  // namespace

std::size_t AgentFamilies() {
  return Names().size();
}

std::string_view FamilyName(std::size_t family) {
  return Names()[family];
}

std::size_t FamilyOf(std::string_view user_agent) {
  if (user_agent.empty()) return kNone;
  user_agent = user_agent.substr(0, 1024);
  for (const Row& row : kRows) {
    if (user_agent.find(row.word) == user_agent.npos) continue;
    if (!row.and_word.empty() && user_agent.find(row.and_word) == user_agent.npos) continue;
    const std::vector<std::string_view>& names = Names();
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), row.family) -
                                    names.begin());
  }
  return kOther;
}

std::size_t FamilyMemo::Of(std::string_view user_agent) {
  if (user_agent.empty()) return kNone;
  const std::uint64_t hash = HashBytes(user_agent, 0) | 1;  // 0: vacant
  Entry& entry = (*entries_)[hash / 2 % kEntries];
  if (entry.hash != hash) entry = {hash, FamilyOf(user_agent)};
  return entry.family;
}

}  // namespace spillway
