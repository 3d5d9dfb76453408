// SPDX-License-Identifier: MIT
#include "proxy/deadline_fields.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "proxy/fields.h"

namespace spillway {
namespace {

constexpr Duration kLongest = std::chrono::hours(1);

std::optional<Duration> Bounded(std::uint64_t count, std::int64_t unit) {
  if (count > static_cast<std::uint64_t>(kLongest.count() / unit)) return std::nullopt;
  return Duration(static_cast<std::int64_t>(count) * unit);
}

std::optional<Duration> GrpcTimeout(std::string_view text) {
  constexpr std::pair<char, std::int64_t> kUnits[] = {
      {'H', 3'600'000'000'000}, {'M', 60'000'000'000}, {'S', 1'000'000'000},
      {'m', 1'000'000},         {'u', 1'000},          {'n', 1}};
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  const auto count = ParseDecimal(text.substr(0, text.size() - 1));
  for (const auto& [unit, nanoseconds] : kUnits) {
    if (unit == text.back() && count) return Bounded(*count, nanoseconds);
  }
  return std::nullopt;
}

// A number with at most three digits behind its point, in thousandths.
std::optional<std::uint64_t> Thousandths(std::string_view text) {
  const std::size_t point = text.find('.');
  const auto whole = ParseDecimal(text.substr(0, point));
  if (!whole || *whole > 1'000'000'000) return std::nullopt;
  if (point == std::string_view::npos) return *whole * 1000;
  const std::string_view digits = text.substr(point + 1);
  const auto part = ParseDecimal(digits);
  if (!part || digits.size() > 3) return std::nullopt;
  constexpr std::uint64_t kScale[] = {1000, 100, 10, 1};
  return *whole * 1000 + *part * kScale[digits.size()];
}

std::optional<Duration> PlainTimeout(std::string_view text) {
  const bool milliseconds = text.ends_with("ms");
  if (milliseconds) {
    text.remove_suffix(2);
  } else if (text.ends_with('s')) {
    text.remove_suffix(1);
  }
  const auto number = Thousandths(text);
  if (!number) return std::nullopt;
  return Bounded(*number, milliseconds ? 1'000 : 1'000'000);
}

}  // namespace

std::optional<Duration> RequestTimeout(const RequestHead& head) {
  if (const std::string_view grpc = head.Get(Field::kGrpcTimeout); !grpc.empty())
    return GrpcTimeout(grpc);
  const std::string_view plain = head.Get(Field::kXRequestTimeout);
  return plain.empty() ? std::nullopt : PlainTimeout(plain);
}

std::optional<double> ParseShare(std::string_view text) {
  const auto number = Thousandths(text);
  if (!number || *number > 1000) return std::nullopt;
  return static_cast<double>(*number) / 1000;
}

}  // namespace spillway
