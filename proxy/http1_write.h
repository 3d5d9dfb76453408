// SPDX-License-Identifier: MIT
// What the writers of heads have in common: lines, and which fields are between two hops alone. For
// http1_write*.cc.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "proxy/fields.h"
#include "proxy/http1.h"

namespace spillway {

inline void AppendNumber(std::uint64_t value, std::string* out) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out->append(digits, end);
}

// Room for `size` bytes more, to be written by the caller. Each line is grown into once, not once
// for each of its parts.
inline char* Grow(std::string* out, std::size_t size) {
  const std::size_t before = out->size();
  out->resize(before + size);
  return out->data() + before;
}

inline char* Copy(std::string_view text, char* to) {
  if (!text.empty()) std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

inline void AppendParsed(const HeaderField& field, std::string* out) {
  char* to = Grow(out, field.name.size() + field.value.size() + 4);
  to = Copy(field.name, to);
  to = Copy(": ", to);
  to = Copy(field.value, to);
  Copy("\r\n", to);
}

inline void AppendField(std::string_view name, std::string_view value, std::string* out) {
  out->append(name).append(": ");
  AppendValue(value, out);
  out->append("\r\n");
}

// What a rule may not set: the connection and the framing are the proxy's to say.
bool Settable(const HeaderToSet& field);

inline bool IsSet(std::span<const HeaderToSet> set, std::string_view name) {
  return !set.empty() && std::any_of(set.begin(), set.end(), [name](const HeaderToSet& field) {
    return EqualsIgnoreCase(field.name, name) && Settable(field);
  });
}

// Each name once, with the value that was set last.
template <class Emit>
void EachSet(std::span<const HeaderToSet> set, Emit emit) {
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (Settable(set[i]) && !IsSet(set.subspan(i + 1), set[i].name)) {
      emit(set[i].name, set[i].value);
    }
  }
}

// Whether a Connection field lists names beside the usual ones, so that ConnectionLists is worth its
// search.
bool ListsNames(std::span<const HeaderField> headers, std::span<const Field> fields);

// Hop-by-hop fields (RFC 9110 7.6.1), which belong to the connection they came on, and those of the
// framing, which are always written anew.
inline bool IsHopByHop(Field field) {
  switch (field) {
    case Field::kContentLength:
    case Field::kTransferEncoding:
    case Field::kConnection:
    case Field::kKeepAlive:
    case Field::kProxyConnection:
    case Field::kTe:
    case Field::kUpgrade:
    case Field::kHttp2Settings:
    case Field::kProxyAuthorization:
    case Field::kProxyAuthenticate:
      return true;
    default:
      return false;
  }
}

void AppendFraming(const Framing& framing, std::string* out);

}  // namespace spillway
