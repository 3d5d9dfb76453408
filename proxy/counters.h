// SPDX-License-Identifier: MIT
// What is counted, by whom, and how it is read: each worker writes its own numbers, anyone adds
// them up. A Counter has one writing thread, so adding is a load and a store, no locked
// instruction.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/apdex.h"
#include "proxy/counter.h"
#include "spillway/units.h"

namespace spillway {

// A Prometheus histogram of times: 1 ms .. 10 s, and the rest.
class Histogram {
 public:
  static constexpr std::array<double, 12> kBounds = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                     0.5,   1,     2.5,  5,     10};  // seconds
  void Observe(Duration value);
  std::array<Counter, kBounds.size() + 1> buckets;  // not cumulative
  Counter nanoseconds;                              // the sum
};

// How an exchange ended, as the metric's label says it.
enum class Decision : std::uint8_t {
  kForward,
  kDeny,
  kLimit,
  kChallenge,
  kRedirect,
  kRespond,
  kDrop,
  kBadRequest,     // refused as malformed, or a size or time limit of the client side
  kUpstreamError,  // 502, 503, 504 of our own
  kShed,           // there was no room for it at its pool
  kInternal,       // asked of spillway itself: /.spillway/ paths, Max-Forwards: 0
  kCount,
};
const char* DecisionName(Decision decision);

// One worker's numbers over the life of the process.
struct WorkerCounters {
  std::array<Counter, static_cast<std::size_t>(Decision::kCount)> decisions;
  // Answers to clients: [0] closed without, [1] 1xx .. [5] 5xx
  std::array<Counter, 6> status_classes;
  Counter connections_accepted, connections_open;
  Counter connections_given_up;               // idle ones, whose place another client wanted
  Counter connections_refused;                // without the PROXY header that the listener requires
  Counter connections_over_cap;               // more than one client may have
  Counter tls_full, tls_resumed, tls_failed;  // handshakes
  Counter accept_pauses;                      // descriptors or memory had run out
  Counter bytes_in, bytes_out;                // bodies
  Counter client_aborts, timeouts_client;
  Counter challenges_issued, challenges_passed, challenges_failed;
  Counter protections_begun;
  Counter upstream_connects, upstream_reuses;
  Histogram request_seconds;
};

// One worker's numbers for one pool; kept over reloads by the pool's name.
struct PoolCounters {
  Counter requests, connect_errors, timeouts, resets, protocol_errors, hidden_errors, retries,
      no_server, taken_up;
  std::array<Counter, 6> status_classes;
  Histogram first_byte_seconds;
  Histogram queue_seconds;  // of those that waited for their turn
  Apdex apdex;
};

// One worker's numbers for one rule; kept over reloads by the rule's name.
struct RuleCounters {
  Counter enforced, shadow;
  // Of these, those that a limit of the rule refused, or would have refused.
  Counter over_limit, shadow_over_limit;
};

}  // namespace spillway
