// SPDX-License-Identifier: MIT
// Which bucket a time falls into, and what the decisions are called in metrics.
#include "proxy/counters.h"

#include <algorithm>

namespace spillway {
namespace {

// The bounds as whole nanoseconds, so that observing is integer comparison only.
constexpr auto kBoundsNanos = [] {
  std::array<std::int64_t, Histogram::kBounds.size()> nanos{};
  for (std::size_t i = 0; i < nanos.size(); ++i) {
    // std::lround is not constexpr before C++23; the bounds are positive and far below 2^53.
    // NOLINTNEXTLINE(bugprone-incorrect-roundings)
    nanos[i] = static_cast<std::int64_t>(Histogram::kBounds[i] * 1e9 + 0.5);
  }
  return nanos;
}();

}  // namespace

void Histogram::Observe(Duration value) {
  // A clock read on another thread may be a hair ahead; a negative time would take from the sum.
  const std::int64_t nanos = std::max<std::int64_t>(value.count(), 0);
  // Bounds are inclusive, as Prometheus' "le". Most times are small: a linear walk ends soon.
  std::size_t bucket = 0;
  while (bucket < kBoundsNanos.size() && nanos > kBoundsNanos[bucket]) ++bucket;
  buckets[bucket].Add();
  nanoseconds.Add(static_cast<std::uint64_t>(nanos));
}

const char* DecisionName(Decision decision) {
  switch (decision) {
    case Decision::kForward:
      return "forward";
    case Decision::kDeny:
      return "deny";
    case Decision::kLimit:
      return "limit";
    case Decision::kChallenge:
      return "challenge";
    case Decision::kRedirect:
      return "redirect";
    case Decision::kRespond:
      return "respond";
    case Decision::kDrop:
      return "drop";
    case Decision::kBadRequest:
      return "bad_request";
    case Decision::kUpstreamError:
      return "upstream_error";
    case Decision::kShed:
      return "shed";
    case Decision::kInternal:
      return "internal";
    case Decision::kCount:
      break;
  }
  return "unknown";
}

}  // namespace spillway
