// SPDX-License-Identifier: MIT
// Scalars of the configuration language, each parsed once into the type that is used. On failure the
// error is reported against the node (what was found, what is legal) and nullopt returned.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rules/yaml.h"
#include "spillway/address.h"
#include "spillway/config.h"
#include "spillway/units.h"

namespace spillway {

std::optional<std::string> ReadText(const yaml::Node& node);  // a scalar, not empty
std::optional<bool> ReadBool(const yaml::Node& node);         // true/false/on/off/yes/no
std::optional<std::uint64_t> ReadInteger(const yaml::Node& node, std::uint64_t low, std::uint64_t high);
// "250ms", "10s", "5m", "2h", "1d", or 0; a number without a unit is an error that says so.
std::optional<Duration> ReadDuration(const yaml::Node& node, Duration low, Duration high);
std::optional<Rate> ReadRate(const yaml::Node& node);         // "100/s", "30/m", "1000/h", "5/10s"
std::optional<Bytes> ReadBytes(const yaml::Node& node, Bytes low, Bytes high);  // "4KiB", "1MB", "100"
std::optional<std::uint32_t> ReadPercent(const yaml::Node& node);               // "20%", 0..100
std::optional<SocketAddress> ReadSocketAddress(const yaml::Node& node, bool listening);
// Without a node, for the environment: the error as text.
Result<SocketAddress> ParseSocketAddress(std::string_view text, bool listening);
Result<Duration> ParseDuration(std::string_view text);
std::string FormatDuration(Duration duration);                // "1m30s"

}  // namespace spillway
