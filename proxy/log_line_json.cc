// SPDX-License-Identifier: MIT
// A line of JSON as FormatJson (proxy/access_log_format.cc) writes it: one object whose values are
// texts, numbers, true, false, null, or lists of texts. It is read in one pass, without a tree, at
// about a tenth of what the library needs. Any other JSON is left to the library, and what is read
// here is read as the library reads it: a fuzzer compares them.
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/json.h"
#include "proxy/log_line.h"
#include "proxy/wall_time.h"
#include "spillway/text.h"

namespace spillway {
namespace {

constexpr std::ptrdiff_t kLongestNumber = 32;  // longer ones may be too large: the library knows

// What is kept of a line, before it is known to be whole.
struct Members {
  std::string_view ts, upstream_status;
  LoggedRequest* request;

  // Where the member of this name goes; null: it is not looked at.
  std::string_view* Find(std::string_view name) {
    LoggedRequest& r = *request;
    switch (name.size()) {
      case 2:
        return Is(name, "ts") ? &ts : Is(name, "ua") ? &r.user_agent : nullptr;
      case 3:
        return Is(name, "ja4") ? &r.ja4 : nullptr;
      case 4:
        return Is(name, "path")   ? &r.path
               : Is(name, "host") ? &r.host
               : Is(name, "pool") ? &r.pool
                                  : nullptr;
      case 5:
        return Is(name, "query") ? &r.query : nullptr;
      case 6:
        return Is(name, "client")   ? &r.client
               : Is(name, "method") ? &r.method
               : Is(name, "scheme") ? &r.scheme
                                    : nullptr;
      case 7:
        return Is(name, "referer") ? &r.referer : nullptr;
      case 8:
        return Is(name, "protocol") ? &r.protocol : Is(name, "decision") ? &r.decision : nullptr;
      case 15:
        return Is(name, "upstream_status") ? &upstream_status : nullptr;
      default:
        return nullptr;
    }
  }

