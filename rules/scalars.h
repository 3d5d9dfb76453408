// SPDX-License-Identifier: MIT
// Scalars of the configuration language, each parsed once into the type that is used. On failure
// the error is reported against the node (what was found, what is legal) and nullopt returned.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/yaml.h"
#include "spillway/address.h"
#include "spillway/config.h"
#include "spillway/text.h"
#include "spillway/units.h"

namespace spillway {

// What is expected, in errors and in the schema.
inline constexpr std::string_view kDurationHelp = "a duration such as 250ms, 10s, 5m, 2h or 1d";
inline constexpr std::string_view kBytesHelp = "a size such as 512B, 4KiB or 1MB";
inline constexpr std::string_view kRateHelp = "a rate such as 100/s, 30/m, 1000/h or 5/10s";

std::optional<std::string> ReadText(const yaml::Node& node);  // a scalar, not empty
std::optional<bool> ReadBool(const yaml::Node& node);         // true/false/on/off/yes/no
std::optional<std::uint64_t> ReadInteger(const yaml::Node& node, std::uint64_t low,
                                         std::uint64_t high);
// "250ms", "10s", "5m", "2h", "1d"; a number without a unit is an error that says so, 0 too.
std::optional<Duration> ReadDuration(const yaml::Node& node, Duration low, Duration high);
std::optional<Rate> ReadRate(const yaml::Node& node);  // "100/s", "30/m", "1000/h", "5/10s"
std::optional<Bytes> ReadBytes(const yaml::Node& node, Bytes low,
                               Bytes high);                        // "4KiB", "1MB", "100"
std::optional<std::uint32_t> ReadPercent(const yaml::Node& node);  // "20%", 0..100
std::optional<SocketAddress> ReadSocketAddress(const yaml::Node& node, bool listening);

// The index of the name in `known`: of a toggle, a limit, or whatever `what` is.
std::optional<std::uint32_t> ReadName(const yaml::Node& node, std::string_view what,
                                      const std::vector<std::string>& known);

// The same without a node: the error as text. ParseSocketAddress, ParseDuration and FormatDuration
// are in spillway/config.h, and written in rules/socket_address.cc and rules/scalars.cc.
Result<std::uint64_t> ParseInteger(std::string_view text);
Result<Rate> ParseRate(std::string_view text);
Result<Bytes> ParseBytes(std::string_view text);
std::string FormatBytes(Bytes bytes);  // "64KiB"
// The units that a number may have; "" among those of sizes: none.
std::vector<std::string_view> DurationUnits();
std::vector<std::string_view> SizeUnits();
// A name that the file gives (a pool's, a rule's): [A-Za-z0-9][A-Za-z0-9_-]{0,63}.
bool IsName(std::string_view text);
// A DNS name: labels of letters, digits, '-' and '_', at most 253 bytes.
bool IsHostName(std::string_view text);
// What was meant by something that is no range: for "10.0.0.5/8" that may be 10.0.0.0/8, for what
// is nothing of the kind it is `otherwise`.
std::string MeantRange(std::string_view text, std::string_view otherwise);
// Reports a node that is not a scalar with something in it; true when it is one.
bool ExpectScalar(const yaml::Node& node, std::string_view what);
// "a map", "a list", ...: for messages.
std::string_view KindName(yaml::NodeKind kind);
// The same of a node, but a single value itself, in quotes.
std::string Found(const yaml::Node& node);

}  // namespace spillway
