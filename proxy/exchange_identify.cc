// SPDX-License-Identifier: MIT
// Who asks for what, in the form that rules match.
#include <algorithm>
#include <array>

#include "proxy/client_side.h"
#include "proxy/exchange.h"
#include "proxy/pen.h"
#include "spillway/client_address.h"
#include "spillway/target.h"

namespace spillway {
namespace {

// A request id is passed on when a trusted proxy set it and it is short and plain.
bool IsPlainId(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
           c == '_' || c == '.' || c == ':' || c == '/' || c == '+' || c == '=' || c == '@';
  });
}

// What assign does, for half of what it costs: it is made for texts that may overlap.
void Replace(std::string* text, std::string_view by) {
  text->clear();
  text->append(by);
}

}  // namespace

// False when the request was refused instead.
bool Exchange::Identify() {
  const RequestHead& head = client_.head();
  state_.has_body = head.body != BodyKind::kNone;
  state_.request.method = head.method;
  state_.request.target = head.target;
  state_.request.headers = head.headers;
  state_.request.protocol = client_.protocol();
  IdentifyAsker(head);
  if (!IdentifyTarget(head)) return false;
  const ClientConfig::Sizes& sizes = state_.generation->shared->config.clients.sizes;
  for (std::size_t i = 0; head.fields.Has(Field::kUserAgent) && i < head.fields.size(); ++i) {
    if (head.fields[i] != Field::kUserAgent) continue;
    if (head.headers[i].value.size() > sizes.user_agent.count)
      return RefuseRequest(431, "the User-Agent is too long");
  }
  const std::uint64_t most = sizes.body.count;
  if (most > 0 && head.body == BodyKind::kLength && head.content_length > most) {
    return RefuseRequest(413, "the body is too large");
  }
  return true;
}

// The client, and what a proxy that is trusted may say of it and of its request.
void Exchange::IdentifyAsker(const RequestHead& head) {
  const ClientConfig& clients = state_.generation->shared->config.clients;
  const TlsFacts tls = client_.tls_facts();
  state_.request.ja4 = tls.ja4;
  state_.request.client_certificate = tls.client_certificate;
  state_.request.client = client_.peer();
  state_.peer_trusted = Contains(clients.trusted_proxies, client_.peer());
  if (state_.peer_trusted) {
    state_.request.client = IdentifyClient(client_.peer(), head.headers, clients.trusted_proxies,
                                           clients.address_header);
  }
  if (state_.request.client == client_.peer()) {
    Replace(&client_text_, client_.peer_text());
  } else {
    client_text_ = state_.request.client.ToString();
  }
  if (const std::string_view id = head.Get(Field::kXRequestId);
      state_.peer_trusted && IsPlainId(id)) {
    Replace(&request_id_, id);
  } else {
    std::array<char, 32> digits;
    WriteHex(worker_.ids.Next(), digits.data());
    WriteHex(worker_.ids.Next(), digits.data() + 16);
    Replace(&request_id_, {digits.data(), digits.size()});
  }
  state_.request.scheme = client_.encrypted() ? "https" : "http";
  if (state_.peer_trusted) {
    const std::string_view proto = head.Get(Field::kXForwardedProto);
    if (EqualsIgnoreCase(proto, "https")) state_.request.scheme = "https";
    if (EqualsIgnoreCase(proto, "http")) state_.request.scheme = "http";
  }
}

// The path and the host, so that no rule can be walked around by spelling. False when the request
// was refused instead.
bool Exchange::IdentifyTarget(const RequestHead& head) {
  const Result<TargetToSend> to_send =
      spillway::IdentifyTarget(head.Get(Field::kHost), &state_.request, &target_);
  if (!to_send) return RefuseRequest(400, to_send.error().message);
  state_.to_send = *to_send;
  if (state_.generation->shared->config.clients.ambiguous_paths == AmbiguousPaths::kRefuse) {
    const std::string_view raw_path = to_send->target.substr(0, to_send->target.find('?'));
    if (const auto plain = RequireOneReading(raw_path); !plain) {
      return RefuseRequest(400, plain.error().message);
    }
  }
  return true;
}

// What is wrong with one request may be wrong with all that follow on its connection: closed, never
// guessed.
bool Exchange::RefuseRequest(int status, std::string_view why) {
  state_.keep_client = false;
  ReplyError(status, why, Decision::kBadRequest);
  return false;
}

}  // namespace spillway
