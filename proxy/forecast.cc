// SPDX-License-Identifier: MIT
#include "proxy/forecast.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "spillway/text.h"

namespace spillway {
namespace {

// Agents and paths are told of so many in ten seconds, and then of one in so many.
constexpr std::uint64_t kAllOf = 1024, kOneIn = 16;

bool HasCookieBeside(const Request& request, std::string_view pass_cookie) {
  for (const HeaderField& header : request.headers) {
    if (!EqualsIgnoreCase(header.name, "cookie")) continue;
    const bool alone = header.value.starts_with(pass_cookie) &&
                       header.value.substr(pass_cookie.size()).starts_with('=') &&
                       header.value.find(';') == std::string_view::npos;
    if (!alone) return true;
  }
  return false;
}

void AddShare(std::vector<ForecastSum::Share>* shares, std::string_view name, std::uint64_t count) {
  const auto at = std::find_if(shares->begin(), shares->end(),
                               [&](const ForecastSum::Share& one) { return one.name == name; });
  if (at == shares->end()) {
    shares->push_back({std::string(name), count});
  } else {
    at->requests += count;
  }
}

}  // namespace

Forecast::Forecast(std::size_t toggles, std::string pass_cookie, int ipv6_prefix)
    : pass_cookie_(std::move(pass_cookie)), ipv6_prefix_(ipv6_prefix), toggles_(toggles) {
  for (auto& number : part_numbers_) number.store(-1, std::memory_order_relaxed);
}

void Forecast::Count(TimePoint now) {
  const std::int64_t number = PartAt(now);
  const auto at = static_cast<std::size_t>(number) % kParts;
  if (part_numbers_[at].load(std::memory_order_relaxed) != number) {
    requests_[at].Subtract(requests_[at].value());
    part_numbers_[at].store(number, std::memory_order_relaxed);
    if (began_.load(std::memory_order_relaxed) == 0)
      began_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }
  requests_[at].Add();
}

void Forecast::Note(const Request& request, const Foreseen& foreseen, TimePoint now) {
  if (foreseen.effect == Foreseen::Effect::kPass) return;
  const std::int64_t number = PartAt(now);
  const IpAddress client = request.client.AsClient(ipv6_prefix_);
  const bool with_cookie = HasCookieBeside(request, pass_cookie_);

  const std::lock_guard lock(mutex_);
  std::unique_ptr<Parts>& parts = toggles_[foreseen.toggle];
  if (parts == nullptr) parts = std::make_unique<Parts>();
  std::optional<Part>& place = (*parts)[static_cast<std::size_t>(number) % kParts];
  if (!place || place->number != number) place.emplace().number = number;
  Part& part = *place;
  ++part.effects[static_cast<std::size_t>(foreseen.effect)];
  part.with_cookie += with_cookie;
  part.clients.Add(HashBytes(client.byte_view(), 0));
  // Telling what somebody claims to be may cost 10 us when they claim something new each time.
  const std::uint64_t noted =
      std::accumulate(part.effects.begin(), part.effects.end(), std::uint64_t{0});
  if (noted > kAllOf && noted % kOneIn != 0) return;
  const HeaderField* agent = FindHeader(request.headers, "user-agent");
  ++part.agents[families_.Of(agent == nullptr ? std::string_view() : agent->value)];
  part.paths.Add(request.path.substr(0, kLongest));
}

void Forecast::AddTo(std::uint32_t toggle, TimePoint now, ForecastSum* sum) const {
  const std::int64_t last = PartAt(now), first = last - static_cast<std::int64_t>(kParts) + 1;
  const TimePoint began{Duration(began_.load(std::memory_order_relaxed))};
  if (began == TimePoint{}) return;
  sum->span = std::max(sum->span, now - std::max(began, TimePoint{first * kPart}));
  for (std::size_t at = 0; at < kParts; ++at) {
    const std::int64_t number = part_numbers_[at].load(std::memory_order_relaxed);
    if (number >= first && number <= last) sum->requests += requests_[at].value();
  }
  const std::lock_guard lock(mutex_);
  if (toggles_[toggle] == nullptr) return;
  for (const std::optional<Part>& place : *toggles_[toggle]) {
    if (!place || place->number < first || place->number > last) continue;
    const Part& part = *place;
    const auto effects = [&](Foreseen::Effect effect) {
      return part.effects[static_cast<std::size_t>(effect)];
    };
    sum->deny += effects(Foreseen::Effect::kDeny);
    sum->limit += effects(Foreseen::Effect::kLimit);
    sum->challenge += effects(Foreseen::Effect::kChallenge);
    sum->answer += effects(Foreseen::Effect::kAnswer);
    sum->with_cookie += part.with_cookie;
    sum->clients.Merge(part.clients);
    for (std::size_t family = 0; family < part.agents.size(); ++family) {
      if (part.agents[family] > 0) AddShare(&sum->agents, FamilyName(family), part.agents[family]);
    }
    for (const auto& entry : part.paths.Top(kPaths)) AddShare(&sum->paths, entry.key, entry.count);
  }
}

}  // namespace spillway
