// SPDX-License-Identifier: MIT
// Header field grammar and the table that tells fields apart. A name's length and both its ends say
// which of the known names alone it may be, so that telling it costs one comparison.
#include "proxy/fields.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace spillway {
namespace {

struct Known {
  std::string_view name;
  Field field;
};

constexpr Known kKnown[] = {
    {"te", Field::kTe},
    {"via", Field::kVia},
    {"host", Field::kHost},
    {"date", Field::kDate},
    {"range", Field::kRange},
    {"accept", Field::kAccept},
    {"cookie", Field::kCookie},
    {"expect", Field::kExpect},
    {"origin", Field::kOrigin},
    {"server", Field::kServer},
    {"referer", Field::kReferer},
    {"trailer", Field::kTrailer},
    {"upgrade", Field::kUpgrade},
    {"if-range", Field::kIfRange},
    {"forwarded", Field::kForwarded},
    {"x-real-ip", Field::kXRealIp},
    {"connection", Field::kConnection},
    {"keep-alive", Field::kKeepAlive},
    {"user-agent", Field::kUserAgent},
    {"retry-after", Field::kRetryAfter},
    {"content-type", Field::kContentType},
    {"max-forwards", Field::kMaxForwards},
    {"x-request-id", Field::kXRequestId},
    {"grpc-timeout", Field::kGrpcTimeout},
    {"authorization", Field::kAuthorization},
    {"cache-control", Field::kCacheControl},
    {"content-length", Field::kContentLength},
    {"http2-settings", Field::kHttp2Settings},
    {"sec-fetch-dest", Field::kSecFetchDest},
    {"sec-fetch-mode", Field::kSecFetchMode},
    {"accept-language", Field::kAcceptLanguage},
    {"x-forwarded-for", Field::kXForwardedFor},
    {"proxy-connection", Field::kProxyConnection},
    {"spillway-protect", Field::kSpillwayProtect},
    {"x-forwarded-host", Field::kXForwardedHost},
    {"spillway-pressure", Field::kSpillwayPressure},
    {"transfer-encoding", Field::kTransferEncoding},
    {"x-forwarded-proto", Field::kXForwardedProto},
    {"x-request-timeout", Field::kXRequestTimeout},
    {"proxy-authenticate", Field::kProxyAuthenticate},
    {"proxy-authorization", Field::kProxyAuthorization},
};

// Of a name's length, first and last character, with letters in either case: no two known names
// agree in all three. REQUIRES: not empty.
constexpr std::uint32_t EndsOf(std::string_view name) {
  const auto small = [](char c) { return static_cast<std::uint32_t>((c | 0x20) & 0xff); };
  return static_cast<std::uint32_t>(name.size()) | small(name.front()) << 8 |
         small(name.back()) << 16;
}

constexpr unsigned kSlotBits = 8;
constexpr std::size_t SlotOf(std::uint32_t ends, std::uint32_t factor) {
  return ends * factor >> (32 - kSlotBits);
}

// slots[SlotOf(...)]: the one known name whose slot it is, or the first one.
struct Slots {
  std::uint32_t factor = 0x9e3779b1;
  std::array<std::uint8_t, std::size_t{1} << kSlotBits> known{};
};

// The first factor of a row that gives each known name a slot of its own; a few dozen are tried.
constexpr Slots kSlots = [] {
  Slots slots;
  for (;; slots.factor += 2) {
    std::array<bool, std::size_t{1} << kSlotBits> taken{};
    slots.known = {};
    bool fits = true;
    for (std::size_t i = 0; i < std::size(kKnown) && fits; ++i) {
      const std::size_t slot = SlotOf(EndsOf(kKnown[i].name), slots.factor);
      fits = !taken[slot];
      taken[slot] = true;
      slots.known[slot] = static_cast<std::uint8_t>(i);
    }
    if (fits) return slots;
  }
}();

// As EqualsIgnoreCase, of texts of one length, where one is in lower case already.
bool EqualsLower(const char* text, std::string_view lower) {
  const std::size_t size = lower.size();
  if (size >= 8) {
    for (std::size_t i = 0; i + 8 < size; i += 8) {
      if (LowerAll(LoadBytes<8>(text + i)) != LoadBytes<8>(lower.data() + i)) return false;
    }
    return LowerAll(LoadBytes<8>(text + size - 8)) == LoadBytes<8>(lower.data() + size - 8);
  }
  if (size >= 4) {
    const auto both_ends = [size](const char* at) {
      return LoadBytes<4>(at) | LoadBytes<4>(at + size - 4) << 32;
    };
    return LowerAll(both_ends(text)) == both_ends(lower.data());
  }
  return EqualsIgnoreCase({text, size}, lower);
}

constexpr std::size_t kLongest =
    std::max_element(std::begin(kKnown), std::end(kKnown), [](const Known& a, const Known& b) {
      return a.name.size() < b.name.size();
    })->name.size();

// Whether any of eight bytes is a control character (but for tab, which the caller looks at) or
// DEL. May say yes where there is none, never no where there is one.
bool MayHaveControl(std::uint64_t bytes) {
  constexpr std::uint64_t kEach = 0x0101010101010101;
  const std::uint64_t below_space = (bytes - 0x20 * kEach) & ~bytes;
  const std::uint64_t no_del = bytes ^ (0x7f * kEach);
  const std::uint64_t del = (no_del - kEach) & ~no_del;
  return ((below_space | del) & (0x80 * kEach)) != 0;
}

}  // namespace

