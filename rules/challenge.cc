// SPDX-License-Identifier: MIT
// Tickets and passes are both sealed (rules/sealed.h). Payloads, big endian:
//
//   ticket  version kind bits | pass s (4) | issued ms (8) | browser (8) network (8)
//           | salt (16) | return_to
//   pass    version kind bits | expires s (8) | browser (8) network (8)
//
// The ticket carries what was asked, so that a rule may change, or another machine answer, between
// asking and solving. A proof of work is a decimal number for which
//
//   SHA-256(ticket's MAC text + "." + number)   begins with `bits` zero bits.
//
// The MAC text (43 characters) depends on all of the ticket and cannot be foretold without the key;
// with it and up to 11 digits the message is one SHA-256 block. For the client's side see
// docs/challenge.md.
#include "spillway/challenge.h"

#include <algorithm>
#include <bit>

#include "rules/sealed.h"

namespace spillway {
namespace {

constexpr std::string_view kTicketLabel = "spillway ticket 1\n";
constexpr std::string_view kPassLabel = "spillway pass 1\n";
constexpr char kVersion = 1;
constexpr std::size_t kLongestReturn = 2048;
constexpr std::size_t kLongestNonce = 11;
constexpr std::size_t kTicketFixed = 3 + 4 + 8 + 8 + 8 + 16;
constexpr std::uint64_t kLatestIssue = 9'000'000'000'000;  // ms: what 64 bits of ns can hold
constexpr std::size_t kPassSize = 3 + 8 + 8 + 8;
// Machines that share a key may disagree about the time by so much.
constexpr Duration kClockSkew = std::chrono::minutes(1);

// Origin form, and no way to another site: browsers read "//host" and "/\host" as one.
bool IsSafeReturn(std::string_view target) {
  if (target.empty() || target.size() > kLongestReturn || target[0] != '/') return false;
  if (target.size() > 1 && (target[1] == '/' || target[1] == '\\')) return false;
  return std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

int LeadingZeroBits(const Digest& digest) {
  int bits = 0;
  for (std::uint8_t byte : digest) {
    bits += std::countl_zero(byte);
    if (byte != 0) break;
  }
  return bits;
}

bool IsNonce(std::string_view text) {
  if (text.empty() || text.size() > kLongestNonce || (text.size() > 1 && text[0] == '0'))
    return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string IssuePass(const Mac& mac, const ChallengeDemand& shown, const ClientMark& mark,
                      WallTime now) {
  std::string payload{kVersion, static_cast<char>(shown.kind), static_cast<char>(shown.bits)};
  PutBytes(WholeSeconds(now.time_since_epoch() + shown.pass), 8, &payload);
  PutBytes(mark.user_agent, 8, &payload);
  PutBytes(mark.network, 8, &payload);
  return Seal(mac, kPassLabel, payload);
}

bool Satisfies(ChallengeKind kind, int bits, const ChallengeDemand& demand) {
  if (kind != demand.kind) return kind > demand.kind;
  return kind != ChallengeKind::kProofOfWork || bits >= demand.bits;
}

}  // namespace

Duration RefreshWait(const ChallengeDemand& demand) {
  switch (demand.kind) {
    case ChallengeKind::kCookie:
      return Duration(0);
    case ChallengeKind::kRefresh:
      return std::chrono::seconds(3);
    case ChallengeKind::kProofOfWork:
      break;
  }
  // Waiting costs a machine less than work does, so it takes longer than the work would.
  return std::max<Duration>(std::chrono::seconds(4), demand.bits * std::chrono::milliseconds(500));
}

std::string IssueTicket(const Mac& mac, const ChallengeDemand& demand, const ClientMark& mark,
                        std::string_view return_to, WallTime now,
                        std::array<std::uint8_t, 16> salt) {
  const auto bits = std::clamp(demand.bits, 1, 30);
  std::string payload{kVersion, static_cast<char>(demand.kind), static_cast<char>(bits)};
  PutBytes(std::min<std::uint64_t>(WholeSeconds(demand.pass), 0xffffffff), 4, &payload);
  PutBytes(static_cast<std::uint64_t>(
               std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch()).count()),
           8, &payload);
  PutBytes(mark.user_agent, 8, &payload);
  PutBytes(mark.network, 8, &payload);
  payload.append(salt.begin(), salt.end());
  payload += IsSafeReturn(return_to) ? return_to : "/";
  return Seal(mac, kTicketLabel, payload);
}

Result<Ticket> ReadTicket(const Mac& mac, std::string_view text, WallTime now) {
  const auto payload = Unseal(mac, kTicketLabel, text);
  if (!payload || payload->size() <= kTicketFixed || payload->front() != kVersion) {
    return Fail("forged");
  }
  std::string_view rest = *payload;
  rest.remove_prefix(1);
  Ticket ticket;
  ticket.demand.kind = static_cast<ChallengeKind>(TakeBytes(1, &rest));
  ticket.demand.bits = static_cast<int>(TakeBytes(1, &rest));
  ticket.demand.pass = std::chrono::seconds(TakeBytes(4, &rest));
  const std::uint64_t issued = TakeBytes(8, &rest);
  if (issued > kLatestIssue) return Fail("forged");
  ticket.issued = WallTime(std::chrono::milliseconds(issued));
  ticket.mark.user_agent = TakeBytes(8, &rest);
  ticket.mark.network = TakeBytes(8, &rest);
  ticket.id = TakeBytes(8, &rest);  // half of the salt; the other half only makes it larger
  rest.remove_prefix(8);
  ticket.return_to = rest;
  if (now - ticket.issued > kTicketLife || ticket.issued - now > kClockSkew) return Fail("expired");
  return ticket;
}

Result<Solved> CheckSolution(const Mac& mac, std::string_view text, std::string_view nonce,
                             const ClientMark& mark, WallTime now) {
  auto ticket = ReadTicket(mac, text, now);
  if (!ticket) return Fail(ticket.error().message);
  if (!IsSameClient(ticket->mark, mark)) return Fail("other client");
  if (nonce.empty()) {
    if (now - ticket->issued < RefreshWait(ticket->demand)) return Fail("too early");
  } else {
    if (ticket->demand.kind != ChallengeKind::kProofOfWork || !IsNonce(nonce)) {
      return Fail("wrong nonce");
    }
    std::string message(text.substr(text.find('.') + 1));
    message.append(".").append(nonce);
    if (LeadingZeroBits(mac.Sha256(message)) < ticket->demand.bits) return Fail("wrong nonce");
  }
  // Bound to the client as it is now: it may have moved since it was asked. Whoever waited in place
  // of working gets the same pass, or it would be asked again at once.
  return Solved{IssuePass(mac, ticket->demand, mark, now), ticket->demand.pass,
                std::move(ticket->return_to), ticket->id};
}

bool CheckPass(const Mac& mac, std::string_view cookie_value, const ChallengeDemand& demand,
               const ClientMark& mark, WallTime now) {
  const auto payload = Unseal(mac, kPassLabel, cookie_value);
  if (!payload || payload->size() != kPassSize || payload->front() != kVersion) return false;
  std::string_view rest = *payload;
  rest.remove_prefix(1);
  const auto kind = static_cast<ChallengeKind>(TakeBytes(1, &rest));
  const int bits = static_cast<int>(TakeBytes(1, &rest));
  if (TakeBytes(8, &rest) <= WholeSeconds(now.time_since_epoch())) return false;
  const std::uint64_t user_agent = TakeBytes(8, &rest);
  const std::uint64_t network = TakeBytes(8, &rest);
  return IsSameClient({user_agent, network}, mark) && Satisfies(kind, bits, demand);
}

}  // namespace spillway
