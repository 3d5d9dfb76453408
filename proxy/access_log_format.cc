// SPDX-License-Identifier: MIT
// The two shapes of an access log line. Every field but the numbers may come from a stranger, so
// each is escaped: a line stays one line, and the JSON stays JSON whatever was sent.
//
// Hand-written because a busy worker formats 50,000 of these a second; appends to a reused string
// only.
#include <algorithm>
#include <array>
#include <charconv>

#include "proxy/access_log.h"
#include "spillway/text.h"

namespace spillway {
namespace {

constexpr std::size_t kLongest = 8192;  // of one field's bytes; the rest is cut
constexpr char kHex[] = "0123456789abcdef";

template <typename Number>
void AppendNumber(Number value, std::string* out) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  out->append(digits, end);
}

// `value` in at least `width` decimal digits.
void AppendPadded(unsigned value, int width, std::string* out) {
  char digits[10];
  int at = sizeof(digits);
  for (; value != 0 || width > 0; value /= 10, --width)
    digits[--at] = static_cast<char>('0' + value % 10);
  out->append(digits + at, digits + sizeof(digits));
}

// The calendar fields of a time, UTC.
struct Civil {
  explicit Civil(WallTime time) {
    const auto midnight = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(midnight);
    year = static_cast<unsigned>(static_cast<int>(date.year()));
    month = static_cast<unsigned>(date.month());
    day = static_cast<unsigned>(date.day());
    const auto millis = std::chrono::floor<std::chrono::milliseconds>(time - midnight).count();
    millisecond = static_cast<unsigned>(millis % 1000);
    second = static_cast<unsigned>(millis / 1000 % 60);
    minute = static_cast<unsigned>(millis / 60000 % 60);
    hour = static_cast<unsigned>(millis / 3600000);
  }
  unsigned year, month, day, hour, minute, second, millisecond;
};

// "2026-07-01T12:00:00.123Z"
void AppendIsoTime(WallTime time, std::string* out) {
  const Civil civil(time);
  AppendPadded(civil.year, 4, out);
  *out += '-';
  AppendPadded(civil.month, 2, out);
  *out += '-';
  AppendPadded(civil.day, 2, out);
  *out += 'T';
  AppendPadded(civil.hour, 2, out);
  *out += ':';
  AppendPadded(civil.minute, 2, out);
  *out += ':';
  AppendPadded(civil.second, 2, out);
  *out += '.';
  AppendPadded(civil.millisecond, 3, out);
  *out += 'Z';
}

// "01/Jul/2026:12:00:00 +0000"
void AppendNcsaTime(WallTime time, std::string* out) {
  static constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const Civil civil(time);
  AppendPadded(civil.day, 2, out);
  *out += '/';
  *out += kMonths.substr((civil.month - 1) * 3, 3);
  *out += '/';
  AppendPadded(civil.year, 4, out);
  *out += ':';
  AppendPadded(civil.hour, 2, out);
  *out += ':';
  AppendPadded(civil.minute, 2, out);
  *out += ':';
  AppendPadded(civil.second, 2, out);
  *out += " +0000";
}

// Milliseconds with three decimals: 12.345.
void AppendMillis(Duration value, std::string* out) {
  const auto micros = std::max<std::int64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(value).count(), 0);
  AppendNumber(micros / 1000, out);
  *out += '.';
  AppendPadded(static_cast<unsigned>(micros % 1000), 3, out);
}

// Bytes that may stand in a JSON string, and in a quoted combined field, as they are.
constexpr auto kPlain = [] {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x7f; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

unsigned char ByteAt(std::string_view text, std::size_t at) {
  return at < text.size() ? static_cast<unsigned char>(text[at]) : 0;
}

// The escape of a byte below 0x80 that is not plain.
void AppendJsonEscape(unsigned char byte, std::string* out) {
  switch (byte) {
    case '"':
      *out += "\\\"";
      return;
    case '\\':
      *out += "\\\\";
      return;
    case '\n':
      *out += "\\n";
      return;
    case '\r':
      *out += "\\r";
      return;
    case '\t':
      *out += "\\t";
      return;
    default:
      *out += "\\u00";
      *out += kHex[byte >> 4];
      *out += kHex[byte & 15];
  }
}

// The inside of a JSON string. Well-formed UTF-8 stays; each byte that is none becomes \ufffd;
// control characters, those of U+0080..U+009F too, become \u00XX.
void AppendJsonText(std::string_view text, std::string* out) {
  text = text.substr(0, kLongest);
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t start = at;
    while (at < text.size() && kPlain[static_cast<unsigned char>(text[at])]) ++at;
    out->append(text, start, at - start);
    if (at == text.size()) return;
    const unsigned char byte = ByteAt(text, at);
    if (byte < 0x80) {
      AppendJsonEscape(byte, out);
      ++at;
    } else if (const std::size_t length = Utf8Size(text.substr(at)); length == 0) {
      *out += "\\ufffd";
      ++at;
    } else if (byte == 0xc2 && ByteAt(text, at + 1) < 0xa0) {
      AppendJsonEscape(ByteAt(text, at + 1), out);
      at += length;
    } else {
      out->append(text, at, length);
      at += length;
    }
  }
}