bool IsPlainValue(std::string_view text) {
  if (text.size() < 8) {
    for (const char c : text) {
      if (!IsValueChar(c)) return false;
    }
    return true;
  }
  for (std::size_t i = 0; i + 8 < text.size(); i += 8) {
    if (MayHaveControl(LoadBytes<8>(text.data() + i))) return false;
  }
  return !MayHaveControl(LoadBytes<8>(text.data() + text.size() - 8));
}

void AppendValue(std::string_view text, std::string* out) {
  const auto start = static_cast<std::ptrdiff_t>(out->size());
  out->append(text);
  if (IsPlainValue(text)) return;
  std::replace_if(
      out->begin() + start, out->end(), [](char c) { return !IsValueChar(c); }, ' ');
}

std::optional<std::string_view> NextItem(std::string_view* list) {
  while (!list->empty()) {
    const std::size_t comma = list->find(',');
    const std::string_view item = TrimSpace(list->substr(0, comma));
    list->remove_prefix(comma == std::string_view::npos ? list->size() : comma + 1);
    if (!item.empty()) return item;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> ParseDecimal(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (value > (UINT64_MAX - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

bool ConnectionLists(std::span<const HeaderField> headers, const FieldKinds& fields,
                     std::string_view name) {
  for (std::size_t i = 0; i < headers.size(); ++i) {
    if (fields[i] != Field::kConnection) continue;
    std::string_view rest = headers[i].value;
    while (const auto item = NextItem(&rest)) {
      if (EqualsIgnoreCase(*item, name)) return true;
    }
  }
  return false;
}

Field ClassifyField(std::string_view name) {
  if (name.empty()) return Field::kOther;
  const Known& known = kKnown[kSlots.known[SlotOf(EndsOf(name), kSlots.factor)]];
  const bool same = name.size() == known.name.size() && EqualsLower(name.data(), known.name);
  return same ? known.field : Field::kOther;
}

Field ClassifyLoosely(std::string_view name) {
  if (name.size() > kLongest) return Field::kOther;
  char dashed[kLongest];
  std::replace_copy_if(
      name.begin(), name.end(), dashed, [](char c) { return c == '_' || c == '.'; }, '-');
  return ClassifyField({dashed, name.size()});
}

}  // namespace spillway
