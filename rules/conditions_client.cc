// SPDX-License-Identifier: MIT
// Conditions on who is asking.
#include <string>
#include <utility>

#include "rules/conditions.h"
#include "rules/scalars.h"

namespace spillway {
namespace {

constexpr std::string_view kRangeHelp =
    "; expected an address or a range such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32";

constexpr Source kClientCertificate{.form = Source::Form::kText,
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

constexpr Condition kClientConditions[] = {
    {"client.address", "address range, list, $list or { not }",
     "the client's address is in one of these ranges", &ReadAddress},
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
