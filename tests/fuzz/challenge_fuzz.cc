// SPDX-License-Identifier: MIT
// Any text as a ticket, a solution or a pass: none is accepted, unless the MAC is one that we made.
// The input is also sealed with the right key, so that the readers behind the MAC are reached.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "rules/base64.h"
#include "spillway/challenge.h"
#include "tests/unit/test_mac.h"

namespace {

std::string Seal(const spillway::Mac& mac, std::string_view label, std::string_view payload) {
  const std::string text = spillway::EncodeBase64Url(payload);
  const spillway::Digest digest = mac.HmacSha256(std::string(label) + text);
  return text + "." +
         spillway::EncodeBase64Url({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spillway;
  static const TestMac mac(1);
  const WallTime now(std::chrono::seconds(1'800'000'000));
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const ClientMark mark{1, 2};
  const ChallengeDemand demand{ChallengeKind::kCookie, 1, 30min};

  if (CheckSolution(mac, input, "", mark, now) || CheckPass(mac, input, demand, mark, now))
    std::abort();

  const std::string ticket = Seal(mac, "spillway ticket 1\n", input);
  if (const auto read = ReadTicket(mac, ticket, now); read && read->return_to.size() > 3072)
    std::abort();
  CheckSolution(mac, ticket, input.substr(0, 12), mark, now);
  CheckSolution(mac, ticket, "", mark, now);
  CheckPass(mac, Seal(mac, "spillway pass 1\n", input), demand, mark, now);

  const std::string issued = IssueTicket(mac, demand, mark, input, now, {});
  const auto solved = CheckSolution(mac, issued, "", mark, now);
  if (!solved || solved->return_to[0] != '/' || solved->return_to.starts_with("//") ||
      solved->return_to.find_first_of("\r\n\t ") != std::string::npos ||
      !CheckPass(mac, solved->cookie_value, demand, mark, now)) {
    std::abort();
  }
  if (const auto bytes = DecodeBase64Url(input); bytes && EncodeBase64Url(*bytes) != input)
    std::abort();
  MarkClient(input, IpAddress());
  return 0;
}
