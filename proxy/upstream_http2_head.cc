// SPDX-License-Identifier: MIT
#include "proxy/upstream_http2_head.h"

#include "proxy/fields.h"
#include "proxy/http1_rules.h"

namespace spillway {

bool Http2Response::Add(std::string_view name, std::string_view value,
                        const MessageLimits& limits) {
  bytes_ += name.size() + value.size() + 4;  // as HTTP/1 would write it
  if (bytes_ > limits.head || places_.size() >= limits.headers) return false;
  if (name == ":status") {
    status_ = value;
  } else if (!name.starts_with(':')) {
    places_.push_back({text_.size(), name.size(), value.size()});
    text_.append(name).append(value);
  }
  return true;
}

HeaderField Http2Response::View(const Place& place) const {
  const std::string_view both =
      std::string_view(text_).substr(place.begin, place.name + place.value);
  return {both.substr(0, place.name), both.substr(place.name)};
}

std::vector<HeaderField> Http2Response::TakeTrailers() const {
  std::vector<HeaderField> fields;
  fields.reserve(places_.size());
  for (const Place& place : places_) fields.push_back(View(place));
  return fields;
}

std::string_view Http2Response::TakeHead(bool ended, bool to_head) {
  const auto status = ParseDecimal(status_);
  if (status_.size() != 3 || !status || *status < 100 || *status > 599) {
    return "status out of range";
  }
  head_.major = 2;
  head_.status = static_cast<int>(*status);
  if (head_.status == 101) return "101 in HTTP/2";
  head_.reason = ReasonPhrase(head_.status);
  head_.headers.reserve(places_.size());
  head_.fields.reserve(places_.size());
  for (const Place& place : places_) {
    head_.headers.push_back(View(place));
    head_.fields.push_back(ClassifyField(head_.headers.back().name));
  }
  for (const Field field : head_.fields) {
    const bool of_connection = field == Field::kConnection || field == Field::kTransferEncoding ||
                               field == Field::kKeepAlive || field == Field::kUpgrade ||
                               field == Field::kProxyConnection;
    if (of_connection) return "a field of HTTP/1's connection";  // RFC 9113 8.2.2
  }
  if (const Refusal why = JudgeResponse(&head_, to_head)) return why.reason;
  if (head_.interim() || head_.body == BodyKind::kNone) return {};
  // Where the body ends is the frames' to say; the length is only what they are held against. What
  // has neither length nor end yet may have trailers.
  const bool has_length = head_.Has(Field::kContentLength);
  if (ended) {
    if (head_.content_length > 0) return "a body shorter than its Content-Length";
    head_.body = BodyKind::kLength;
  } else if (!has_length || head_.content_length == 0) {
    head_.body = BodyKind::kChunked;
  }
  return {};
}

}  // namespace spillway
