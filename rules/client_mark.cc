// SPDX-License-Identifier: MIT
// Whom a pass is for. A browser's family and platform stay the same over updates, its network over
// reconnects; a pass survives the change of either, but does not work for a stranger elsewhere.
#include <algorithm>
#include <string>

#include "spillway/challenge.h"
#include "spillway/hash.h"

namespace spillway {
namespace {

// Not secret: marks must be the same on every machine that shares a key. Who aims for the hash of
// another user agent can as well send that user agent.
constexpr std::uint64_t kMarkSeed = 0x7370696c6c776179;

struct Word {
  std::string_view seen, means;
};

// The first one found counts: browsers name those that they resemble after themselves.
constexpr Word kPlatforms[] = {
    {"iPhone", "iPhone"}, {"iPad", "iPad"},     {"Android", "Android"}, {"Windows", "Windows"},
    {"Macintosh", "Mac"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
};
constexpr Word kBrowsers[] = {
    {"Edg", "Edge"},         {"OPR/", "Opera"},     {"SamsungBrowser/", "Samsung"},
    {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"},
    {"Chrome/", "Chrome"},   {"Safari/", "Safari"},
};

template <std::size_t N>
std::string_view FirstOf(const Word (&words)[N], std::string_view text) {
  for (const Word& word : words) {
    if (text.find(word.seen) != std::string_view::npos) return word.means;
  }
  return {};
}

// "Chrome on Android"; for what is no browser the name of its first product: "curl".
std::string Family(std::string_view user_agent) {
  user_agent = user_agent.substr(0, 512);
  std::string_view browser = FirstOf(kBrowsers, user_agent);
  if (browser.empty())
    browser = user_agent.substr(0, std::min<std::size_t>(user_agent.find_first_of("/ (;"), 64));
  std::string family(browser);
  family += '\n';
  family += FirstOf(kPlatforms, user_agent);
  return family;
}

}  // namespace

ClientMark MarkClient(std::string_view user_agent, const IpAddress& client) {
  const IpAddress network = client.Unwrapped().Masked(24, 48);
  return {HashBytes(Family(user_agent), kMarkSeed), HashBytes(network.byte_view(), kMarkSeed)};
}

bool IsSameClient(const ClientMark& a, const ClientMark& b) {
  return a.user_agent == b.user_agent || a.network == b.network;
}

}  // namespace spillway
