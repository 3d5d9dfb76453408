// SPDX-License-Identifier: MIT
// The request target, taken apart and normalised, so that no rule can be walked around by spelling.
// Matching uses the normalised path; what is forwarded upstream is the target as it came.
#pragma once

#include <string>
#include <string_view>

#include "spillway/result.h"

namespace spillway {

struct Target {
  std::string_view authority;  // absolute form only: "example.com:8080"; borrowed from the input
  std::string_view scheme;     // absolute form only
  std::string_view raw_path;   // as received, borrowed: "/a/../b"; "*" for OPTIONS *
  std::string_view query;      // as received, without '?'; borrowed
};

// Takes apart origin form ("/a?b"), absolute form ("http://h/a?b") and "*". Refuses fragments,
// white space, control and 8-bit bytes, an empty target, and absolute forms whose scheme is not
// http or https.
Result<Target> ParseTarget(std::string_view target);

// Appends to *out (cleared first) the form that rules match: percent-encoded octets decoded once
// (%2F to "/" included), "\" as "/", dot segments removed (RFC 3986 5.2.4), doubled slashes made
// one, ";parameters" kept. A "%" not followed by two hex digits stays. NUL is refused. Never longer
// than the input (plus one byte). The exact rules stand in rules/target.cc and docs/reference.md.
Result<void> NormalisePath(std::string_view raw_path, std::string* out);

// Refuses a path that servers read in different ways, so that one may route it where a rule's normal
// form does not stand: encoded slashes, backslashes in either form, dot segments, doubled slashes,
// parameters (";x"), control characters, octets encoded twice, and a "%" that begins no octet. A
// path that passes is its own normal form but for octets decoded.
Result<void> RequireOneReading(std::string_view raw_path);

// The host in lower case without port, brackets and trailing dot, into *out. Refuses what is not a
// host (RFC 3986 reg-name or IP literal) or has a bad port.
Result<void> NormaliseHost(std::string_view host, std::string* out);

}  // namespace spillway
