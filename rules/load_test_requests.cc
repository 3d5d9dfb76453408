// SPDX-License-Identifier: MIT
// `tests[].request`: a request that nobody sent, part by part. The parts have the names that conditions
// have.
#include <algorithm>
#include <span>

#include "rules/actions.h"
#include "rules/conditions.h"
#include "rules/draft.h"
#include "rules/kind_row.h"
#include "rules/meant.h"

namespace spillway {
namespace {

// A request as its parts are read, in any order.
struct RequestReader {
  RequestTexts& texts;
  std::string query = {}, cookies = {};
};
using PartFunction = void(RequestReader& reader, const PartSlot& slot);

// A text that could stand in one line of a request; reported when it is none.
std::optional<std::string> ReadLine(const yaml::Node& node) {
  if (node.is_scalar() && LegalFieldValue(node.text())) return std::string(node.text());
  node.Fail("expected a text without control characters and outer white space, found " +
            (node.is_scalar() ? yaml::Quote(node.text()) : std::string(KindName(node.kind()))));
  return std::nullopt;
}

// One of the words that the condition of this name knows.
void ReadWord(const PartSlot& slot, std::string* out) {
  std::span<const std::string_view> words;
  for (const Condition& row : RequestConditions()) {
    if (row.name == slot.key.text()) words = row.asks.words;
  }
  if (!ExpectScalar(slot.value, "a " + std::string(slot.key.text()))) return;
  const std::string_view text = slot.value.text();
  if (std::find(words.begin(), words.end(), text) != words.end()) {
    *out = text;
  } else {
    slot.value.Fail("unknown " + std::string(slot.key.text()) + " " + yaml::Quote(text) +
                    yaml::ExpectedOneOf(text, {words.begin(), words.end()}));
  }
}

void ReadMethod(RequestReader& reader, const PartSlot& slot) {
  ReadWord(slot, &reader.texts.method);
}

void ReadScheme(RequestReader& reader, const PartSlot& slot) {
  ReadWord(slot, &reader.texts.scheme);
}

void ReadProtocol(RequestReader& reader, const PartSlot& slot) {
  ReadWord(slot, &reader.texts.protocol);
}

void ReadHost(RequestReader& reader, const PartSlot& slot) {
  if (auto text = ReadLine(slot.value)) reader.texts.host = *std::move(text);
}

void ReadPath(RequestReader& reader, const PartSlot& slot) {
  if (slot.value.is_scalar() && slot.value.text().starts_with('/')) {
    reader.texts.target = slot.value.text();
  } else {
    slot.value.Fail("expected a path that begins with '/', such as /search?q=a");
  }
}

// As a form would send it.
void AppendEncoded(std::string_view text, std::string* out) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (IsTokenChar(c) && std::string_view("%&+#").find(c) == std::string_view::npos) {
      *out += c;
    } else {
      out->append(1, '%').append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
    }
  }
}

void ReadQuery(RequestReader& reader, const PartSlot& slot) {
  if (slot.name.empty()) slot.key.Fail("expected the name of a query parameter after 'query.'");
  for (const yaml::Node& item : slot.value.Items()) {
    if (!item.is_scalar()) {
      item.Fail("expected a text, found " + std::string(KindName(item.kind())));
      continue;
    }
    if (!reader.query.empty()) reader.query += '&';
    AppendEncoded(slot.name, &reader.query);
    reader.query += '=';
    AppendEncoded(item.text(), &reader.query);
  }
}

void ReadHeader(RequestReader& reader, const PartSlot& slot) {
  if (!IsToken(slot.name)) {
    slot.key.Fail("expected the name of a header field after 'header.', found " +
                  yaml::Quote(slot.name));
  } else if (EqualsIgnoreCase(slot.name, "host")) {
    slot.key.Fail("the Host of a request is what `host` says");
  } else {
    ReadFieldLines(slot.name, slot.value, &reader.texts.headers);
  }
}

void ReadCookie(RequestReader& reader, const PartSlot& slot) {
  if (!IsToken(slot.name)) {
    slot.key.Fail("expected the name of a cookie after 'cookie.', found " + yaml::Quote(slot.name));
    return;
  }
  for (const yaml::Node& item : slot.value.Items()) {
    const auto text = ReadLine(item);
    if (!text) continue;
    if (text->find(';') != std::string::npos)
      item.Fail("a ';' would end the cookie; expected its value alone");
    reader.cookies.append(reader.cookies.empty() ? "" : "; ").append(slot.name);
    reader.cookies.append("=").append(*text);
  }
}

void ReadUserAgent(RequestReader& reader, const PartSlot& slot) {
  ReadFieldLines("User-Agent", slot.value, &reader.texts.headers);
}

void ReadReferer(RequestReader& reader, const PartSlot& slot) {
  ReadFieldLines("Referer", slot.value, &reader.texts.headers);
}

void ReadAddress(RequestReader& reader, const PartSlot& slot) {
  if (const auto address = IpAddress::Parse(slot.value.text())) {
    reader.texts.client = *address;
  } else {
    slot.value.Fail("expected an address such as 192.0.2.1 or 2001:db8::1, found " +
                    (slot.value.is_scalar() ? yaml::Quote(slot.value.text())
                                            : std::string(KindName(slot.value.kind()))));
  }
}

void ReadJa4(RequestReader& reader, const PartSlot& slot) {
  if (auto text = ReadLine(slot.value)) reader.texts.ja4 = *std::move(text);
}

