// SPDX-License-Identifier: MIT
#include "proxy/http2_head.h"

#include <utility>

#include "proxy/fields.h"
#include "proxy/http1_rules.h"
#include "proxy/http2.h"
#include "proxy/reuse.h"

namespace spillway {

Http2HeadBuilder::Span Http2HeadBuilder::Section::Keep(std::string_view more) {
  const Span span{text.size(), more.size()};
  text.append(more);
  return span;
}

void Http2HeadBuilder::Section::Clear() {
  ClearForReuse(&text);
  ClearForReuse(&places);
}

void Http2HeadBuilder::Clear() {
  head_.Clear();
  trailers_.Clear();
  in_trailers_ = false;
  pseudo_ = {};
  ClearForReuse(&cookies_);
  bytes_ = 0;
  refusal_ = 0;
  reason_ = {};
}

// The first reason counts.
void Http2HeadBuilder::Refuse(int status, std::string_view reason) {
  if (refusal_ != 0) return;
  refusal_ = status;
  reason_ = reason;
}

void Http2HeadBuilder::Add(std::string_view name, std::string_view value,
                           const MessageLimits& limits) {
  bytes_ += name.size() + value.size() + 4;  // as HTTP/1 would write it
  const std::size_t count = head_.places.size() + trailers_.places.size() + cookies_.size();
  if (name == ":path" && value.size() > limits.target) {
    Refuse(414, "the target is too long");
  } else if (bytes_ > limits.head || count >= limits.headers) {
    Refuse(431, "the head is too large");
  }
  if (refusal_ != 0) return;
  if (name.starts_with(':')) return AddPseudo(name, value);
  if (name == "cookie" && !in_trailers_) return cookies_.push_back(head_.Keep(value));
  Section& section = in_trailers_ ? trailers_ : head_;
  const Span kept = section.Keep(name);
  section.places.push_back({kept, section.Keep(value)});
}

void Http2HeadBuilder::AddPseudo(std::string_view name, std::string_view value) {
  Span* const known = name == ":method"      ? &pseudo_.method
                      : name == ":path"      ? &pseudo_.path
                      : name == ":scheme"    ? &pseudo_.scheme
                      : name == ":authority" ? &pseudo_.authority
                      : name == ":protocol"  ? &pseudo_.protocol
                                             : nullptr;
  if (known != nullptr) *known = head_.Keep(value);
}

// RFC 9113 8.2.3: the crumbs are one field again.
void Http2HeadBuilder::JoinCookies() {
  if (cookies_.empty()) return;
  std::string joined;
  for (const Span& crumb : cookies_) {
    joined.append(joined.empty() ? "" : "; ").append(head_.View(crumb));
  }
  const Span name = head_.Keep("cookie");
  head_.places.push_back({name, head_.Keep(joined)});
}

void Http2HeadBuilder::TakeHead(bool ended, Http2Request* request) {
  JoinCookies();
  const Span host = head_.Keep("host");
  // From here on the text stays where it is.
  RequestHead& head = request->head;
  request->ended = ended;
  head.method = head_.View(pseudo_.method);
  head.target = head_.View(pseudo_.path);
  head.major = 2;
  const auto add = [&head](std::string_view name, std::string_view value) {
    head.headers.push_back({name, value});
    head.fields.push_back(ClassifyField(name));
  };
  const std::string_view authority = head_.View(pseudo_.authority);
  if (!authority.empty()) add(head_.View(host), authority);
  for (const Place& place : head_.places) {
    const std::string_view name = head_.View(place.name), value = head_.View(place.value);
    if (name != "host" || authority.empty()) {
      add(name, value);
    } else if (!EqualsIgnoreCase(value, authority)) {
      Refuse(400, "Host differs from :authority");  // RFC 9113 8.3.1: not to be guessed at
    }
  }
  const std::string_view protocol = head_.View(pseudo_.protocol);
  if (!protocol.empty()) {
    request->tunnel = head.method == "CONNECT" && protocol == "websocket" && !ended;
    if (!request->tunnel) Refuse(501, "a protocol other than websocket");
    head.method = "GET";  // what it would have been in HTTP/1.1 (RFC 8441 5.1)
  }
  const std::string_view scheme = head_.View(pseudo_.scheme);
  const bool http = EqualsIgnoreCase(scheme, "http") || EqualsIgnoreCase(scheme, "https");
  if (!scheme.empty() && !http) Refuse(400, "a scheme other than http and https");
  if (!IsKnownMethod(head.method)) Refuse(501, "unknown method");
  // The absolute form would name a second authority (RFC 9113 8.3.1 knows none).
  const bool origin_form = head.target.starts_with('/') || head.target == "*";
  if (head.method != "CONNECT" && !origin_form) Refuse(400, "target of an unknown form");
  if (refusal_ == 0) {
    if (const Refusal why = JudgeRequest(&head)) Refuse(why.status, why.reason);
  }
  if (request->tunnel) head.upgrade = protocol;
  if (head.body == BodyKind::kNone && !ended && !request->tunnel) head.body = BodyKind::kChunked;
  request->refusal = refusal_;
  request->reason = reason_;
}

void Http2HeadBuilder::TakeTrailers(Http2Request* request) const {
  for (const Place& place : trailers_.places) {
    request->trailers.push_back({trailers_.View(place.name), trailers_.View(place.value)});
  }
  request->refusal = refusal_;
  request->reason = reason_;
}

}  // namespace spillway