 private:
  // REQUIRES: they are of one size. As that is known when this is compiled, it costs one comparison.
  template <std::size_t kSize>
  static bool Is(std::string_view name, const char (&word)[kSize]) {
    return std::memcmp(name.data(), word, kSize - 1) == 0;
  }
};

constexpr std::string_view kTextNames[] = {"ts",      "ua",       "ja4",     "path",   "host",
                                           "pool",    "query",    "client",  "method", "scheme",
                                           "referer", "protocol", "decision"};

constexpr auto kPlain = [] {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x80; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

// Where the first byte is that is not plain; eight at a time.
const char* PlainUntil(const char* at, const char* end) {
  constexpr std::uint64_t kEach = 0x0101010101010101, kHigh = 0x80 * kEach;
  for (; end - at >= 8; at += 8) {
    const std::uint64_t bytes = LoadBytes<8>(at);
    const std::uint64_t quote = bytes ^ ('"' * kEach), slash = bytes ^ ('\\' * kEach);
    // The high bit of each byte that is below 0x20, or zero; those above a true one may be wrong.
    const std::uint64_t below = (bytes - 0x20 * kEach) & ~bytes;
    const std::uint64_t zero = ((quote - kEach) & ~quote) | ((slash - kEach) & ~slash);
    const std::uint64_t other = (below | zero | bytes) & kHigh;
    if (other != 0) return at + std::countr_zero(other) / 8;
  }
  while (at < end && kPlain[static_cast<unsigned char>(*at)]) ++at;
  return at;
}

class Reader {
 public:
  Reader(std::string_view line, std::string* scratch)
      : at_(line.data()), end_(line.data() + line.size()), scratch_(scratch) {}

  // False when it is not of this shape.
  bool Object(Members* members) {
    if (!Take('{')) return false;
    if (Take('}')) return End();
    do {
      std::string_view name;
      if (!Text(&name) || !Take(':')) return false;
      std::string_view* place = members->Find(name);
      Space();
      if (Next() == '"') {
        std::string_view value;
        if (!Text(&value)) return false;
        if (place != nullptr) *place = value;
      } else if (place == nullptr) {
        if (!Other()) return false;
      } else {
        const char* const first = at_;
        if (!Other()) return false;
        // The only one that is looked at and is a number.
        *place = {};
        if (place == &members->upstream_status) *place = {first, at_};
      }
    } while (Take(','));
    return Take('}') && End();
  }

 private:
  // Nothing in JSON is a byte of zero, which stands for the end.
  char Next() const { return at_ < end_ ? *at_ : '\0'; }
  void Space() {
    while (at_ < end_ && *at_ <= ' ' &&
           (*at_ == ' ' || *at_ == '\t' || *at_ == '\r' || *at_ == '\n')) {
      ++at_;
    }
  }
  bool End() {
    Space();
    return at_ == end_;
  }
  bool Take(char c) {
    Space();
    if (Next() != c) return false;
    ++at_;
    return true;
  }
  bool Word(std::string_view word) {
    if (!std::string_view(at_, end_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  bool Digits() {
    const char* const first = at_;
    while (Next() >= '0' && Next() <= '9') ++at_;
    return at_ > first;
  }

  // A number without an exponent, a word, or a list of texts.
  bool Other() {
    switch (Next()) {
      case 't':
        return Word("true");
      case 'f':
        return Word("false");
      case 'n':
        return Word("null");
      case '[':
        return List();
      default:
        return Number();
    }
  }

  bool Number() {
    const char* const first = at_;
    Word("-");
    const char* const whole = at_;
    if (!Digits() || (*whole == '0' && at_ - whole > 1)) return false;
    if (Word(".") && !Digits()) return false;
    return Next() != 'e' && Next() != 'E' && at_ - first <= kLongestNumber;
  }

  bool List() {
    Take('[');
    if (Take(']')) return true;
    do {
      std::string_view text;
      if (!Text(&text)) return false;
    } while (Take(','));
    return Take(']');
  }

  // False when it is no text of JSON.
  bool Text(std::string_view* out) {
    if (!Take('"')) return false;
    const char* const first = at_;
    const char* at = at_;
    while ((at = PlainUntil(at, end_)) < end_) {
      const auto byte = static_cast<unsigned char>(*at);
      if (byte == '"') {
        *out = {first, at};
        at_ = at + 1;
        return true;
      }
      if (byte < 0x80) return byte == '\\' && Unescaped(at, out);
      const std::size_t size = Utf8Size({at, end_});
      if (size == 0) return false;
      at += size;
    }
    return false;
  }

  // The text that begins here, and whose first backslash is at `at`. The scratch has room for all of
  // the line, so what it holds stays where it is.
  bool Unescaped(const char* at, std::string_view* out) {
    const std::size_t start = scratch_->size();
    while (true) {
      at = PlainUntil(at, end_);
      if (at == end_) return false;
      if (static_cast<unsigned char>(*at) >= 0x80) {
        const std::size_t size = Utf8Size({at, end_});
        if (size == 0) return false;
        at += size;
        continue;
      }
      scratch_->append(at_, at);
      at_ = at;
      if (Word("\"")) {
        *out = std::string_view(*scratch_).substr(start);
        return true;
      }
      if (!Word("\\") || !Escape()) return false;
      at = at_;
    }
  }

  bool Escape() {
    const char c = Next();
    if (c == '\0') return false;
    ++at_;
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
    if (end_ - at_ < 4) return false;
    unsigned code = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const int digit = HexDigit(at_[i]);
      if (digit < 0) return false;
      code = code * 16 + static_cast<unsigned>(digit);
    }
    at_ += 4;
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

  const char *at_, *const end_;  // what is left
  std::string* scratch_;
};

// As DigitsAt: what nearly all lines have.
int ThreeDigitsAt(std::string_view text, std::size_t at) {
  const int first = TwoDigitsAt(text, at);
  const unsigned last = static_cast<unsigned char>(text[at + 2]) - unsigned{'0'};
  return first < 0 || last > 9 ? -1 : first * 10 + static_cast<int>(last);
}

// "2026-07-01T12:00:00.123Z", with up to nine digits of the second or none.
bool ReadTime(std::string_view text, LoggedRequest* out) {
  if (text.size() < 20 || text.size() > 30 || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
      text[13] != ':' || text[16] != ':' || text.back() != 'Z') {
    return false;
  }
  const auto time = TimeOf({FourDigitsAt(text, 0), TwoDigitsAt(text, 5), TwoDigitsAt(text, 8),
                            TwoDigitsAt(text, 11), TwoDigitsAt(text, 14), TwoDigitsAt(text, 17)});
  if (!time) return false;
  Duration fraction{0};
  out->whole_seconds = text.size() == 20;
  if (!out->whole_seconds) {
    const std::size_t digits = text.size() - 21;
    std::int64_t nanoseconds = digits == 3 ? ThreeDigitsAt(text, 20) : DigitsAt(text, 20, digits);
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
  const std::string_view status = members.upstream_status;
  if (status.size() == 3) request.upstream_status = std::max(ThreeDigitsAt(status, 0), 0);
}

}  // namespace

bool ReadJsonQuickly(std::string_view line, std::string* scratch, LogLine* out) {
  out->request = {};
  out->request.form = LogForm::kJson;
  scratch->clear();
  scratch->reserve(line.size());  // what is unescaped is never longer
  Members members{{}, {}, &out->request};
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
  Members members{{}, {}, &out->request};
  scratch->reserve(line.size());
  for (const std::string_view name : kTextNames) {
    const std::string text = TextAt(*json, std::string(name).c_str());
    const std::size_t start = scratch->size();
    scratch->append(text);
    *members.Find(name) = std::string_view(*scratch).substr(start);
  }
  const auto status = json->find("upstream_status");
  std::string number;
  if (status != json->end() && status->is_string()) number = status->get<std::string>();
  if (status != json->end() && status->is_number()) number = DumpJson(*status);
  members.upstream_status = number;
  Finish(members, out);
}

}  // namespace spillway
