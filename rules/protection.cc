// SPDX-License-Identifier: MIT
// Payload, big endian: version | expires s (8) | visitor (8) | host (8) | browser (8) network (8)
#include "spillway/protection.h"

#include "rules/sealed.h"

namespace spillway {
namespace {

constexpr std::string_view kLabel = "spillway protection 1\n";
constexpr char kVersion = 1;
constexpr std::size_t kSize = 1 + 8 + 8 + 8 + 8 + 8;
// What was issued lasts a day at most (`protect`), whatever machine with the key it was.
constexpr Duration kLongest = std::chrono::hours(25);

}  // namespace

std::string IssueProtection(const Mac& mac, Duration time, std::uint64_t visitor,
                            std::uint64_t host, const ClientMark& mark, WallTime now) {
  std::string payload{kVersion};
  PutBytes(WholeSeconds(now.time_since_epoch() + time), 8, &payload);
  PutBytes(visitor, 8, &payload);
  PutBytes(host, 8, &payload);
  PutBytes(mark.user_agent, 8, &payload);
  PutBytes(mark.network, 8, &payload);
  return Seal(mac, kLabel, payload);
}

std::optional<Protection> ReadProtection(const Mac& mac, std::string_view cookie_value,
                                         std::uint64_t host, const ClientMark& mark, WallTime now) {
  const auto payload = Unseal(mac, kLabel, cookie_value);
  if (!payload || payload->size() != kSize || payload->front() != kVersion) return std::nullopt;
  std::string_view rest = *payload;
  rest.remove_prefix(1);
  const std::uint64_t expires = TakeBytes(8, &rest);
  const std::uint64_t today = WholeSeconds(now.time_since_epoch());
  if (expires <= today || expires - today > WholeSeconds(kLongest)) return std::nullopt;
  Protection protection;
  protection.left = std::chrono::seconds(expires - today);
  protection.visitor = TakeBytes(8, &rest);
  if (TakeBytes(8, &rest) != host) return std::nullopt;
  const std::uint64_t user_agent = TakeBytes(8, &rest);
  const std::uint64_t network = TakeBytes(8, &rest);
  if (!IsSameClient({user_agent, network}, mark)) return std::nullopt;
  return protection;
}

}  // namespace spillway
