// SPDX-License-Identifier: MIT
// The access log: one line an exchange, JSON or combined, written by a thread of its own. A worker
// formats into its own bounded ring and never waits: when the ring is full the line is dropped and
// counted. Lines reach the system within 50 ms, sooner when a ring is half full. Fields are cut at
// 8 KiB.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "spillway/config.h"
#include "spillway/units.h"

namespace spillway {

// All views are borrowed for the call.
struct AccessRecord {
  WallTime time;            // when the head was complete
  std::string_view id;      // request id
  std::string_view client;  // address text
  std::string_view peer;
  std::string_view method, host, path, query, protocol, scheme;
  std::string_view ja4;                       // empty: no TLS
  int status = 0;                             // 0: closed without an answer
  std::uint64_t bytes_in = 0, bytes_out = 0;  // bodies
  Duration duration{0};
  Duration first_byte{-1};          // negative: none
  std::string_view pool, upstream;  // empty: not forwarded
  int upstream_status = 0;
  std::uint32_t tries = 0;
  std::string_view decision;       // DecisionName (proxy/counters.h)
  std::string_view traffic_class;  // of what asked for a place at a pool that admits
  Duration queued{0};              // it waited for its turn
  bool is_protected = false;       // its visitor is in the middle of something
  Duration held{0};                // it waited for a server to come back
  std::string_view rule;
  std::span<const std::string_view> tags;
  std::string_view limit;  // name of the tightest limit
  std::uint64_t limit_remaining = 0;
  std::string_view user_agent, referer;
  std::string_view end;   // "" or why it ended early: "client left", "upstream timeout", ...
  std::string_view step;  // and at which step (StepName), if so
  std::uint64_t generation = 0;
};

class AccessLog {
 public:
  // One writing side for each worker. A worker's ring holds 1 MiB of lines.
  explicit AccessLog(std::size_t workers);
  // Writes what is left, then ends the thread. REQUIRES: SIGPIPE is ignored (loop.h).
  ~AccessLog();

  // Opens what `config` says (at start and on reload; the same path is opened anew, for log
  // rotation). When it returns the old file is let go of. On error the log goes on as it was.
  Result<void> Open(const AccessLogConfig& config);
  bool enabled() const;
  // REQUIRES: each worker index is used by one thread at a time.
  void Write(std::size_t worker, const AccessRecord& record);
  std::uint64_t dropped() const;
  // Waits until all that was written before is with the system; not for workers. Gives up, as the
  // destructor does, when the reader of a pipe has taken nothing for two seconds.
  void Flush();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One line with its newline, appended to *out. For tests and the log's own use. JSON leaves out
// what is empty; combined has "-" there, status 000 for an exchange without an answer, and \xNN
// escapes.
void FormatJson(const AccessRecord& record, bool query, std::string* out);
void FormatCombined(const AccessRecord& record, bool query, std::string* out);

}  // namespace spillway
