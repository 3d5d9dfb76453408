// SPDX-License-Identifier: MIT
// What a message says of time and load in fields that no RFC defines. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "proxy/http1.h"
#include "spillway/units.h"

namespace spillway {

// How long the client will wait: grpc-timeout (of gRPC's protocol over HTTP/2: up to eight digits and
// a unit of H M S m u n), or X-Request-Timeout in seconds ("2.5") or with ms or s behind them.
// Nothing when it says nothing that can be read, or more than an hour.
std::optional<Duration> RequestTimeout(const RequestHead& head);

// "0.92": a number from 0 to 1, of at most three digits behind the point.
std::optional<double> ParseShare(std::string_view text);

}  // namespace spillway
