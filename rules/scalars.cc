// SPDX-License-Identifier: MIT
// Scalars: text to value, with the whole lesson in the error. Every number is a plain run of
// decimal digits: no sign, no fraction, no leading zero, so that nothing can be read in two ways.
#include "rules/scalars.h"

#include <algorithm>
#include <array>
#include <limits>

#include "rules/meant.h"

namespace spillway {
namespace {

// Of what no number holds: where a range is known, that is told in its place.
constexpr std::string_view kTooLarge = " is too large";

struct Unit {
  std::string_view name;
  std::uint64_t count;
};

// Largest first: FormatDuration goes through them in this order.
constexpr Unit kDurationUnits[] = {
    {"d", 86'400'000'000'000},
    {"h", 3'600'000'000'000},
    {"m", 60'000'000'000},
    {"s", 1'000'000'000},
    {"ms", 1'000'000},
    {"us", 1'000},
    {"ns", 1},
};

constexpr std::uint64_t kKi = 1024;
constexpr Unit kByteUnits[] = {
    {"TiB", kKi* kKi* kKi* kKi},
    {"GiB", kKi* kKi* kKi},
    {"MiB", kKi* kKi},
    {"KiB", kKi},
    {"TB", 1'000'000'000'000},
    {"GB", 1'000'000'000},
    {"MB", 1'000'000},
    {"kB", 1'000},
    {"KB", 1'000},
    {"B", 1},
    {"", 1},
};

constexpr std::uint64_t kMaxNanoseconds = std::numeric_limits<std::int64_t>::max();

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
bool IsAlnum(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

Error Expected(std::string_view what, std::string_view found) {
  return {"expected " + std::string(what) + ", found " + yaml::Quote(found)};
}

tl::unexpected<Error> FailExpected(std::string_view what, std::string_view found) {
  return tl::unexpected<Error>(Expected(what, found));
}

// The digits at the front of *text, taken off it; nullopt when there are none, or too many.
std::optional<std::uint64_t> TakeNumber(std::string_view* text) {
  std::size_t size = 0;
  std::uint64_t value = 0;
  while (size < text->size() && IsDigit((*text)[size])) {
    auto digit = static_cast<std::uint64_t>((*text)[size] - '0');
    if (value > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
    ++size;
  }
  bool leading_zero = size > 1 && text->front() == '0';
  if (size == 0 || leading_zero) return std::nullopt;
  text->remove_prefix(size);
  return value;
}

// The unit at the front of *text, as long as letters go, taken off it; null when there is none
// such.
const Unit* TakeUnit(std::string_view* text, const Unit* begin, const Unit* end) {
  std::size_t size = 0;
  while (size < text->size() && IsAlnum((*text)[size]) && !IsDigit((*text)[size])) ++size;
  std::string_view name = text->substr(0, size);
  const Unit* unit = std::find_if(begin, end, [&](const Unit& one) { return one.name == name; });
  if (unit == end) return nullptr;
  text->remove_prefix(size);
  return unit;
}

template <typename T>
std::optional<T> Reported(const yaml::Node& node, const Result<T>& result) {
  if (result) return *result;
  node.Fail(result.error().message);
  return std::nullopt;
}

// The same, with the range of the key, so that the next try is within it.
template <typename T>
std::optional<T> ReportedWith(const yaml::Node& node, const Result<T>& result,
                              const std::string& range) {
  if (result) return *result;
  std::string message = result.error().message;
  const std::size_t found = message.rfind(", found ");
  message.insert(found == std::string::npos ? message.size() : found, range);
  node.Fail(std::move(message));
  return std::nullopt;
}

void FailRange(const yaml::Node& node, const std::string& low, const std::string& high) {
  node.Fail(yaml::Quote(node.text()) + " is out of range; expected " + low + " to " + high);
}

}  // namespace

std::string_view KindName(yaml::NodeKind kind) {
  switch (kind) {
    case yaml::NodeKind::kMissing:
    case yaml::NodeKind::kNull:
      return "nothing";
    case yaml::NodeKind::kScalar:
      return "a single value";
    case yaml::NodeKind::kList:
      return "a list";
    case yaml::NodeKind::kMap:
      return "a map";
  }
  return "nothing";
}

std::string Found(const yaml::Node& node) {
  return node.is_scalar() ? yaml::Quote(node.text()) : std::string(KindName(node.kind()));
}

bool ExpectScalar(const yaml::Node& node, std::string_view what) {
  if (node.is_scalar() && !node.text().empty()) return true;
  std::string_view found = node.is_scalar() ? "nothing" : KindName(node.kind());
  node.Fail("expected " + std::string(what) + ", found " + std::string(found));
  return false;
}

bool IsName(std::string_view text) {
  if (text.empty() || text.size() > 64 || !IsAlnum(text[0])) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlnum(c) || c == '_' || c == '-'; });
}

bool IsHostName(std::string_view text) {
  if (text.size() > 253) return false;
  if (!text.empty() && text.back() == '.') text.remove_suffix(1);
  while (true) {
    std::string_view label = text.substr(0, text.find('.'));
    bool edges =
        !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-';
    if (!edges) return false;
    bool letters = std::all_of(label.begin(), label.end(),
                               [](char c) { return IsAlnum(c) || c == '-' || c == '_'; });
    if (!letters) return false;
    if (label.size() == text.size()) return true;
    text.remove_prefix(label.size() + 1);
  }
}

std::string MeantRange(std::string_view text, std::string_view otherwise) {
  const auto cut = IpRange::ParseCut(text);
  if (!cut) return std::string(otherwise);
  return ", since bits are set beyond its prefix; did you mean '" + cut->ToString() + "'?";
}

std::vector<std::string_view> DurationUnits() {
  std::vector<std::string_view> names;
  for (const Unit& unit : kDurationUnits) names.push_back(unit.name);
  return names;
}

std::vector<std::string_view> SizeUnits() {
  std::vector<std::string_view> names;
  for (const Unit& unit : kByteUnits) names.push_back(unit.name);
  return names;
}

Result<std::uint64_t> ParseInteger(std::string_view text) {
  std::string_view rest = text;
  std::optional<std::uint64_t> value = TakeNumber(&rest);
  if (!value || !rest.empty()) return FailExpected("a whole number", text);
  return *value;
}

Result<std::string> ParseCountry(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
  if (text.size() != 2 || !letter(text[0]) || !letter(text[1])) {
    return Fail(Quote(text) +
                " is not the code of a country; expected two letters (ISO 3166), such as DE or US");
  }
  std::string code(text);
  for (char& c : code) c = static_cast<char>(c & ~0x20);  // capital
  return code;
}

Result<std::uint32_t> ParseNetwork(std::string_view text) {
  const Result<std::uint64_t> number = ParseInteger(text.substr(text.starts_with("AS") ? 2 : 0));
  if (number && *number >= 1 && *number <= 0xffffffff) return static_cast<std::uint32_t>(*number);
  return Fail(Quote(text) +
              " is not the number of a network; expected one such as 64500 or AS64500");
}

Result<Duration> ParseDuration(std::string_view text) {
  std::string_view rest = text;
  std::uint64_t total = 0;
  const Unit* smallest = nullptr;  // units go from large to small: "1m30s", never "30s1m"
  do {
    std::optional<std::uint64_t> number = TakeNumber(&rest);
    if (!number) return FailExpected(kDurationHelp, text);
    if (rest.empty()) {
      return Fail("the unit is missing in " + yaml::Quote(text) + "; expected " +
                  std::string(kDurationHelp));
    }
    const Unit* unit = TakeUnit(&rest, std::begin(kDurationUnits), std::end(kDurationUnits));
    if (unit == nullptr || (smallest != nullptr && unit <= smallest)) {
      return FailExpected(kDurationHelp, text);
    }
    if (*number > (kMaxNanoseconds - total) / unit->count) {
      return Fail(yaml::Quote(text) + std::string(kTooLarge) + "; the longest is 106751d");
    }
    total += *number * unit->count;
    smallest = unit;
  } while (!rest.empty());
  return Duration(static_cast<std::int64_t>(total));
}

std::string FormatDuration(Duration duration) {
  if (duration.count() == 0) return "0s";
  std::string text = duration.count() < 0 ? "-" : "";
  // The negation is made in unsigned arithmetic, where the lowest value has an opposite.
  auto left = static_cast<std::uint64_t>(duration.count());
  if (duration.count() < 0) left = 0 - left;
  for (const Unit& unit : kDurationUnits) {
    std::uint64_t count = left / unit.count;
    left %= unit.count;
    if (count > 0) text += std::to_string(count) + std::string(unit.name);
  }
  return text;
}

Result<Bytes> ParseBytes(std::string_view text) {
  std::string_view rest = text;
  std::optional<std::uint64_t> number = TakeNumber(&rest);
  if (!number) return FailExpected(kBytesHelp, text);
  const Unit* unit = TakeUnit(&rest, std::begin(kByteUnits), std::end(kByteUnits));
  if (unit == nullptr || !rest.empty()) return FailExpected(kBytesHelp, text);
  if (*number > std::numeric_limits<std::uint64_t>::max() / unit->count) {
    return Fail(yaml::Quote(text) + std::string(kTooLarge));
  }
  return Bytes{*number * unit->count};
}

std::string FormatBytes(Bytes bytes) {
  for (const Unit& unit : kByteUnits) {
    if (bytes.count >= unit.count && bytes.count % unit.count == 0 && unit.name.size() != 2) {
      return std::to_string(bytes.count / unit.count) + std::string(unit.name);
    }
  }
  return "0B";
}

Result<Rate> ParseRate(std::string_view text) {
  constexpr std::uint64_t kMaxEvents = 1'000'000'000;
  std::string_view rest = text;
  std::optional<std::uint64_t> events = TakeNumber(&rest);
  if (!events || rest.size() < 2 || rest.front() != '/') return FailExpected(kRateHelp, text);
  rest.remove_prefix(1);
  std::string period(rest);
  if (!IsDigit(period.front())) period.insert(period.begin(), '1');
  Result<Duration> duration = ParseDuration(period);
  if (!duration) return FailExpected(kRateHelp, text);
  bool events_ok = *events >= 1 && *events <= kMaxEvents;
  if (!events_ok || *duration < 1ms || *duration > std::chrono::hours(24)) {
    return Fail(yaml::Quote(text) +
                " is out of range; expected 1 to 1000000000 events, over 1ms to 1d");
  }
  return Rate{*events, *duration};
}

std::optional<std::string> ReadText(const yaml::Node& node) {
  if (!ExpectScalar(node, "text")) return std::nullopt;
  return std::string(node.text());
}

std::optional<bool> ReadBool(const yaml::Node& node) {
  constexpr std::string_view kWhat = "true or false (or on, off, yes, no)";
  if (!ExpectScalar(node, kWhat)) return std::nullopt;
  std::string_view text = node.text();
  if (text == "true" || text == "on" || text == "yes") return true;
  if (text == "false" || text == "off" || text == "no") return false;
  node.Fail(Expected(kWhat, text).message);
  return std::nullopt;
}

std::optional<std::uint64_t> ReadInteger(const yaml::Node& node, std::uint64_t low,
                                         std::uint64_t high) {
  std::string range = "a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  if (!ExpectScalar(node, range)) return std::nullopt;
  Result<std::uint64_t> value = ParseInteger(node.text());
  if (!value) {
    node.Fail(Expected(range, node.text()).message);
    return std::nullopt;
  }
  if (*value < low || *value > high) {
    FailRange(node, std::to_string(low), std::to_string(high));
    return std::nullopt;
  }
  return *value;
}

std::optional<Duration> ReadDuration(const yaml::Node& node, Duration low, Duration high) {
  if (!ExpectScalar(node, kDurationHelp)) return std::nullopt;
  const std::string range = ", from " + FormatDuration(low) + " to " + FormatDuration(high);
  const Result<Duration> read = ParseDuration(node.text());
  if (!read && read.error().message.find(kTooLarge) != std::string::npos) {
    FailRange(node, FormatDuration(low), FormatDuration(high));
    return std::nullopt;
  }
  std::optional<Duration> value = ReportedWith(node, read, range);
  if (value && (*value < low || *value > high)) {
    FailRange(node, FormatDuration(low), FormatDuration(high));
    return std::nullopt;
  }
  return value;
}

std::optional<Rate> ReadRate(const yaml::Node& node) {
  if (!ExpectScalar(node, kRateHelp)) return std::nullopt;
  return Reported(node, ParseRate(node.text()));
}

std::optional<Bytes> ReadBytes(const yaml::Node& node, Bytes low, Bytes high) {
  if (!ExpectScalar(node, kBytesHelp)) return std::nullopt;
  const std::string range = ", from " + FormatBytes(low) + " to " + FormatBytes(high);
  const Result<Bytes> read = ParseBytes(node.text());
  if (!read && read.error().message.find(kTooLarge) != std::string::npos) {
    FailRange(node, FormatBytes(low), FormatBytes(high));
    return std::nullopt;
  }
  std::optional<Bytes> value = ReportedWith(node, read, range);
  if (value && (*value < low || *value > high)) {
    FailRange(node, FormatBytes(low), FormatBytes(high));
    return std::nullopt;
  }
  return value;
}

std::optional<std::uint32_t> ReadName(const yaml::Node& node, std::string_view what,
                                      const std::vector<std::string>& known) {
  if (!ExpectScalar(node, "the name of a " + std::string(what))) return std::nullopt;
  const auto found = std::find(known.begin(), known.end(), node.text());
  if (found != known.end()) return static_cast<std::uint32_t>(found - known.begin());
  node.Fail(UnknownName(what, node.text(), known));
  return std::nullopt;
}

std::optional<std::uint32_t> ReadPercent(const yaml::Node& node) {
  constexpr std::string_view kWhat = "a share from 0% to 100%";
  if (!ExpectScalar(node, kWhat)) return std::nullopt;
  std::string_view rest = node.text();
  std::optional<std::uint64_t> value = TakeNumber(&rest);
  if (!value || rest != "%") {
    bool bare = value.has_value() && rest.empty();
    node.Fail(bare ? "the '%' is missing in " + yaml::Quote(node.text()) + "; expected " +
                         std::string(kWhat)
                   : Expected(kWhat, node.text()).message + MeantShare(node.text(), true));
    return std::nullopt;
  }
  if (*value > 100) {
    FailRange(node, "0%", "100%");
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(*value);
}

std::optional<SocketAddress> ReadSocketAddress(const yaml::Node& node, bool listening) {
  std::string_view what =
      listening ? "an address such as :8080" : "an address such as 10.0.0.5:3000";
  if (!ExpectScalar(node, what)) return std::nullopt;
  return Reported(node, ParseSocketAddress(node.text(), listening));
}

}  // namespace spillway
