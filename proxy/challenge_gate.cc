// SPDX-License-Identifier: MIT
// The paths of a client through a challenge:
//
//   page, work  GET /shop -> 403 page -> POST /.spillway/challenge (ticket, nonce) -> 303, pass
//   no scripts  GET /shop -> 403 page -> GET /.spillway/challenge?ticket&wait=1 -> 303, pass
//   cookie      GET /shop -> 307, pass -> GET /.spillway/challenge?ticket&check=1 -> 303
//   fetch, API  GET /api -> 403 problem with a URL; a person may open it: the page of that ticket
//
// For kind cookie the redirect goes by way of our own address, so that a browser which keeps no
// cookies is told so there and does not go round for ever.
#include "proxy/challenge_gate.h"

#include <cstring>

#include "proxy/crypto.h"
#include "proxy/files.h"

namespace spillway {
namespace {

// How many forged passes one request can have looked at: each costs a MAC.
constexpr int kMostPasses = 3;

constexpr std::size_t kMostForm = 8 * 1024;

// A field of a query or an urlencoded form, as it stands: nothing that we send needs decoding.
std::string_view FormField(std::string_view form, std::string_view name) {
  while (!form.empty()) {
    const std::size_t end = form.find('&');
    const std::string_view field = form.substr(0, end);
    const std::size_t equals = field.find('=');
    if (field.substr(0, equals) == name) {
      return equals == std::string_view::npos ? std::string_view() : field.substr(equals + 1);
    }
    if (end == std::string_view::npos) break;
    form.remove_prefix(end + 1);
  }
  return {};
}

bool IsRead(std::string_view method) {
  return method == "GET" || method == "HEAD";
}

}  // namespace

ClientMark MarkOf(const Request& request) {
  const HeaderField* user_agent = FindHeader(request.headers, "user-agent");
  return MarkClient(user_agent ? user_agent->value : std::string_view(), request.client);
}

SpentTickets::SpentTickets() : entries_(new std::atomic<std::uint64_t>[kEntries]()) {}

// An entry: ticket (32 bits) | mark (16) | minute (16). The set is picked by the ticket's other
// half.
bool SpentTickets::Spend(std::uint64_t ticket_id, const ClientMark& mark, WallTime now) {
  // Marks are hashes already; both halves count.
  const std::uint64_t who =
      (mark.user_agent * 0x9e3779b97f4a7c15U + mark.network * 0xbf58476d1ce4e5b9U) >> 48;
  const auto minute = static_cast<std::uint64_t>(
      std::chrono::floor<std::chrono::minutes>(now.time_since_epoch()).count() & 0xffff);
  const std::uint64_t ticket = ticket_id >> 32;
  std::atomic<std::uint64_t>* set = &entries_[(ticket_id % (kEntries / kWays)) * kWays];
  for (int attempt = 0; attempt < 8; ++attempt) {
    std::size_t victim = 0;
    std::uint64_t victim_seen = 0, victim_age = 0;
    for (std::size_t way = 0; way < kWays; ++way) {
      const std::uint64_t seen = set[way].load(std::memory_order_acquire);
      if (seen != 0 && seen >> 32 == ticket) return (seen >> 16 & 0xffff) == who;
      const std::uint64_t age = seen == 0 ? 0x10000 : (minute - seen) & 0xffff;
      if (way == 0 || age > victim_age) {
        victim = way;
        victim_seen = seen;
        victim_age = age;
      }
    }
    const std::uint64_t entry = ticket << 32 | who << 16 | minute;
    if (set[victim].compare_exchange_strong(victim_seen, entry == 0 ? 1 : entry,
                                            std::memory_order_acq_rel)) {
      return true;
    }
  }
  return true;  // eight others were faster each time: rather forget than refuse
}

Result<std::shared_ptr<const ChallengeState>> MakeChallengeState(const ChallengeConfig& config,
                                                                 const ChallengeState* previous) {
  auto state = std::make_shared<ChallengeState>();
  state->cookie = config.cookie;
  state->key_file = config.key_file;
  state->spent = previous ? previous->spent : std::make_shared<SpentTickets>();
  if (!config.key_file.empty()) {
    auto key = LoadKey(SystemFiles(), config.key_file);
    if (!key) return Fail(key.error().message);
    state->mac = std::make_shared<OpenSslMac>(*std::move(key));
  } else if (previous && previous->made_key()) {
    state->mac = previous->mac;
  } else {
    state->mac = std::make_shared<OpenSslMac>(RandomBytes(kLeastKey));
  }
  return state;
}

bool ChallengeGate::HasPass(const Request& request, const ChallengeDemand& demand) const {
  if (excused_) return true;
  int looks = 0;
  for (const HeaderField& field : request.headers) {
    if (!EqualsIgnoreCase(field.name, "cookie")) continue;
    const auto value = FindCookie(field.value, state_.cookie);
    if (!value) continue;
    if (CheckPass(*state_.mac, *value, demand, MarkOf(request), now_)) return true;
    if (++looks == kMostPasses) return false;
  }
  return false;
}

Answer ChallengeGate::Ask(const Request& request, const ChallengeDemand& demand,
                          const std::array<std::uint64_t, 2>& salt,
                          const AnswerContext& context) const {
  const bool safe_get = IsRead(request.method);
  const bool document = safe_get && context.audience == Audience::kDocument;
  const ClientMark mark = MarkOf(request);
  std::array<std::uint8_t, 16> bytes;
  std::memcpy(bytes.data(), salt.data(), bytes.size());
  // What a script or a form asked for is no page to come back to.
  const std::string ticket =
      IssueTicket(*state_.mac, demand, mark, document ? request.target : "/", now_, bytes);
  Answer answer = ChallengeAnswer(demand, ticket, context.audience, safe_get, context);
  if (document && demand.kind == ChallengeKind::kCookie) {
    if (const auto solved = CheckSolution(*state_.mac, ticket, "", mark, now_)) {
      answer.Add("Set-Cookie", SetCookie(*solved, request));
    }
  }
  return answer;
}

std::string ChallengeGate::SetCookie(const Solved& solved, const Request& request) const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(solved.max_age).count();
  std::string cookie = state_.cookie + "=" + solved.cookie_value +
                       "; Max-Age=" + std::to_string(seconds) + "; Path=/; HttpOnly; SameSite=Lax";
  if (request.scheme == "https") cookie += "; Secure";
  return cookie;
}

