// SPDX-License-Identifier: MIT
// One pass, which looks at sixteen bytes at once where the machine can.
#include "proxy/http1_plain.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <bit>

#include "proxy/fields.h"
#include "spillway/text.h"

namespace spillway {
namespace {

// Ends a value, or can't stand in one; a tab can.
bool IsControl(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// The first colon from `at` on, or `end`.
inline const char* FindColon(const char* at, const char* end) {
#ifdef __SSE2__
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const int found = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(':')));
    if (found != 0) return at + std::countr_zero(static_cast<unsigned>(found));
  }
#endif
  while (at != end && *at != ':') ++at;
  return at;
}

// The first control character from `at` on, or `end`.
inline const char* FindControl(const char* at, const char* end) {
#ifdef __SSE2__
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    const __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    const int found = _mm_movemask_epi8(_mm_or_si128(low, del));
    if (found != 0) return at + std::countr_zero(static_cast<unsigned>(found));
  }
#endif
  while (at != end && !IsControl(*at)) ++at;
  return at;
}

// Where the value ends that begins at `at`: its CR, if LF follows and all before may stand in a
// value; else null.
inline const char* EndOfValue(const char* at, const char* end) {
  for (;;) {
    at = FindControl(at, end);
    if (end - at < 2) return nullptr;
    if (*at != '\t') break;
    ++at;
  }
  return at[0] == '\r' && at[1] == '\n' ? at : nullptr;
}

bool IsBlank(char c) {
  return c == ' ' || c == '\t';
}

constexpr std::size_t kSafeDigits = 18;  // of a number that fits into 63 bits

// llhttp reads this number too, and must not find fault with it.
bool IsPlainLength(std::string_view value) {
  if (value.empty() || value.size() > kSafeDigits) return false;
  for (const char c : value) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

// Whether llhttp has nothing to say about such a field but that it is one.
template <typename Head>
bool IsPlainField(Field field, std::string_view value, const Head& head) {
  switch (field) {
    case Field::kContentLength:
      return !head.fields.Has(Field::kContentLength) && IsPlainLength(value);
    case Field::kTransferEncoding:
    case Field::kUpgrade:
      return false;
    default:
      return true;
  }
}

// The lines of a head from `at` to its empty line; behind that, or null when they are not plain.
template <typename Head>
const char* ReadLines(const char* at, const char* end, std::size_t most, Head* head) {
  head->headers.clear();
  head->fields.clear();
  for (;;) {
    if (end - at < 2) return nullptr;
    if (at[0] == '\r') return at[1] == '\n' ? at + 2 : nullptr;
    const char* const colon = FindColon(at, end);
    const std::string_view name(at, static_cast<std::size_t>(colon - at));
    if (colon == end || head->headers.size() == most) return nullptr;
    const Field field = ClassifyField(name);
    // A name that is known is well formed.
    if (field == Field::kOther && !IsToken(name)) return nullptr;
    const char* const line_end = EndOfValue(colon + 1, end);
    if (line_end == nullptr) return nullptr;
    const char *first = colon + 1, *last = line_end;
    while (first != last && IsBlank(*first)) ++first;
    while (last != first && IsBlank(last[-1])) --last;
    // llhttp takes some white space behind some values, and not all of it.
    const std::string_view as_sent(first, static_cast<std::size_t>(line_end - first));
    if (!IsPlainField(field, as_sent, *head)) return nullptr;
    const std::string_view value(first, static_cast<std::size_t>(last - first));
    head->headers.push_back({name, value});
    head->fields.push_back(field);
    at = line_end + 2;
  }
}

// How many bytes the method and its space have; 0: none of the common ones. llhttp knows them all.
std::size_t PlainMethod(std::string_view bytes) {
  for (const std::string_view method :
       {"GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "PATCH "}) {
    if (bytes.starts_with(method)) return method.size();
  }
  return 0;
}

bool IsTargetChar(char c) {
  return c > 0x20 && c < 0x7f && c != '#';
}

}  // namespace

std::size_t ReadPlainHead(std::string_view bytes, const MessageLimits& limits, RequestHead* head) {
  constexpr std::string_view kVersion = " HTTP/1.1\r\n";
  const std::size_t begin = PlainMethod(bytes);
  if (begin == 0 || bytes.size() == begin || bytes[begin] != '/') return 0;
  std::size_t at = begin;
  while (at != bytes.size() && IsTargetChar(bytes[at])) ++at;
  if (at - begin > limits.target || !bytes.substr(at).starts_with(kVersion)) return 0;
  const char* const end = ReadLines(bytes.data() + at + kVersion.size(),
                                    bytes.data() + bytes.size(), limits.headers, head);
  if (end == nullptr) return 0;
  head->minor = 1;
  head->method = bytes.substr(0, begin - 1);
  head->target = bytes.substr(begin, at - begin);
  return static_cast<std::size_t>(end - bytes.data());
}

std::size_t ReadPlainHead(std::string_view bytes, const MessageLimits& limits, ResponseHead* head) {
  //  0        9  12
  //  HTTP/1.1 200 OK CR LF
  constexpr std::size_t kReason = 13;
  if (bytes.size() < kReason || !bytes.starts_with("HTTP/1.1 ")) return 0;
  const auto digit = [bytes](std::size_t i) { return static_cast<unsigned>(bytes[i] - '0'); };
  const bool plain = digit(9) >= 2 && digit(9) <= 5 && digit(10) <= 9 && digit(11) <= 9;
  if (!plain || bytes[kReason - 1] != ' ') return 0;
  const char *const reason = bytes.data() + kReason, *const all = bytes.data() + bytes.size();
  const char* const line_end = EndOfValue(reason, all);
  if (line_end == nullptr) return 0;
  const char* const end = ReadLines(line_end + 2, all, limits.headers, head);
  if (end == nullptr) return 0;
  head->minor = 1;
  head->status = static_cast<int>(digit(9) * 100 + digit(10) * 10 + digit(11));
  head->reason = {reason, static_cast<std::size_t>(line_end - reason)};
  return static_cast<std::size_t>(end - bytes.data());
}

}  // namespace spillway