// `,"name":` for every member but the first.
void AppendName(std::string_view name, std::string* out) {
  *out += ",\"";
  *out += name;
  *out += "\":";
}

void AppendMember(std::string_view name, std::string_view value, std::string* out) {
  if (value.empty()) return;
  AppendName(name, out);
  *out += '"';
  AppendJsonText(value, out);
  *out += '"';
}

void AppendMember(std::string_view name, std::uint64_t value, std::string* out) {
  AppendName(name, out);
  AppendNumber(value, out);
}

void AppendMember(std::string_view name, Duration value, std::string* out) {
  AppendName(name, out);
  AppendMillis(value, out);
}

void AppendTags(std::span<const std::string_view> tags, std::string* out) {
  if (tags.empty()) return;
  AppendName("tags", out);
  char before = '[';
  for (const std::string_view tag : tags) {
    *out += before;
    *out += '"';
    AppendJsonText(tag, out);
    *out += '"';
    before = ',';
  }
  *out += ']';
}

// Anything but plain bytes as \xNN.
void AppendCombinedText(std::string_view text, std::string* out) {
  for (const char c : text.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (kPlain[byte]) {
      *out += c;
    } else {
      *out += "\\x";
      *out += kHex[byte >> 4];
      *out += kHex[byte & 15];
    }
  }
}

void AppendOrDash(std::string_view text, std::string* out) {
  if (text.empty()) {
    *out += '-';
  } else {
    AppendCombinedText(text, out);
  }
}

}  // namespace

void FormatJson(const AccessRecord& record, bool query, std::string* out) {
  *out += "{\"ts\":\"";
  AppendIsoTime(record.time, out);
  *out += '"';
  AppendMember("id", record.id, out);
  AppendMember("client", record.client, out);
  AppendMember("peer", record.peer, out);
  AppendMember("method", record.method, out);
  AppendMember("scheme", record.scheme, out);
  AppendMember("host", record.host, out);
  AppendMember("path", record.path, out);
  if (query) AppendMember("query", record.query, out);
  AppendMember("protocol", record.protocol, out);
  AppendMember("ja4", record.ja4, out);
  AppendMember("status", static_cast<std::uint64_t>(record.status), out);
  AppendMember("bytes_in", record.bytes_in, out);
  AppendMember("bytes_out", record.bytes_out, out);
  AppendMember("dur_ms", record.duration, out);
  if (record.first_byte >= Duration(0)) AppendMember("ttfb_ms", record.first_byte, out);
  AppendMember("pool", record.pool, out);
  AppendMember("upstream", record.upstream, out);
  if (record.upstream_status != 0) {
    AppendMember("upstream_status", static_cast<std::uint64_t>(record.upstream_status), out);
  }
  if (record.tries != 0) AppendMember("tries", std::uint64_t{record.tries}, out);
  AppendMember("decision", record.decision, out);
  AppendMember("class", record.traffic_class, out);
  if (record.queued > Duration(0)) AppendMember("queue_ms", record.queued, out);
  if (record.is_protected) {
    AppendName("protected", out);
    *out += "true";
  }
  if (record.held > Duration(0)) AppendMember("held_ms", record.held, out);
  AppendMember("rule", record.rule, out);
  AppendTags(record.tags, out);
  AppendMember("limit", record.limit, out);
  if (!record.limit.empty()) AppendMember("limit_remaining", record.limit_remaining, out);
  AppendMember("ua", record.user_agent, out);
  AppendMember("referer", record.referer, out);
  AppendMember("end", record.end, out);
  AppendMember("step", record.step, out);
  AppendMember("generation", record.generation, out);
  *out += "}\n";
}

void FormatCombined(const AccessRecord& record, bool query, std::string* out) {
  AppendOrDash(record.client, out);
  *out += " - - [";
  AppendNcsaTime(record.time, out);
  *out += "] \"";
  if (record.method.empty()) {
    *out += '-';
  } else {
    AppendCombinedText(record.method, out);
    *out += ' ';
    AppendOrDash(record.path, out);
    if (query && !record.query.empty()) {
      *out += '?';
      AppendCombinedText(record.query, out);
    }
    *out += ' ';
    AppendOrDash(record.protocol, out);
  }
  *out += "\" ";
  AppendPadded(static_cast<unsigned>(record.status), 3, out);  // 000: closed without an answer
  *out += ' ';
  if (record.bytes_out == 0) {
    *out += '-';
  } else {
    AppendNumber(record.bytes_out, out);
  }
  *out += " \"";
  AppendOrDash(record.referer, out);
  *out += "\" \"";
  AppendOrDash(record.user_agent, out);
  *out += "\"\n";
}

}  // namespace spillway
