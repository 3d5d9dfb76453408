// SPDX-License-Identifier: MIT
#include "rules/meant.h"

#include <algorithm>

#include "rules/scalars.h"

namespace spillway {
namespace {

bool IsNumber(std::string_view text) {
  return text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "1.5", which is too much for a fraction: "1.5%".
std::string OfPercent(std::string_view text) {
  const std::size_t point = text.find('.');
  const Result<std::uint64_t> percent = ParseInteger(text.substr(0, point));
  const bool legal = percent && *percent < 100 && text.size() - point <= 4;
  return legal ? std::string(text) + "%" : std::string();
}

// A share in percent; empty: that would be none. "0.5": "50%"; "0.125": "12.5%", or nothing
// where only whole percents are taken; "50": "50%".
std::string InPercent(std::string_view text, bool whole) {
  const std::size_t point = text.find('.');
  if (point == std::string_view::npos) {
    const Result<std::uint64_t> bare = ParseInteger(text);
    return bare && *bare >= 1 && *bare <= 100 ? std::string(text) + "%" : std::string();
  }
  std::string digits(text.substr(0, point));
  std::string fraction(text.substr(point + 1));
  if (!IsNumber(digits) || !IsNumber(fraction) || fraction.empty()) return {};
  fraction.append(fraction.size() < 2 ? 1 : 0, '0');
  digits += fraction.substr(0, 2);
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
  fraction.erase(0, 2);
  while (fraction.ends_with('0')) fraction.pop_back();
  const Result<std::uint64_t> percent = ParseInteger(digits);
  const bool fits = percent && (*percent < 100 || (*percent == 100 && fraction.empty()));
  const bool nothing = percent && *percent == 0 && fraction.empty();
  if (!fits && !whole) return OfPercent(text);
  if (!fits || nothing || (whole && !fraction.empty())) return {};
  return digits + (fraction.empty() ? "" : ".") + fraction + "%";
}

}  // namespace

std::string MeantShare(std::string_view text, bool whole) {
  const std::string meant = InPercent(text, whole);
  if (!meant.empty()) return "; did you mean '" + meant + "'?";
  return text.find('.') == std::string_view::npos || text.ends_with('%')
             ? std::string()
             : std::string("; shares are written in ") + (whole ? "whole " : "") + "percent";
}

std::string UnknownIn(const yaml::Node& map, std::string_view what, std::string_view found,
                      std::vector<std::string> legal) {
  const std::vector<std::string> free = map.Unused(std::move(legal));
  const std::string text = found.empty()
                               ? "there is no name before this ':'"
                               : "unknown " + std::string(what) + " " + yaml::Quote(found);
  return text + (free.empty() ? "; all that may stand here does already"
                              : yaml::ExpectedOneOf(found, free));
}

std::string UnknownName(std::string_view what, std::string_view found,
                        const std::vector<std::string>& known) {
  const std::string kind(what);
  const std::string text = "unknown " + kind + " " + yaml::Quote(found);
  const std::string legal =
      known.empty() ? "; there is no " + kind + " yet: one has its name under `" + kind + "s`"
                    : yaml::ExpectedOneOf(found, known);
  return text + (found == "none" ? "; for no " + kind + " leave it out" : "") + legal;
}

}  // namespace spillway
