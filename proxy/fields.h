// SPDX-License-Identifier: MIT
// The small grammar of header fields (RFC 9110 5.6): comma lists and field values; for tokens and
// white space see spillway/text.h. Pure functions over borrowed views; nothing allocates.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proxy/http1.h"
#include "spillway/text.h"

namespace spillway {

// The most names that the Connection fields of one message may list: it bounds the writers' search.
inline constexpr std::size_t kMaxConnectionOptions = 32;

// HTAB, space, visible ASCII and 8-bit bytes: what a field value may hold on the wire.
inline bool IsValueChar(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}
// Every byte can stand in a value. May say no of one with a tab or an 8-bit byte.
bool IsPlainValue(std::string_view text);
// Appends text that no parser has checked (from configuration, say): what can't stand in a value
// becomes a space, so that it never ends the line early.
void AppendValue(std::string_view text, std::string* out);

// Takes the next item off a comma list, without its white space; nullopt at the list's end. Empty
// items are skipped. Quotes have no meaning here: no list that is read so has quoted items that
// matter.
std::optional<std::string_view> NextItem(std::string_view* list);

// Digits only, no sign, no space, no overflow.
std::optional<std::uint64_t> ParseDecimal(std::string_view text);

// Does a Connection field among these list `name`?
bool ConnectionLists(std::span<const HeaderField> headers, const FieldKinds& fields,
                     std::string_view name);

// What the field would be if "_" and "." were "-". Some application servers read them as one (CGI's
// variable names), so such a twin of a field that the proxy writes must never pass.
Field ClassifyLoosely(std::string_view name);

}  // namespace spillway
