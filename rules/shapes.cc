// SPDX-License-Identifier: MIT
// What scalars look like, for the schema: a regular expression for each word of the type column, in
// the part of their language that JSON Schema's and RE2's have in common. The parsers of
// rules/scalars.cc and its neighbours decide; a test holds both against the same texts. A pattern
// may be wider than its parser, never narrower.
#include <initializer_list>

#include "rules/scalars.h"

namespace spillway {
namespace {

using Scalar = Shape::Scalar;

// A plain run of digits, without a leading zero.
constexpr std::string_view kNumber = "(0|[1-9][0-9]*)";
constexpr std::string_view kName = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$";
constexpr std::string_view kNameHelp =
    "1 to 64 letters, digits, '-' and '_'; begins with a letter or digit";
constexpr std::string_view kTokenCharacter = "[!#$%&'*+.^_`|~0-9A-Za-z-]";
constexpr std::string_view kUnix = "unix:/.*";
constexpr std::string_view kIpV6 = R"(\[[0-9A-Fa-f:.]+\])";

std::string Joined(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (std::string_view part : parts) text += part;
  return text;
}

// "(d|h|m|s|ms|us|ns)"
std::string AnyOf(const std::vector<std::string_view>& words) {
  std::string pattern;
  for (std::string_view word : words) pattern += Joined({pattern.empty() ? "(" : "|", word});
  return pattern + ")";
}

}  // namespace

std::vector<Shape> ListShapes() {
  const std::string units = AnyOf(DurationUnits()), sizes = AnyOf(SizeUnits());
  std::vector<Shape> shapes;
  const auto add = [&](std::string_view word, std::initializer_list<std::string_view> pattern,
                       std::string_view text, Scalar scalar = Scalar::kText) {
    shapes.push_back({std::string(word), Joined(pattern), std::string(text), scalar});
  };
  add("integer", {"^", kNumber, "$"}, "a whole number", Scalar::kTextOrInteger);
  add("duration", {"^(", kNumber, units, ")+$"}, kDurationHelp);
  add("size", {"^", kNumber, sizes, "$"}, kBytesHelp, Scalar::kTextOrInteger);
  add("rate", {"^[1-9][0-9]*/", kNumber, "?", units, "(", kNumber, units, ")*$"}, kRateHelp);
  add("percent", {"^(0|[1-9][0-9]?|100)%$"}, "a share such as 20%");
  add("share", {"^[0-9]{1,3}([.][0-9]{1,3})?%$"}, "a share such as 5% or 0.1%");
  add("time of day", {"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"},
      "such as \"08:30\", up to \"24:00\"", Scalar::kTextOrInteger);
  add("time zone", {"^(UTC|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"},
      "UTC, or an offset from it such as \"+02:00\"", Scalar::kTextOrInteger);
  add("day", {"^(mon|tue|wed|thu|fri|sat|sun)$"}, "mon, tue, wed, thu, fri, sat or sun");
  add("day and time", {"^(mon|tue|wed|thu|fri|sat|sun) ([01][0-9]|2[0-3]):[0-5][0-9]$"},
      "a day and a time of day, such as sat 23:30");
  add("country code", {"^[A-Za-z]{2}$"}, "two letters (ISO 3166), such as DE or US", Scalar::kAny);
  add("AS number", {"^(AS)?[1-9][0-9]{0,9}$"}, "the number of a network, such as 64500 or AS64500",
      Scalar::kTextOrInteger);
  add("status", {"^([2-5][0-9][0-9]|[2-5]xx)$"}, "a status such as 404, or a class such as 5xx",
      Scalar::kTextOrInteger);
  add("name", {kName}, kNameHelp, Scalar::kAny);
  add("word", {kName}, kNameHelp, Scalar::kAny);
  add("path", {"^."}, "the path of a file; a relative one begins where this file is", Scalar::kAny);
  add("pattern", {"^."}, "the path of a file, or a shell pattern such as rules.d/*.yaml",
      Scalar::kAny);
  add("text", {R"([\s\S])"}, "a text that is not empty", Scalar::kAny);
  add("value", {}, "a text", Scalar::kAny);
  add("$list", {"^[$]"}, "a list by its name, such as $office; $$ at the start is a plain $");
  add("listen address", {"^(", kUnix, "|(", kIpV6, "|[0-9.]*):(0|[1-9][0-9]{0,4}))$"},
      "where to listen: ':8080', '127.0.0.1:8080', '[::1]:8080' or 'unix:/path'");
  add("server address",
      {"^(", kUnix, "|(", kIpV6, "|[A-Za-z0-9_][A-Za-z0-9_.-]*):[1-9][0-9]{0,4})$"},
      "where a server listens: 'host:port', '10.0.0.5:3000', '[2001:db8::1]:3000' or 'unix:/path'");
  add("address range", {"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"},
      "an address or a range, such as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32");
  add("IP address", {"^[0-9A-Fa-f:.]+$"}, "such as 192.0.2.1 or 2001:db8::1");
  add("name server", {"^([0-9A-Fa-f:.]+|", kIpV6, ":[1-9][0-9]{0,4})$"},
      "such as 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:53");
  add("host name", {"^[A-Za-z0-9_.-]{1,254}$"}, "such as app.example.com", Scalar::kAny);
  add("host", {R"(^[A-Za-z0-9._:\[\]-]{1,255}$)"},
      "such as app.example.com or app.example.com:8080", Scalar::kAny);
  add("header name", {"^", kTokenCharacter, "+$"}, "the name of a header field", Scalar::kAny);
  add("cookie name", {"^", kTokenCharacter, "{1,64}$"}, "the name of a cookie", Scalar::kAny);
  add("path of a URL", {"^/[!-\"$-~]*$"}, "such as /healthz");
  add("request path", {"^(/|[*]$)"}, "the path of a request, in its normal form; begins with '/'");
  add("URL or path of this site", {R"(^(/([^/\\]|$)|[Hh][Tt][Tt][Pp][Ss]?://[^/?]))"},
      "such as https://example.com/ or /new");
  return shapes;
}

}  // namespace spillway
