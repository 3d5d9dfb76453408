// SPDX-License-Identifier: MIT
// The section `bots`: robots whose claim to be themselves DNS can confirm, beside those that are built
// in, and whom to ask.
#include <algorithm>

#include "rules/draft.h"
#include "rules/scalars.h"
#include "rules/text_index.h"

namespace spillway {
namespace {

constexpr std::size_t kMostBots = 100;
constexpr std::uint16_t kDnsPort = 53;

void ReadNameservers(const Slot& slot, BotsConfig* out) {
  constexpr std::string_view kWhat =
      "the address of a name server, such as 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:53";
  out->nameservers.clear();
  if (slot.node.kind() == yaml::NodeKind::kNull) return;
  for (const yaml::Node& node : slot.node.Items()) {
    if (!ExpectScalar(node, kWhat)) continue;
    std::optional<IpAddress> ip = IpAddress::Parse(node.text());
    std::uint16_t port = kDnsPort;
    if (!ip) {
      const Result<SocketAddress> address = ParseSocketAddress(node.text(), false);
      if (address && address->form == SocketAddress::Form::kIp && address->port != 0) {
        ip = address->ip;
        port = address->port;
      }
    }
    if (!ip) {
      node.Fail("expected " + std::string(kWhat) + ", found " + yaml::Quote(node.text()));
      continue;
    }
    const std::string text = ip->ToString();
    out->nameservers.push_back((ip->is_v4() ? text : "[" + text + "]") + ":" +
                               std::to_string(port));
  }
}

void ReadAgents(const Slot& slot, BotConfig* out) {
  for (const yaml::Node& node : slot.node.Items()) {
    if (auto text = ReadText(node)) out->user_agent.push_back(*std::move(text));
  }
  if (slot.node.is_list() && slot.node.Items().empty())
    slot.node.Fail("the list is empty: nobody would ever claim to be it");
}

void ReadDomains(const Slot& slot, BotConfig* out) {
  for (const yaml::Node& node : slot.node.Items()) {
    if (!ExpectScalar(node, "a domain such as crawl.example.com")) continue;
    const std::string_view text = node.text();
    const bool name = IsHostName(text) && !text.ends_with('.') &&
                      text.find('.') != std::string_view::npos && !IpAddress::Parse(text);
    if (name) {
      out->domains.push_back(LowerAscii(text));
    } else {
      node.Fail(
          "expected a domain such as crawl.example.com, below which the names of its "
          "addresses are, found " +
          yaml::Quote(text));
    }
  }
  if (slot.node.is_list() && slot.node.Items().empty())
    slot.node.Fail("the list is empty: nobody could ever be it");
}

constexpr KeyRow<BotConfig> kBotRows[] = {
    {"user_agent", "text, list of these", "",
     "texts in a User-Agent, without case, that claim to be it", &ReadAgents, nullptr,
     "a text in its User-Agent, such as ExampleBot"},
    {"domains", "host name, list of these", "",
     "domains below which the names of its addresses are, as who runs it says", &ReadDomains,
     nullptr, "a domain such as crawl.example.com"},
};

constexpr std::string_view kBotExample = "{ user_agent: ExampleBot, domains: crawl.example.com }";

void ReadKnown(const Slot& slot, BotsConfig* out) {
  ForEachNamed(slot.node, "examplebot: " + std::string(kBotExample),
               [&](const yaml::Node& key, const yaml::Node& value) {
                 if (out->known.size() == kMostBots) {
                   key.Fail("there are more than " + std::to_string(kMostBots) + " robots");
                   return;
                 }
                 BotConfig bot;
                 bot.name = key.text();
                 ReadKeys(value, kBotRows, slot.loader, &bot, kBotExample);
                 bot.mark = MarkOf(bot.domains);
                 if (out->known.size() < kMostBots) out->known.push_back(std::move(bot));
               });
}

constexpr KeyRow<BotsConfig> kBotsRows[] = {
    {"nameservers", "name server, list of these, or nothing", "[]",
     "whom to ask; without it those of /etc/resolv.conf", &ReadNameservers},
    {"known", "map of names", "",
     "robots beside those that are built in, or in their place by their names, 100 at most",
     &ReadKnown, &ListNamed<kBotRows>},
};

}  // namespace

void ReadBots(const Slot& slot, Draft* draft) {
  ReadKeys(slot.node, kBotsRows, slot.loader, &draft->config.bots);
}

void ListBotKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListSection<kBotsRows>(name, kinds);
}

void AddBuiltInBots(BotsConfig* bots) {
  const std::size_t own = bots->known.size();
  for (const BotConfig& bot : BuiltInBots()) {
    const auto end = bots->known.begin() + static_cast<std::ptrdiff_t>(own);
    const bool replaced = std::any_of(bots->known.begin(), end,
                                      [&](const BotConfig& one) { return one.name == bot.name; });
    if (!replaced) bots->known.push_back(bot);
  }
}

}  // namespace spillway