Answer ChallengeGate::Pass(const Solved& solved, const Request& request,
                           const AnswerContext& context) const {
  Answer answer;
  answer.status = 303;
  answer.content_type = "text/plain";
  answer.Add("Location", solved.return_to);
  answer.Add("Cache-Control", "no-store");
  answer.Add("Referrer-Policy", "same-origin");
  if (!context.request_id.empty()) answer.Add("X-Request-Id", context.request_id);
  if (!solved.cookie_value.empty()) {
    answer.Add("Set-Cookie", SetCookie(solved, request));
  }
  return answer;
}

Answer ChallengeGate::Solve(const Request& request, std::string_view body,
                            const AnswerContext& context, bool* passed) const {
  *passed = false;
  if (request.path != kChallengePath) return ErrorAnswer(404, "nothing is here", context);
  const bool read = IsRead(request.method);
  if (!read && request.method != "POST") {
    Answer answer = ErrorAnswer(405, "this address takes GET, HEAD and POST", context);
    answer.Add("Allow", "GET, HEAD, POST");
    return answer;
  }
  if (body.size() > kMostForm) return ErrorAnswer(413, "the form is too large", context);
  const std::string_view form = read ? request.query : body;
  const std::string_view text = FormField(form, "ticket"), nonce = FormField(form, "nonce");
  if (text.empty()) return ErrorAnswer(400, "there is no ticket in this request", context);

  const auto ticket = ReadTicket(*state_.mac, text, now_);
  if (!ticket) return ChallengeRefused(ticket.error().message, "/", context);
  const auto page = [&] {
    return ChallengeAnswer(ticket->demand, text, context.audience, true, context);
  };
  if (ticket->demand.kind == ChallengeKind::kCookie) {
    if (!FormField(form, "check").empty()) {
      *passed = HasPass(request, ticket->demand);
      if (!*passed) return ChallengeRefused("cookies", ticket->return_to, context);
      return Pass({{}, {}, ticket->return_to, 0}, request, context);
    }
  } else if (read && nonce.empty() && FormField(form, "wait").empty()) {
    return page();  // somebody opened a Spillway-Challenge-Url
  }

  const ClientMark mark = MarkOf(request);
  const auto solved = CheckSolution(*state_.mac, text, nonce, mark, now_);
  if (!solved) {
    // Early by a clock's tick: the same ticket's page, which waits again.
    if (solved.error().message == "too early" && context.audience == Audience::kDocument)
      return page();
    return ChallengeRefused(solved.error().message, ticket->return_to, context);
  }
  if (!state_.spent->Spend(solved->ticket_id, mark, now_)) {
    return ChallengeRefused("spent", ticket->return_to, context);
  }
  *passed = true;
  return Pass(*solved, request, context);
}

}  // namespace spillway
