// SPDX-License-Identifier: MIT
// When the client leaves while a server works at its request, and when it comes again for the same.
#include <utility>

#include "proxy/client_side.h"
#include "proxy/exchange.h"
#include "spillway/mix.h"
#include "spillway/text.h"

namespace spillway {
namespace {

// What a browser says otherwise when one presses reload, while what it wants is the same. Not who sent
// it there (Sec-Fetch-Site): apps refuse by that.
bool IsOfReload(Field field, std::string_view name) {
  return field == Field::kCacheControl || EqualsIgnoreCase(name, "pragma") ||
         EqualsIgnoreCase(name, "priority") || EqualsIgnoreCase(name, "x-request-id");
}

void AppendPart(std::string_view part, std::string* text) {
  *text += part;
  *text += '\n';  // which no part contains
}

}  // namespace

// Of all that the server was told, and who asks. 0 where an answer is for one request alone.
WideHash Exchange::SameRequest() {
  const RequestHead& head = client_.head();
  const Request& request = state_.request;
  const bool plain = request.method == "GET" && !state_.has_body && head.upgrade.empty() &&
                     request.client_certificate.empty();
  if (!plain) return {};
  std::string& text = head_;  // what it was for has been sent, or is not made yet
  text.clear();
  AppendPart(client_text_, &text);
  // Of what a stranger says some is kept from the server: the same fields tell it less.
  AppendPart(state_.peer_trusted ? "by proxy" : "", &text);
  AppendPart(request.scheme, &text);
  AppendPart(state_.to_send.host, &text);
  AppendPart(state_.to_send.target, &text);
  for (std::size_t i = 0; i < head.headers.size(); ++i) {
    const HeaderField& field = head.headers[i];
    if (IsOfReload(head.fields[i], field.name)) continue;
    AppendPart(field.name, &text);
    AppendPart(field.value, &text);
  }
  AppendPart({}, &text);  // what a rule sets is not what a client says
  for (const HeaderToSet& set : verdict_.set_headers) {
    AppendPart(set.name, &text);
    AppendPart(set.value, &text);
  }
  const std::uint64_t seed = state_.generation->shared->hash_seed;
  WideHash hash = KeyedHash(text, {seed, Mix(seed)});
  // Another generation may have sent it elsewhere.
  hash.high ^= Mix(state_.generation->shared->number) + verdict_.pool;
  hash.low |= 1;
  return hash;
}

// The client has left while the server works at its request, and most servers would not notice: it
// takes up its place until it is answered, or the server would get more than it is given here. A
// request in HTTP/2 is cancelled, which servers hear. True when it is let finish.
bool Exchange::LetItFinish() {
  const bool works = permit_ && permit_->state() == AdmissionTicket::State::kAdmitted &&
                     upstream_ && state_.ended_at == Step::kSend && state_.request_done &&
                     upstream_->unsent() == 0 && !state_.response_begun && !state_.apart &&
                     !state_.uploading;
  if (!works) return false;
  Orphaned orphaned{.generation = state_.generation,
                    .pool = verdict_.pool,
                    .upstream = std::move(upstream_),
                    .lease = std::move(lease_),
                    .permit = std::move(permit_),
                    .asked = state_.asked,
                    .patience = pool().config().timeouts.first_byte,
                    .to_head = state_.request.method == "HEAD",
                    .same = SameRequest()};
  if (worker_.orphans.Take(&orphaned)) return true;
  upstream_ = std::move(orphaned.upstream);
  lease_ = std::move(orphaned.lease);
  permit_ = std::move(orphaned.permit);
  return false;
}

// A visitor who presses reload asks for what a server is making already, and has a place for.
bool Exchange::TakeUp() {
  if (worker_.orphans.size() == 0) return false;
  const WideHash same = SameRequest();
  if (same.low == 0) return false;
  std::optional<Orphaned> found = worker_.orphans.GiveBack(same, this);
  if (!found) return false;
  upstream_ = std::move(found->upstream);
  lease_ = std::move(found->lease);
  permit_ = std::move(found->permit);
  permit_->TakeUp();
  pool_counters().taken_up.Add();
  ++state_.tries;
  state_.asked = found->asked;
  state_.armed_for = Wait::kFirstByte;  // its clock goes on
  worker_.silence.Enter(&silent_, pool(), *lease_.get(), state_.asked);
  step_ = Step::kSend;
  client_.NextBodyPiece();  // says that there is none
  state_.request_done = true;
  client_.WantBody(false);
  return true;
}

}  // namespace spillway
