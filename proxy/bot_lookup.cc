// SPDX-License-Identifier: MIT
#include "proxy/bot_lookup.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace spillway {
namespace {

// One lookup on its way; the callbacks that it waits for hold it.
struct Lookup : std::enable_shared_from_this<Lookup> {
  Lookup(Resolver& by, const IpAddress& of, std::function<void(BotAnswer)> then)
      : resolver(by), client(of), done(std::move(then)) {}

  void Begin(std::vector<std::string> of) {
    domains = std::move(of);
    resolver.FindNames(client, [self = shared_from_this()](Result<std::vector<std::string>> found) {
      if (!found) return self->done({BotCheck::kUnknown});
      for (std::string& name : *found) {
        if (self->names.size() < kMostNames && IsNameOf(name, self->domains))
          self->names.push_back(std::move(name));
      }
      self->TryNext();
    });
  }

  // Whoever owns an address gives it any name, but not that name this address.
  void TryNext() {
    if (names.empty()) return done({silence ? BotCheck::kUnknown : BotCheck::kForged});
    const std::string name = std::move(names.back());
    names.pop_back();
    resolver.ResolveFull(name, client, [self = shared_from_this()](Result<Resolved> found) {
      if (!found) {
        self->silence = true;
      } else if (const auto& all = found->addresses;
                 std::find(all.begin(), all.end(), self->client) != all.end()) {
        return self->done({BotCheck::kYes, found->ttl});
      }
      self->TryNext();
    });
  }

  Resolver& resolver;
  const IpAddress client;
  const std::function<void(BotAnswer)> done;
  std::vector<std::string> domains, names;
  bool silence = false;
};

}  // namespace

void LookUpBot(Resolver& resolver, const IpAddress& client, const std::vector<std::string>& domains,
               std::function<void(BotAnswer)> done) {
  std::make_shared<Lookup>(resolver, client, std::move(done))->Begin(domains);
}

}  // namespace spillway
