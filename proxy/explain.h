// SPDX-License-Identifier: MIT
// `spillway explain`: what would become of a request, and why; or of many, a line each. Nothing is
// sent, and no running spillway is asked.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "spillway/config.h"
#include "spillway/rehearsal.h"
#include "spillway/result.h"
#include "spillway/units.h"

namespace spillway {

// What was typed; empty texts: nothing.
struct ExplainOrder {
  std::string request = {};  // "GET /path?x=1"
  std::string target = {};   // a URL, or a path
  std::string method = {}, user_agent = {}, referer = {}, cookie = {};
  std::string client_address = {}, scheme = {}, protocol = {};
  std::vector<std::string> headers = {};  // "Name: value"
  std::vector<std::string> toggles = {};  // "surge=on"
  bool pass = false;                      // the client has passed every challenge
  bool is_protected = false;              // it is in the middle of something (`protect`)
  std::string country = {}, network = {}, verified_bot = {};  // "DE", "AS64500", "yes"
  std::string at = {};  // "2026-01-31T12:00:00Z", for rules that ask the time
  bool jsonl = false;   // requests come as JSON, a line each
};

// With neither a request nor a target the request is read from `in`, as it would come over a
// connection. Unless the order says when, they come `now`. The error is one of usage.
Result<void> Explain(const ExplainOrder& order, const Config& config, std::uint64_t seed,
                     WallTime now, std::istream& in, std::ostream& out);

// What DNS and the files of addresses are supposed to say; empty texts: nothing.
Result<void> TakeSaid(const std::string& country, const std::string& network,
                      const std::string& verified_bot, SaidOfClient* said);

// A JSON object a line in, one a line out, in order: {"id", "method", "path", "host", "client_ip",
// "headers", "country", "asn", "verified_bot"} to {"id", "action", "rule"}. Each is judged by itself, as if its client had not been here
// before. What is wrong with a line is the `error` of its answer. A line has at most kMostLine bytes.
inline constexpr std::size_t kMostLine = std::size_t{1} << 20;
void ExplainLines(const Config& config, Rehearsal& rehearsal, std::istream& in, std::ostream& out);

}  // namespace spillway
