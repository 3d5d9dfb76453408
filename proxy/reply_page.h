// SPDX-License-Identifier: MIT
// What an error answer says: a page for people, a problem document (RFC 9457) for programs. Both
// tell what happened, the request's number and when to try again; neither tells what a rule looks
// for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/mould.h"

namespace spillway {

// Why a request cannot be answered at the moment.
enum class Shortage : std::uint8_t {
  kCapacity,  // more requests than can be borne
  kServers,   // the pool has none: its names have no addresses
  kHealth,    // by the health checks none is well
};

struct Trouble {
  int status = 500;
  std::string_view detail;                  // one sentence; empty: the status's own
  std::string_view request_id;              // plain, as a field's value
  std::string_view rule;                    // a name, or empty
  std::string_view limit;                   // the exceeded limit's name as JSON, or empty
  Shortage shortage = Shortage::kCapacity;  // of a 503
  std::uint64_t retry_seconds = 0;          // 0: not said
};

void AppendHtmlPage(const Trouble& trouble, std::string* out);  // under 2 kB, nothing to load
// Of `mould`, if there is one: request_id and retry_seconds, which are not 0 then, are left blank.
void AppendProblemDocument(const Trouble& trouble, std::string* out, Mould* mould = nullptr);
// What a page tells of a request's id. Our own are random: ten of their digits tell requests apart, and
// can be read out. Any other is told whole.
std::string_view ShortId(std::string_view id);
std::string JsonText(std::string_view text);  // in its quotes

}  // namespace spillway
