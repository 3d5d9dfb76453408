// SPDX-License-Identifier: MIT
// The rules of framing and of the connection, one pass over the fields, then the checks in order.
#include "proxy/http1_rules.h"

#include <algorithm>
#include <limits>

#include "proxy/fields.h"

namespace spillway {
namespace {

// What one pass over a head finds.
struct Findings {
  int hosts = 0, lengths = 0, encodings = 0, upgrades = 0, forwards = 0;
  std::string_view length, encoding, upgrade, forward;
  std::size_t options = 0;  // names in Connection
  bool close = false, kept = false, upgrading = false;
  bool expects = false, unmet = false;  // Expect: 100-continue; anything else
};

void ReadConnection(std::string_view value, Findings* found) {
  if (EqualsIgnoreCase(value, "keep-alive")) {  // all that most say
    ++found->options;
    found->kept = true;
    return;
  }
  while (const auto option = NextItem(&value)) {
    ++found->options;
    if (EqualsIgnoreCase(*option, "close")) found->close = true;
    if (EqualsIgnoreCase(*option, "keep-alive")) found->kept = true;
    if (EqualsIgnoreCase(*option, "upgrade")) found->upgrading = true;
  }
}

constexpr FieldSet kSurveyed = {Field::kHost,    Field::kContentLength, Field::kTransferEncoding,
                                Field::kUpgrade, Field::kMaxForwards,   Field::kConnection,
                                Field::kExpect};

Findings Survey(const std::vector<HeaderField>& headers, const FieldKinds& fields) {
  Findings found;
  if (!fields.HasAny(kSurveyed)) return found;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    if (!kSurveyed.Has(fields[i])) continue;
    const std::string_view value = headers[i].value;
    switch (fields[i]) {
      case Field::kHost:
        ++found.hosts;
        break;
      case Field::kContentLength:
        ++found.lengths, found.length = value;
        break;
      case Field::kTransferEncoding:
        ++found.encodings, found.encoding = value;
        break;
      case Field::kUpgrade:
        ++found.upgrades, found.upgrade = value;
        break;
      case Field::kMaxForwards:
        ++found.forwards, found.forward = value;
        break;
      case Field::kConnection:
        ReadConnection(value, &found);
        break;
      case Field::kExpect:
        (EqualsIgnoreCase(value, "100-continue") ? found.expects : found.unmet) = true;
        break;
      default:
        break;
    }
  }
  return found;
}

// Any Transfer-Encoding but one plain `chunked`: a coding that we don't know is 501, nonsense is
// 400.
Refusal JudgeEncoding(std::string_view value) {
  if (EqualsIgnoreCase(value, "chunked")) return {};
  bool unknown = false;
  while (const auto coding = NextItem(&value)) {
    if (!IsToken(*coding)) return {400, "malformed Transfer-Encoding"};
    unknown |= !EqualsIgnoreCase(*coding, "chunked");
  }
  if (unknown) return {501, "Transfer-Encoding other than chunked"};
  return {400, "malformed Transfer-Encoding"};
}

// Common to both directions. On success *body and *length say what the fields say; kNone: nothing.
Refusal JudgeFraming(const Findings& found, int minor, BodyKind* body, std::uint64_t* length) {
  *body = BodyKind::kNone;
  *length = 0;
  if (found.options > kMaxConnectionOptions) return {400, "too many names in Connection"};
  if (found.encodings > 0) {
    if (found.lengths > 0) return {400, "Content-Length together with Transfer-Encoding"};
    if (minor == 0) return {400, "Transfer-Encoding in HTTP/1.0"};
    if (found.encodings > 1) return {400, "two Transfer-Encoding fields"};
    *body = BodyKind::kChunked;
    return JudgeEncoding(found.encoding);
  }
  if (found.lengths > 1) return {400, "two Content-Length fields"};
  if (found.lengths == 1) {
    const auto value = ParseDecimal(found.length);
    if (!value) return {400, "malformed Content-Length"};
    *body = BodyKind::kLength;
    *length = *value;
  }
  return {};
}

bool HasScheme(std::string_view target, std::string_view scheme) {
  return target.size() > scheme.size() && EqualsIgnoreCase(target.substr(0, scheme.size()), scheme);
}

// Origin form, absolute form of http and https, and "*" for OPTIONS.
Refusal JudgeTarget(std::string_view method, std::string_view target) {
  const bool plain = std::all_of(target.begin(), target.end(),
                                 [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
  if (!plain) return {400, "a byte in the target that is not allowed there"};
  if (target.front() == '/') return {};
  if (target == "*") {
    return method == "OPTIONS" ? Refusal{} : Refusal{400, "target * without OPTIONS"};
  }
  if (HasScheme(target, "http://") || HasScheme(target, "https://")) return {};
  return {400, "target of an unknown form"};
}

// More hops than that are none that anybody counts: larger numbers become this one (RFC 9110 7.6.2
// lets them). It fits into the integers of whoever reads it next.
constexpr std::uint64_t kMostForwards = std::numeric_limits<std::int32_t>::max();

// Only OPTIONS and TRACE count hops; for other methods the field is as any other. What is no number
// cannot be made one less, and of two the next hop might take the other one.
Refusal JudgeForwards(const Findings& found, RequestHead* head) {
  head->max_forwards.reset();
  if (found.forwards == 0 || (head->method != "OPTIONS" && head->method != "TRACE")) return {};
  if (found.forwards > 1) return {400, "two Max-Forwards fields"};
  const bool number =
      !found.forward.empty() && std::all_of(found.forward.begin(), found.forward.end(),
                                            [](char c) { return c >= '0' && c <= '9'; });
  if (!number) return {400, "malformed Max-Forwards"};
  const std::uint64_t value = ParseDecimal(found.forward).value_or(kMostForwards);
  head->max_forwards = static_cast<std::uint32_t>(std::min(value, kMostForwards));
  return {};
}

// A protocol that carries HTTP itself would be a tunnel around every rule, whatever its version is
// called ("h2c-16", "http2", "TLS-1.2").
bool CarriesHttp(std::string_view protocol) {
  for (std::string_view carrier : {"h2", "h3", "http", "tls"}) {
    if (EqualsIgnoreCase(protocol.substr(0, carrier.size()), carrier)) return true;
  }
  return false;
}

// name ["/" version], each a token (RFC 9110 7.8). What is written otherwise a server may read as
// another name than we do.
bool IsProtocol(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (!IsToken(text.substr(0, slash))) return false;
  return slash == std::string_view::npos || IsToken(text.substr(slash + 1));
}

// Some protocols, and none that must not be offered to a server.
bool MayBeOffered(std::string_view protocols) {
  bool some = false;
  while (const auto protocol = NextItem(&protocols)) {
    if (!IsProtocol(*protocol) || CarriesHttp(*protocol)) return false;
    some = true;
  }
  return some;
}

}  // namespace

Refusal JudgeRequest(RequestHead* head) {
  if (head->method == "CONNECT") return {501, "CONNECT"};
  if (auto refusal = JudgeTarget(head->method, head->target)) return refusal;
  const Findings found = Survey(head->headers, head->fields);
  if (found.hosts > 1) return {400, "more than one Host field"};
  if (found.hosts == 0 && head->minor == 1) return {400, "no Host field"};
  if (auto refusal = JudgeFraming(found, head->minor, &head->body, &head->content_length)) {
    return refusal;
  }
  if (auto refusal = JudgeForwards(found, head)) return refusal;
  // A 1.0 client knows no interim answer: what it expects is to be ignored (RFC 9110 10.1.1).
  if (head->minor == 1 && found.unmet) return {417, "Expect other than 100-continue"};
  head->expect_continue = head->minor == 1 && found.expects;
  head->keep_alive = !found.close && (head->minor == 1 || found.kept);
  const bool offers = found.upgrading && found.upgrades == 1 && MayBeOffered(found.upgrade);
  const bool bare = head->body == BodyKind::kNone ||
                    (head->body == BodyKind::kLength && head->content_length == 0);
  head->upgrade = offers && bare && head->minor == 1 && head->method == "GET" ? found.upgrade
                                                                              : std::string_view{};
  return {};
}

Refusal JudgeResponse(ResponseHead* head, bool to_head) {
  const int status = head->status;
  const Findings found = Survey(head->headers, head->fields);
  BodyKind said = BodyKind::kNone;
  if (auto refusal = JudgeFraming(found, head->minor, &said, &head->content_length)) return refusal;
  const bool promises = said == BodyKind::kChunked || head->content_length > 0;
  if (status < 200) {
    if (head->minor == 0) return {502, "interim response in HTTP/1.0"};
    if (promises) return {502, "interim response with a body"};
    if (status == 101 && (found.upgrades != 1 || !found.upgrading))
      return {502, "101 without one Upgrade"};
  }
  head->upgrade = status == 101;
  const bool bodiless = to_head || status < 200 || status == 204 || status == 304;
  head->body = bodiless ? BodyKind::kNone : said == BodyKind::kNone ? BodyKind::kUntilClose : said;
  head->keep_alive =
      !found.close && (head->minor == 1 || found.kept) && head->body != BodyKind::kUntilClose;
  // It may send the body that it promises, against the rules: those bytes must not meet another
  // request.
  if (status == 204 && promises) head->keep_alive = false;
  return {};
}

bool WereOffered(std::string_view protocols, std::string_view offers) {
  bool some = false;
  while (const auto protocol = NextItem(&protocols)) {
    bool offered = false;
    std::string_view rest = offers;
    while (const auto offer = NextItem(&rest)) offered |= EqualsIgnoreCase(*protocol, *offer);
    if (!offered) return false;
    some = true;
  }
  return some;
}

}  // namespace spillway
