// SPDX-License-Identifier: MIT
// A line of JSON as FormatJson (proxy/access_log_format.cc) writes it: one object whose values are
// texts, numbers, true, false, null, or lists of texts. It is read in one pass, without a tree, at
// about a tenth of what the library needs. Any other JSON is left to the library, and what is read
// here is read as the library reads it: a fuzzer compares them.
#include <optional>

#include "proxy/json.h"
#include "proxy/log_line.h"
#include "proxy/wall_time.h"
#include "spillway/text.h"

namespace spillway {
namespace {

constexpr std::size_t kLongestNumber = 32;  // longer ones may be too large: the library knows

// What is kept of a line, before it is known to be whole.
struct Members {
  std::string_view ts;
  LoggedRequest* request;

  // Where the member of this name goes; null: it is not looked at.
  std::string_view* Find(std::string_view name) {
    LoggedRequest& r = *request;
    switch (name.size()) {
      case 2:
        return name == "ts" ? &ts : name == "ua" ? &r.user_agent : nullptr;
      case 3:
        return name == "ja4" ? &r.ja4 : nullptr;
      case 4:
        return name == "path"   ? &r.path
               : name == "host" ? &r.host
               : name == "pool" ? &r.pool
                                : nullptr;
      case 5:
        return name == "query" ? &r.query : nullptr;
      case 6:
        return name == "client"   ? &r.client
               : name == "method" ? &r.method
               : name == "scheme" ? &r.scheme
                                  : nullptr;
      case 7:
        return name == "referer" ? &r.referer : nullptr;
      case 8:
        return name == "protocol" ? &r.protocol : name == "decision" ? &r.decision : nullptr;
      default:
        return nullptr;
    }
  }
};

constexpr std::string_view kNames[] = {"ts",      "ua",       "ja4",     "path",   "host",
                                       "pool",    "query",    "client",  "method", "scheme",
                                       "referer", "protocol", "decision"};

constexpr auto kPlain = [] {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x80; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

// How many bytes from `at` on are plain; eight at a time.
std::size_t PlainFrom(std::string_view text, std::size_t at) {
  constexpr std::uint64_t kEach = 0x0101010101010101, kHigh = 0x80 * kEach;
  while (at + 8 <= text.size()) {
    const std::uint64_t bytes = LoadBytes<8>(text.data() + at);
    const std::uint64_t quote = bytes ^ ('"' * kEach), slash = bytes ^ ('\\' * kEach);
    // The high bit of each byte that is below 0x20, or zero; those above a true one may be wrong.
    const std::uint64_t below = (bytes - 0x20 * kEach) & ~bytes;
    const std::uint64_t zero = ((quote - kEach) & ~quote) | ((slash - kEach) & ~slash);
    if (((below | zero | bytes) & kHigh) != 0) break;
    at += 8;
  }
  while (at < text.size() && kPlain[static_cast<unsigned char>(text[at])]) ++at;
  return at;
}

class Reader {
 public:
  Reader(std::string_view line, std::string* scratch) : rest_(line), scratch_(scratch) {}

  // False when it is not of this shape.
  bool Object(Members* members) {
    if (!Take('{')) return false;
    if (Take('}')) return End();
    do {
      const std::optional<std::string_view> name = Text();
      if (!name || !Take(':')) return false;
      std::string_view* place = members->Find(*name);
      Space();
      if (!rest_.empty() && rest_.front() == '"') {
        const std::optional<std::string_view> value = Text();
        if (!value) return false;
        if (place != nullptr) *place = *value;
      } else {
        if (!Other()) return false;
        if (place != nullptr) *place = {};
      }
    } while (Take(','));
    return Take('}') && End();
  }

 private:
  void Space() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t' ||
                              rest_.front() == '\r' || rest_.front() == '\n')) {
      rest_.remove_prefix(1);
    }
  }
  bool End() {
    Space();
    return rest_.empty();
  }
  bool Take(char c) {
    Space();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool Word(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  std::size_t Digits() {
    std::size_t count = 0;
    while (count < rest_.size() && rest_[count] >= '0' && rest_[count] <= '9') ++count;
    rest_.remove_prefix(count);
    return count;
  }

  // A number without an exponent, a word, or a list of texts.
  bool Other() {
    if (Word("true") || Word("false") || Word("null")) return true;
    if (rest_.starts_with('[')) return List();
    const std::string_view before = rest_;
    Word("-");
    const bool zero = rest_.starts_with('0');
    const std::size_t whole = Digits();
    if (whole == 0 || (zero && whole > 1)) return false;
    if (Word(".") && Digits() == 0) return false;
    if (!rest_.empty() && (rest_.front() == 'e' || rest_.front() == 'E')) return false;
    return before.size() - rest_.size() <= kLongestNumber;
  }

  bool List() {
    Take('[');
    if (Take(']')) return true;
    do {
      Space();
      if (!Text()) return false;
    } while (Take(','));
    return Take(']');
  }

  // Nothing when it is no text of JSON.
  std::optional<std::string_view> Text() {
    Space();
    if (!Word("\"")) return std::nullopt;
    std::size_t at = 0;
    while ((at = PlainFrom(rest_, at)) < rest_.size()) {
      const auto byte = static_cast<unsigned char>(rest_[at]);
      if (byte == '"') {
        const std::string_view text = rest_.substr(0, at);
        rest_.remove_prefix(at + 1);
        return text;
      } else if (byte >= 0x80) {
        const std::size_t size = Utf8Size(rest_.substr(at));
        if (size == 0) return std::nullopt;
        at += size;
      } else {
        return byte == '\\' ? Unescaped(at) : std::nullopt;
      }
    }
    return std::nullopt;
  }

  // The text whose first backslash is at `at`. The scratch has room for all of the line, so what it
  // holds stays where it is.
  std::optional<std::string_view> Unescaped(std::size_t at) {
    const std::size_t start = scratch_->size();
    std::size_t from = 0;
    while (true) {
      at = PlainFrom(rest_, at);
      if (at == rest_.size()) return std::nullopt;
      const auto byte = static_cast<unsigned char>(rest_[at]);
      if (byte >= 0x80) {
        const std::size_t size = Utf8Size(rest_.substr(at));
        if (size == 0) return std::nullopt;
        at += size;
        continue;
      }
      scratch_->append(rest_, from, at - from);
      rest_.remove_prefix(at);
      if (Word("\"")) return std::string_view(*scratch_).substr(start);
      if (!Word("\\") || !Escape()) return std::nullopt;
      from = at = 0;
    }
  }

  bool Escape() {
    if (rest_.empty()) return false;
    const char c = rest_.front();
    rest_.remove_prefix(1);
    switch (c) {
      case '"':
      case '\\':
      case '/':
        *scratch_ += c;
        return true;
      case 'b':
        *scratch_ += '\b';
        return true;
      case 'f':
        *scratch_ += '\f';
        return true;
      case 'n':
        *scratch_ += '\n';
        return true;
      case 'r':
        *scratch_ += '\r';
        return true;
      case 't':
        *scratch_ += '\t';
        return true;
      case 'u':
        return Character();
      default:
        return false;
    }
  }

  // Four hexadecimal digits, as UTF-8. Halves of a pair are left to the library.
  bool Character() {
    if (rest_.size() < 4) return false;
    unsigned code = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const int digit = HexDigit(rest_[i]);
      if (digit < 0) return false;
      code = code * 16 + static_cast<unsigned>(digit);
    }
    rest_.remove_prefix(4);
    if (code >= 0xd800 && code <= 0xdfff) return false;
    if (code < 0x80) {
      *scratch_ += static_cast<char>(code);
    } else if (code < 0x800) {
      *scratch_ += static_cast<char>(0xc0 | code >> 6);
      *scratch_ += static_cast<char>(0x80 | (code & 0x3f));
    } else {
      *scratch_ += static_cast<char>(0xe0 | code >> 12);
      *scratch_ += static_cast<char>(0x80 | (code >> 6 & 0x3f));
      *scratch_ += static_cast<char>(0x80 | (code & 0x3f));
    }
    return true;
  }

  std::string_view rest_;
  std::string* scratch_;
};

// "2026-07-01T12:00:00.123Z", with up to nine digits of the second or none.
bool ReadTime(std::string_view text, LoggedRequest* out) {
  if (text.size() < 20 || text.size() > 30 || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
      text[13] != ':' || text[16] != ':' || text.back() != 'Z') {
    return false;
  }
  const auto time = TimeOf({DigitsAt(text, 0, 4), DigitsAt(text, 5, 2), DigitsAt(text, 8, 2),
                            DigitsAt(text, 11, 2), DigitsAt(text, 14, 2), DigitsAt(text, 17, 2)});
  if (!time) return false;
  Duration fraction{0};
  out->whole_seconds = text.size() == 20;
  if (!out->whole_seconds) {
    const std::size_t digits = text.size() - 21;
    std::int64_t nanoseconds = DigitsAt(text, 20, digits);
    if (text[19] != '.' || digits == 0 || nanoseconds < 0) return false;
    for (std::size_t i = digits; i < 9; ++i) nanoseconds *= 10;
    fraction = Duration(nanoseconds);
  }
  out->time = *time + fraction;
  return true;
}

// What must be there of a line that is JSON. A request that could not be read has no method or
// path; that is nothing wrong with its line.
void Finish(const Members& members, LogLine* out) {
  LoggedRequest& request = out->request;
  out->fault = nullptr;
  if (members.ts.empty() || request.client.empty()) {
    out->fault = "not a line of spillway's: it has no \"ts\" and \"client\"";
  } else if (!ReadTime(members.ts, &request)) {
    out->fault = "\"ts\" is not a time such as 2026-07-01T12:00:00.123Z";
  }
}

}  // namespace

bool ReadJsonQuickly(std::string_view line, std::string* scratch, LogLine* out) {
  out->request = {};
  out->request.form = LogForm::kJson;
  scratch->clear();
  scratch->reserve(line.size());  // what is unescaped is never longer
  Members members{{}, &out->request};
  if (!Reader(line, scratch).Object(&members)) return false;
  Finish(members, out);
  return true;
}

void ReadJsonByLibrary(std::string_view line, std::string* scratch, LogLine* out) {
  out->request = {};
  out->request.form = LogForm::kJson;
  scratch->clear();
  const std::optional<Json> json = ParseJson(line);
  if (!json || !json->is_object()) {
    out->fault = "not JSON";
    return;
  }
  Members members{{}, &out->request};
  scratch->reserve(line.size());
  for (const std::string_view name : kNames) {
    const std::string text = TextAt(*json, std::string(name).c_str());
    const std::size_t start = scratch->size();
    scratch->append(text);
    *members.Find(name) = std::string_view(*scratch).substr(start);
  }
  Finish(members, out);
}

}  // namespace spillway
