// SPDX-License-Identifier: MIT
// What the writers of heads have in common: lines, and which fields are between two hops alone. For
// http1_write*.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "proxy/fields.h"
#include "proxy/http1.h"
#include "proxy/pen.h"

namespace spillway {

// A field whose value a parser has checked.
inline void PutParsed(const HeaderField& field, Pen* pen) {
  pen->Line(field.name, field.value);
}

// A value as AppendValue writes it.
inline void PutValue(std::string_view value, Pen* pen) {
  if (IsPlainValue(value)) [[likely]] {
    pen->Put(value);
  } else {
    for (const char c : value) pen->Put(IsValueChar(c) ? c : ' ');
  }
}

inline void PutField(std::string_view name, std::string_view value, Pen* pen) {
  if (IsPlainValue(value)) [[likely]] {
    pen->Line(name, value);
  } else {
    pen->Put(name).Put(": ");
    PutValue(value, pen);
    pen->Put("\r\n");
  }
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
bool ListsNames(std::span<const HeaderField> headers, const FieldKinds& fields);

// Hop-by-hop fields (RFC 9110 7.6.1), which belong to the connection they came on, and those of the
// framing, which are always written anew.
inline constexpr FieldSet kHopByHop = {
    Field::kContentLength,     Field::kTransferEncoding, Field::kConnection,
    Field::kKeepAlive,         Field::kProxyConnection,  Field::kTe,
    Field::kUpgrade,           Field::kHttp2Settings,    Field::kProxyAuthorization,
    Field::kProxyAuthenticate,
};

void PutFraming(const Framing& framing, Pen* pen);

}  // namespace spillway
