// SPDX-License-Identifier: MIT
// Conditions on who is asking.
#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "rules/conditions.h"
#include "rules/meant.h"
#include "rules/scalars.h"
#include "spillway/keyed_hash.h"

namespace spillway {
namespace {

constexpr std::string_view kRangeHelp =
    "; expected an address or a range such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32";

constexpr Source kClientCertificate{.name = "tls.client_certificate",
                                    .form = Source::Form::kText,
                                    .cost = Source::Cost::kLittle,
                                    .lets = Source::Lets::kFew,
                                    .text = [](const Scene& scene) {
                                      return source::UnlessEmpty(scene.request.client_certificate);
                                    }};

// Ranges are not texts: of the operators only `not` makes sense.
Expression ReadRanges(ConditionReader& reader, const yaml::Node& test) {
  if (test.is_map()) {
    const auto entries = test.Entries();
    if (entries.size() != 1 || entries[0].first.text() != "not") {
      test.Fail(
          "expected ranges, $name or { not: ... }: other operators do not apply to addresses");
      return {};
    }
    if (!EnterLevel(reader, test)) return {};
    Expression inner = ReadRanges(reader, entries[0].second);
    --reader.depth;
    return Expression::Not(std::move(inner));
  }
  const FieldId field{.source = &source::kAddress};
  const std::uint32_t number = reader.fields.NewTest(field, Stage::kLookup);
  AddressSet& addresses = reader.fields.field(field).addresses;
  for (const TestValue& value : ReadValues(reader, test)) {
    if (const auto range = IpRange::Parse(value.text)) {
      addresses.Add(*range, number);
    } else {
      value.Fail(yaml::Quote(value.text) + " is not a range of addresses" +
                 MeantRange(value.text, kRangeHelp));
    }
  }
  return Expression::Test(number);
}

Expression ReadAddress(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadRanges(reader, slot.test);
}

Expression ReadJa4(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadTest(reader, {.field = {.source = &source::kJa4}, .asks = slot.asks}, slot.test);
}

Expression ReadClientCertificate(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadTest(reader, {.field = {.source = &kClientCertificate}, .asks = slot.asks}, slot.test);
}

// --- client.country, client.asn: known by those who have the files

Result<std::string> CheckCountry(std::string_view value, bool) {
  return ParseCountry(value);
}

Result<NumberRange> NetworkRange(std::string_view text) {
  const Result<std::uint32_t> number = ParseNetwork(text);
  if (!number) return Fail(number.error().message);
  return NumberRange{*number, *number};
}

Expression ReadCountry(ConditionReader& reader, const ConditionSlot& slot) {
  if (!reader.scope.countries_known) {
    slot.key.Fail(std::string(kNoCountries));
  }
  return ReadTest(
      reader, {.field = {.source = &source::kCountry}, .asks = slot.asks, .check = &CheckCountry},
      slot.test);
}

Expression ReadNetwork(ConditionReader& reader, const ConditionSlot& slot) {
  if (!reader.scope.networks_known) {
    slot.key.Fail(std::string(kNoNetworks));
  }
  return ReadTest(
      reader, {.field = {.source = &source::kNetwork}, .asks = slot.asks, .range = &NetworkRange},
      slot.test);
}

// --- client.verified_bot

constexpr Source kVerifiedBot{.name = "client.verified_bot",
                              .form = Source::Form::kText,
                              .cost = Source::Cost::kDearest,
                              .lets = Source::Lets::kUnasked,
                              .text = [](const Scene& scene) -> std::optional<std::string_view> {
                                if (scene.surroundings == nullptr) return std::nullopt;
                                const auto check = scene.surroundings->VerifiedBot(scene.request);
                                if (!check) return std::nullopt;
                                return WordOf(*check);
                              }};

// The test that holds when the user agent claims to be a robot that is known.
Expression ReadClaim(ConditionReader& reader) {
  const FieldId field{.source = &source::kHeader, .name = "user-agent", .letter_case = Case::kFold};
  FieldMatcher& matcher = reader.fields.field(field);
  const auto [known, fresh] = matcher.asked.try_emplace("claims to be a bot", 0);
  if (fresh) {
    known->second = reader.fields.NewTest(field, Stage::kWords);
    for (const BotConfig& bot : reader.scope.bots) {
      for (const std::string& text : bot.user_agent) matcher.words.Add(text, known->second);
    }
  }
  return Expression::Test(known->second);
}

// Who claims nothing is `none` by the user agent alone, so that DNS is not asked, and that a log is
// enough to know it.
Expression ReadBotWords(ConditionReader& reader, const yaml::Node& test) {
  if (test.is_map()) {
    const auto entries = test.Entries();
    if (entries.size() != 1 || entries[0].first.text() != "not") {
      test.Fail("expected yes, forged, unknown, none, a list of these, or { not: ... }");
      return {};
    }
    if (!EnterLevel(reader, test)) return {};
    Expression inner = ReadBotWords(reader, entries[0].second);
    --reader.depth;
    return Expression::Not(std::move(inner));
  }
  const FieldId field{.source = &kVerifiedBot};
  const std::uint32_t answer = reader.fields.NewTest(field, Stage::kLookup);
  const Expression claim = ReadClaim(reader);
  bool none = false, asks = false;
  for (const TestValue& value : ReadValues(reader, test)) {
    const auto* const found = std::find(std::begin(kBotWords), std::end(kBotWords), value.text);
    if (found == std::end(kBotWords)) {
      value.Fail("unknown word " + yaml::Quote(value.text) +
                 yaml::ExpectedOneOf(value.text, {std::begin(kBotWords), std::end(kBotWords)}));
    } else if (value.text == WordOf(BotCheck::kNone)) {
      none = true;
    } else {
      asks = true;
      reader.fields.field(field).exact.Add(value.text, answer);
    }
  }
  std::vector<Expression> ways;
  if (none) ways.push_back(Expression::Not(claim));
  if (asks) ways.push_back(Expression::All({claim, Expression::Test(answer)}));
  return Expression::Any(std::move(ways));
}

Expression ReadVerifiedBot(ConditionReader& reader, const ConditionSlot& slot) {
  return ReadBotWords(reader, slot.test);
}

// --- sample: the same clients in every process, and after every restart

constexpr std::uint64_t kParts = 100'000;  // thousandths of a percent

// The salt (FieldId::name) is the hash's key, so that shares with different salts are independent;
// it is written in a file, not secret: who knows it can tell in whose share an address is. The
// parameter is how many bits of an IPv6 address make a client.
std::optional<std::uint64_t> PartOfClients(const Scene& scene, const FieldId& id) {
  const WideHash salt = KeyedHash(id.name, {});
  const IpAddress client = scene.request.client.AsClient(static_cast<int>(id.parameter));
  const WideHash hash = KeyedHash(client.byte_view(), {salt.low, salt.high});
  return hash.low % kParts;
}

constexpr Source kSample{.name = "sample",
                         .form = Source::Form::kNumber,
                         .cost = Source::Cost::kLittle,
                         .lets = Source::Lets::kSome,
                         .number = &PartOfClients};

// "5%", "0.25%" in thousandths of a percent.
Result<std::uint64_t> ParseShare(std::string_view text) {
  const auto refuse = [&] {
    return Fail("expected a share above 0% and up to 100%, such as 5% or 0.1%, found " +
                yaml::Quote(text) + MeantShare(text, false));
  };
  std::string digits(text.substr(0, text.find_first_of(".%")));
  std::string_view rest = text.substr(digits.size());
  std::string_view fraction;
  if (rest.starts_with('.')) {
    fraction = rest.substr(1, rest.find('%') - 1);
    rest.remove_prefix(std::min(rest.size(), fraction.size() + 1));
    if (fraction.empty() || fraction.size() > 3) rest = {};
  }
  if (digits.empty() || digits.size() > 3 || rest != "%") return refuse();
  digits.append(fraction).append(3 - fraction.size(), '0');
  std::uint64_t share = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return refuse();
    share = share * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (share == 0 || share > kParts) return refuse();
  return share;
}

struct SampleArguments {
  yaml::Node share;
  std::string salt;
};

void ReadSalt(const Slot& slot, SampleArguments* out) {
  if (ExpectScalar(slot.node, "a name") && CheckName(slot.node)) out->salt = slot.node.text();
}

constexpr KeyRow<SampleArguments> kSampleRows[] = {
    {"share", "share", "", "how many of all clients", &Keep<&SampleArguments::share>, nullptr,
     "a share such as 5%"},
    {"salt", "name", "",
     "rules with the same salt take the same clients; without it the rule's name", &ReadSalt},
};

Expression ReadSample(ConditionReader& reader, const ConditionSlot& slot) {
  SampleArguments said{slot.test, reader.rule};
  if (slot.test.is_map()) {
    said.share = {};
    ReadKeys(slot.test, kSampleRows, *reader.scope.loader, &said);
    if (said.share.missing()) return {};
  }
  if (!ExpectScalar(said.share, "a share such as 5%")) return {};
  const Result<std::uint64_t> share = ParseShare(said.share.text());
  if (!share) {
    said.share.Fail(share.error().message);
    return {};
  }
  const FieldId field{.source = &kSample,
                      .name = said.salt,
                      .parameter = static_cast<std::uint64_t>(reader.scope.ipv6_prefix)};
  const std::uint32_t test = reader.fields.NewTest(field, Stage::kLookup);
  reader.fields.field(field).numbers.Add({0, *share - 1}, test);
  return Expression::Test(test);
}

constexpr Condition kClientConditions[] = {
    {"client.address", "address range, list, $list or { not }",
     "the client's address is in one of these ranges", &ReadAddress},
    {"client.country",
     "country code, list or map of operators",
     "the client's address belongs to one of these countries; absent where the file does not say",
     &ReadCountry,
     {.presence = true}},
    {"client.asn",
     "AS number, list or map of operators",
     "the client's address belongs to one of these networks; absent where the file does not say",
     &ReadNetwork,
     {.presence = true}},
    {"client.verified_bot",
     "yes | forged | unknown | none, list, $list or { not }",
     "the client is the robot that its user agent says it is, by DNS; none: it claims to be none",
     &ReadVerifiedBot,
     {.words = kBotWords}},
    {"sample",
     "share or map",
     "the client is one of this share of all clients, always the same ones",
     &ReadSample,
     {},
     &ListConditionKeys<kSampleRows>},
    {"tls.ja4",
     "value, list or map of operators",
     "the JA4 fingerprint of the client's TLS is one of these; absent without TLS",
     &ReadJa4,
     {.text = true, .presence = true}},
    {"tls.client_certificate",
     "value, list or map of operators",
     "the subject of the client's certificate, as in CN=alice,O=Example, is one of these",
     &ReadClientCertificate,
     {.text = true, .presence = true}},
};

}  // namespace

std::span<const Condition> ClientConditions() {
  return kClientConditions;
}

}  // namespace spillway
