// SPDX-License-Identifier: MIT
// Parts are chained: each is hashed with the hash of those before it as its seed, so that
// ("ab", "c") and ("a", "bc") differ.
#include "rules/limit_keys.h"

#include <algorithm>
#include <iterator>
#include <span>

#include "rules/kind_row.h"
#include "rules/scalars.h"
#include "spillway/hash.h"

namespace spillway {
namespace {

constexpr std::uint64_t kMissingPart =
    0x9e3779b97f4a7c15;  // sets "no cookie" apart from any cookie
constexpr int kParentV4Bits = 24;
constexpr int kParentV6Bits = 48;

using PartFunction = FieldId(std::string_view name);

FieldId AddressPart(std::string_view) {
  return {.source = &source::kAddress};
}
FieldId PathPart(std::string_view) {
  return {.source = &source::kPath};
}
FieldId HostPart(std::string_view) {
  return {.source = &source::kHost};
}
FieldId MethodPart(std::string_view) {
  return {.source = &source::kMethod};
}
FieldId UserAgentPart(std::string_view) {
  return {.source = &source::kHeader, .name = "user-agent"};
}
FieldId Ja4Part(std::string_view) {
  return {.source = &source::kJa4};
}
FieldId HeaderPart(std::string_view name) {
  return {.source = &source::kHeader, .name = LowerAscii(name)};
}
FieldId CookiePart(std::string_view name) {
  return {.source = &source::kCookie, .name = std::string(name)};
}
FieldId QueryPart(std::string_view name) {
  return {.source = &source::kQuery, .name = std::string(name)};
}
FieldId CountryPart(std::string_view) {
  return {.source = &source::kCountry};
}
FieldId NetworkPart(std::string_view) {
  return {.source = &source::kNetwork};
}

// "/shop/cart" -> 1: "shop", 2: "cart". Nothing where the path is shorter, or has nothing there.
template <std::size_t kNumber>
std::optional<std::string_view> Segment(const Scene& scene) {
  std::string_view rest = scene.request.path;
  for (std::size_t i = 0; i < kNumber; ++i) {
    const std::size_t slash = rest.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(slash + 1);
  }
  return source::UnlessEmpty(rest.substr(0, rest.find('/')));
}

template <std::size_t kNumber>
constexpr Source SegmentSource(std::string_view name) {
  return {.name = name,
          .form = Source::Form::kText,
          .cost = Source::Cost::kLittle,
          .lets = Source::Lets::kSome,
          .text = &Segment<kNumber>};
}

constexpr Source kSegments[] = {SegmentSource<1>("path.1"), SegmentSource<2>("path.2"),
                                SegmentSource<3>("path.3"), SegmentSource<4>("path.4")};

template <std::size_t kNumber>
FieldId SegmentPart(std::string_view) {
  return {.source = &kSegments[kNumber - 1]};
}

constexpr std::string_view kPart = "alone or in a list";
constexpr std::string_view kWhole = "alone";

constexpr KindRow<PartFunction> kParts[] = {
    {"client.address", kPart, "the client's address", &AddressPart},
    {"path", kPart, "the normalised path", &PathPart},
    {"path.1", kPart, "its first part: shop of /shop/cart", &SegmentPart<1>},
    {"path.2", kPart, "its second part: cart of /shop/cart", &SegmentPart<2>},
    {"path.3", kPart, "its third part", &SegmentPart<3>},
    {"path.4", kPart, "its fourth part", &SegmentPart<4>},
    {"client.country", kPart, "the country of the client's address", &CountryPart},
    {"client.asn", kPart, "the network (AS) of the client's address", &NetworkPart},
    {"host", kPart, "the host", &HostPart},
    {"method", kPart, "the method", &MethodPart},
    {"user_agent", kPart, "the User-Agent header", &UserAgentPart},
    {"tls.ja4", kPart, "the fingerprint of the client's TLS", &Ja4Part},
    {"header.NAME", kPart, "a header", &HeaderPart},
    {"cookie.NAME", kPart, "a cookie", &CookiePart},
    {"query.NAME", kPart, "a query parameter", &QueryPart},
    {"global", kWhole, "one bucket for everybody", nullptr},
};

bool IsGlobal(std::string_view text) {
  return std::any_of(std::begin(kParts), std::end(kParts), [&](const KindRow<PartFunction>& row) {
    return row.type == kWhole && row.name == text;
  });
}

// What is known only from a file that is not there would put everybody under one key.
bool IsKnown(const yaml::Node& node, const FieldId& part, const RuleScope& scope) {
  if (part.source == &source::kCountry && !scope.countries_known) {
    node.Fail(std::string(kNoCountries));
    return false;
  }
  if (part.source == &source::kNetwork && !scope.networks_known) {
    node.Fail(std::string(kNoNetworks));
    return false;
  }
  return true;
}

std::optional<FieldId> ReadPart(const yaml::Node& node, const RuleScope& scope) {
  if (!ExpectScalar(node, "the name of a condition, or global")) return std::nullopt;
  for (const KindRow<PartFunction>& row : kParts) {
    std::string_view name;
    if (!Covers(row, node.text(), &name)) continue;
    const bool named = row.name.ends_with("NAME");
    if (named && (row.parse == &QueryPart ? name.empty() : !IsToken(name))) {
      node.Fail(yaml::Quote(node.text()) + " names no " + std::string(row.text.substr(2)));
      return std::nullopt;
    }
    FieldId part = row.parse(name);
    if (!IsKnown(node, part, scope)) return std::nullopt;
    return part;
  }
  std::vector<std::string> legal;
  AppendNames(std::span<const KindRow<PartFunction>>(kParts), &legal);
  node.Fail("unknown key " + yaml::Quote(node.text()) + yaml::ExpectedOneOf(node.text(), legal));
  return std::nullopt;
}

// The value of a part, which is no address; of a number its bytes, which stand in *scratch.
std::optional<std::string_view> ValueOf(const FieldId& part, const Scene& scene,
                                        MatchScratch* scratch) {
  if (part.source->form != Source::Form::kNumber) return FirstValue(part, scene, scratch);
  const std::optional<std::uint64_t> number = part.source->number(scene, part);
  if (!number) return std::nullopt;
  scratch->text.assign(reinterpret_cast<const char*>(&*number), sizeof(*number));
  return scratch->text;
}

}  // namespace

std::optional<LimitKeyPlan> ReadLimitKey(const yaml::Node& node, const RuleScope& scope) {
  LimitKeyPlan plan;
  plan.ipv6_prefix = scope.ipv6_prefix;
  if (node.is_scalar() && IsGlobal(node.text())) {
    plan.text = "global";
    return plan;
  }
  const std::vector<yaml::Node> items = node.Items();
  if (items.empty()) {
    node.Fail("a limit needs at least one key; write global for one bucket for everybody");
    return std::nullopt;
  }
  bool good = true;
  for (const yaml::Node& item : items) {
    if (IsGlobal(item.text())) {
      item.Fail("global stands alone: it is one bucket for everybody");
      good = false;
      continue;
    }
    const std::optional<FieldId> part = ReadPart(item, scope);
    good = good && part;
    if (!part) continue;
    if (std::find(plan.parts.begin(), plan.parts.end(), *part) != plan.parts.end()) {
      item.Fail(yaml::Quote(item.text()) + " stands twice in the key");
      good = false;
      continue;
    }
    plan.parts.push_back(*part);
    if (!plan.text.empty()) plan.text += ',';
    plan.text +=
        part->source == &source::kHeader ? LowerAscii(item.text()) : std::string(item.text());
  }
  if (!good) return std::nullopt;
  return plan;
}

void AppendLimitKeyKinds(std::vector<Kind>* kinds) {
  AppendKinds("limit_key", std::span<const KindRow<PartFunction>>(kParts), kinds);
}

LimitKey KeyFor(const LimitKeyPlan& plan, const Scene& scene, std::uint64_t seed,
                MatchScratch* scratch) {
  const IpAddress own = scene.request.client.AsClient(plan.ipv6_prefix);
  const IpAddress around = own.Masked(kParentV4Bits, std::min(plan.ipv6_prefix, kParentV6Bits));
  LimitKey key{seed, seed};
  bool has_address = false;
  for (const FieldId& part : plan.parts) {
    if (part.source != &source::kAddress) {
      if (const auto value = ValueOf(part, scene, scratch)) {
        key.hash = HashBytes(*value, key.hash);
        key.parent = HashBytes(*value, key.parent);
        continue;
      }
      key.hash ^= kMissingPart;
      key.parent ^= kMissingPart;
    }
    has_address = true;
    key.hash = HashBytes(own.byte_view(), key.hash);
    key.parent = HashBytes(around.byte_view(), key.parent);
  }
  if (!has_address) key.parent = HashBytes(plan.text, seed);
  if (plan.parts.empty()) key.hash = key.parent;
  return key;
}

}  // namespace spillway
