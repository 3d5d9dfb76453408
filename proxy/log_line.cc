// SPDX-License-Identifier: MIT
// The combined format, and the choice between it and JSON:
//
//   client ident user [day/Mon/year:h:m:s zone] "METHOD target PROTOCOL" status bytes "referer" "agent"
//
// The user may hold spaces; what follows the agent is not looked at. In quotes \xNN, \" and \\ are
// undone, and what Apache writes as \n, \t and so on.
#include "proxy/log_line.h"

#include <optional>

#include "proxy/wall_time.h"
#include "spillway/text.h"

namespace spillway {
namespace {

constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

// "01/Jul/2026:12:00:00 +0000"
std::optional<WallTime> ReadNcsaTime(std::string_view text) {
  if (text.size() != 26 || text[2] != '/' || text[6] != '/' || text[11] != ':' || text[14] != ':' ||
      text[17] != ':' || text[20] != ' ' || (text[21] != '+' && text[21] != '-')) {
    return std::nullopt;
  }
  const std::size_t month = kMonths.find(text.substr(3, 3));
  const int zone_hour = TwoDigitsAt(text, 22), zone_minute = TwoDigitsAt(text, 24);
  if (month == kMonths.npos || month % 3 != 0 || zone_hour < 0 || zone_hour > 24 ||
      zone_minute < 0 || zone_minute > 59) {
    return std::nullopt;
  }
  const auto local =
      TimeOf({FourDigitsAt(text, 7), static_cast<int>(month / 3 + 1), TwoDigitsAt(text, 0),
              TwoDigitsAt(text, 12), TwoDigitsAt(text, 15), TwoDigitsAt(text, 18)});
  if (!local) return std::nullopt;
  const auto zone = std::chrono::hours(zone_hour) + std::chrono::minutes(zone_minute);
  return text[21] == '+' ? *local - zone : *local + zone;
}

// What a backslash and the byte behind it stand for; *size: of both, or of all of \xNN.
char Unescape(std::string_view text, std::size_t* size) {
  *size = 2;
  switch (text[1]) {
    case 'x':
      if (text.size() >= 4 && HexDigit(text[2]) >= 0 && HexDigit(text[3]) >= 0) {
        *size = 4;
        return static_cast<char>(HexDigit(text[2]) * 16 + HexDigit(text[3]));
      }
      return 'x';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    default:
      return text[1];
  }
}

// The field in quotes at the start of *rest, behind at most one space; "-" is empty.
std::optional<std::string_view> TakeQuoted(std::string_view* rest, std::string* scratch) {
  std::string_view text = *rest;
  if (text.starts_with(' ')) text.remove_prefix(1);
  if (!text.starts_with('"')) return std::nullopt;
  text.remove_prefix(1);
  std::size_t end = text.find_first_of("\"\\");
  if (end == text.npos) return std::nullopt;
  std::string_view value = text.substr(0, end);
  if (text[end] == '\\') {
    const std::size_t start = scratch->size();
    scratch->append(value);
    while (end < text.size() && text[end] != '"') {
      if (text[end] != '\\') {
        *scratch += text[end++];
        continue;
      }
      if (end + 1 == text.size()) return std::nullopt;
      std::size_t size = 0;
      *scratch += Unescape(text.substr(end), &size);
      end += size;
    }
    if (end >= text.size()) return std::nullopt;
    value = std::string_view(*scratch).substr(start);
  }
  *rest = text.substr(end + 1);
  return value == "-" ? std::string_view() : value;
}

// "GET /x HTTP/1.1". A line that is no such thing leaves all of it empty: no request was read.
void ReadRequestLine(std::string_view text, LoggedRequest* out) {
  const std::size_t first = text.find(' '), last = text.rfind(' ');
  if (first == text.npos || first == last) return;
  const std::string_view method = text.substr(0, first), protocol = text.substr(last + 1);
  if (!IsToken(method) || !protocol.starts_with("HTTP/")) return;
  out->method = method;
  out->path = text.substr(first + 1, last - first - 1);
  out->protocol = protocol;
}

const char* ReadCombined(std::string_view line, std::string* scratch, LoggedRequest* out) {
  const std::size_t space = line.find(' ');
  const std::size_t open = line.find(" [");
  if (space == line.npos || open == line.npos || line.size() < open + 29) {
    return "neither JSON nor the combined format: CLIENT - USER [TIME] \"REQUEST\" ...";
  }
  out->client = line.substr(0, space);
  const auto time = ReadNcsaTime(line.substr(open + 2, 26));
  if (!time || line[open + 28] != ']') {
    return "the time is not such as [01/Jul/2026:12:00:00 +0000]";
  }
  out->time = *time;
  std::string_view rest = line.substr(open + 29);
  const auto request = TakeQuoted(&rest, scratch);
  if (!request) return "there is no request in quotes behind the time";
  ReadRequestLine(*request, out);
  // " 200 1234", and for the combined format two more in quotes
  if (rest.size() < 6 || rest[0] != ' ' || DigitsAt(rest, 1, 3) < 0 || rest[4] != ' ') {
    return "there is no status of three digits behind the request";
  }
  out->status = DigitsAt(rest, 1, 3);
  rest.remove_prefix(5);
  rest.remove_prefix(std::min(rest.find(' '), rest.size()));
  out->form = LogForm::kCommon;
  if (rest.empty()) return nullptr;
  const auto referer = TakeQuoted(&rest, scratch);
  const auto agent = referer ? TakeQuoted(&rest, scratch) : std::nullopt;
  if (!agent) return "there are no Referer and User-Agent in quotes behind the size";
  out->form = LogForm::kCombined;
  out->referer = *referer;
  out->user_agent = *agent;
  return nullptr;
}

}  // namespace

void ReadLogLine(std::string_view line, std::string* scratch, LogLine* out) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.starts_with('{')) {
    if (!ReadJsonQuickly(line, scratch, out)) ReadJsonByLibrary(line, scratch, out);
    return;
  }
  out->request = {};
  scratch->clear();
  scratch->reserve(line.size());  // what is unescaped is never longer: views stay good
  out->fault = ReadCombined(line, scratch, &out->request);
}

}  // namespace spillway