void ReadCertificate(RequestReader& reader, const PartSlot& slot) {
  if (auto text = ReadLine(slot.value)) reader.texts.client_certificate = *std::move(text);
}

void ReadCountry(RequestReader& reader, const PartSlot& slot) {
  const Result<std::string> code = ParseCountry(slot.value.text());
  if (code) {
    reader.texts.said.country = *code;
  } else {
    slot.value.Fail(code.error().message);
  }
}

void ReadNetwork(RequestReader& reader, const PartSlot& slot) {
  const Result<std::uint32_t> number = ParseNetwork(slot.value.text());
  if (number) {
    reader.texts.said.network = *number;
  } else {
    slot.value.Fail(number.error().message);
  }
}

void ReadVerifiedBot(RequestReader& reader, const PartSlot& slot) {
  if (!ExpectScalar(slot.value, "yes, forged or unknown")) return;
  const std::string_view text = slot.value.text();
  if (const auto check = ReadBotWord(text)) {
    reader.texts.said.bot = *check;
  } else if (text == WordOf(BotCheck::kNone)) {
    slot.value.Fail("who claims to be a robot is yes, forged or unknown; none is who does not");
  } else {
    slot.value.Fail("unknown word " + yaml::Quote(text) +
                    yaml::ExpectedOneOf(text, {"yes", "forged", "unknown"}));
  }
}

constexpr KindRow<PartFunction> kParts[] = {
    {"method", "value", "the method; without it GET", &ReadMethod},
    {"path", "path of a URL",
     "path and query as they are sent, such as /search?q=a, of at most 64 KiB; without it /",
     &ReadPath},
    {"query.NAME", "value, list of values", "this query parameter, encoded, behind those of `path`",
     &ReadQuery},
    {"host", "value", "the host; without it localhost; '': there is none", &ReadHost},
    {"scheme", "http | https", "the scheme as the client sees it; without it http", &ReadScheme},
    {"protocol", "HTTP/1.0 | HTTP/1.1 | HTTP/2.0", "the version of HTTP; without it HTTP/1.1",
     &ReadProtocol},
    {"header.NAME", "value, list of values", "this header field, a line for each value",
     &ReadHeader},
    {"cookie.NAME", "value, list of values", "this cookie", &ReadCookie},
    {"user_agent", "value", "the User-Agent; without it there is none", &ReadUserAgent},
    {"referer", "value", "the Referer; without it there is none", &ReadReferer},
    {"client.address", "IP address", "who asks; without it 198.51.100.1", &ReadAddress},
    {"client.country", "country code", "where the address is; without it that is not known",
     &ReadCountry},
    {"client.asn", "AS number", "whose the address is; without it that is not known", &ReadNetwork},
    {"client.verified_bot", "yes | forged | unknown",
     "what DNS says of a user agent that claims to be a robot; without it unknown",
     &ReadVerifiedBot},
    {"tls.ja4", "value", "the JA4 fingerprint; without it there is none", &ReadJa4},
    {"tls.client_certificate", "value", "the subject of the client's certificate",
     &ReadCertificate},
};

void ReadPart(RequestReader& reader, const yaml::Node& request, const yaml::Node& key,
              const yaml::Node& value) {
  std::string_view name;
  for (const KindRow<PartFunction>& row : kParts) {
    if (Covers(row, key.text(), &name)) return row.parse(reader, {key, name, value});
  }
  std::vector<std::string> legal;
  AppendNames(std::span<const KindRow<PartFunction>>(kParts), &legal);
  key.Fail(UnknownIn(request, "part of a request", key.text(), std::move(legal)));
}

constexpr std::size_t kMostTarget = std::size_t{64} << 10;  // as clients.sizes.target at most

// What a live request would be refused for without any rule is a mistake in a test.
void CheckPosed(const yaml::Node& request, const RequestTexts& texts) {
  PosedRequest posed;
  if (texts.target.size() > kMostTarget) {
    request.Get("path").Fail("no request may have a target of more than 64 KiB");
  } else if (const auto fault = posed.Pose(texts, AmbiguousPaths::kPass); !fault) {
    RequestTexts without_host = texts;
    without_host.host.clear();
    const bool host = posed.Pose(without_host, AmbiguousPaths::kPass).has_value();
    request.Get(host ? "host" : "path").Fail("no request can be so: " + fault.error().message);
  }
}

}  // namespace

void ReadFieldLines(std::string_view name, const yaml::Node& value, FieldTexts* out) {
  for (const yaml::Node& item : value.Items()) {
    if (auto text = ReadLine(item)) out->emplace_back(std::string(name), *std::move(text));
  }
}

void ReadTestRequest(const yaml::Node& node, RequestTexts* texts) {
  if (!ExpectMap(node, "{ method: POST, path: /login }")) return;
  const std::size_t errors = node.diagnostics().size();
  RequestReader reader{*texts};
  for (const auto& [key, value] : node.Entries()) ReadPart(reader, node, key, value);
  if (!reader.query.empty()) {
    texts->target += texts->target.find('?') == std::string::npos ? '?' : '&';
    texts->target += reader.query;
  }
  if (!reader.cookies.empty()) texts->headers.emplace_back("Cookie", std::move(reader.cookies));
  if (node.diagnostics().size() == errors) CheckPosed(node, *texts);
}

void AppendRequestKinds(std::vector<Kind>* kinds) {
  AppendKinds("request", std::span<const KindRow<PartFunction>>(kParts), kinds);
}

}  // namespace spillway
