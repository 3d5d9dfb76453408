// SPDX-License-Identifier: MIT
#include "rules/scalars.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "rules/meant.h"

namespace spillway {
namespace {

using testing::HasSubstr;

// One value, as `k: <text>` would give it to a reader.
struct Value {
  explicit Value(const std::string& text) : document("f.yaml", "k: " + text, &errors) {}
  yaml::Node node() const { return document.root().Get("k"); }
  Diagnostics errors;
  yaml::Document document;
};

TEST(ParseDuration, ReadsEveryUnitAndTheirSum) {
  const std::pair<const char*, Duration> kCases[] = {
      {"0s", 0ns},    {"1ns", 1ns},        {"250us", 250us}, {"250ms", 250ms},
      {"10s", 10s},   {"5m", 5min},        {"2h", 2h},       {"1d", 24h},
      {"1m30s", 90s}, {"1h1ms", 1h + 1ms}, {"90m", 90min},   {"106751d", 24h * 106751},
  };
  for (const auto& [text, duration] : kCases) {
    Result<Duration> read = ParseDuration(text);
    ASSERT_TRUE(read.has_value()) << text;
    EXPECT_EQ(*read, duration) << text;
  }
}

TEST(ParseDuration, RefusesWhatCanBeReadInTwoWays) {
  for (const char* text :
       {"", "s", "1.5s", "-1s", "+1s", "1 s", " 1s", "1s ", "01s", "1S", "1sec", "1s1s", "30s1m",
        "1e3s", "106752d", "106751d24h", "99999999999999999999s", "1m30", "0x1s"}) {
    EXPECT_FALSE(ParseDuration(text).has_value()) << text;
  }
  EXPECT_THAT(ParseDuration("10").error().message, HasSubstr("the unit is missing"));
  EXPECT_THAT(ParseDuration("0").error().message, HasSubstr("the unit is missing"));
}

TEST(FormatDuration, IsReadBackAsTheSame) {
  for (std::int64_t count :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{999}, std::int64_t{1'000'000},
        std::int64_t{90'000'000'000}, std::int64_t{86'400'000'000'001},
        std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(ParseDuration(FormatDuration(Duration(count))).value(), Duration(count)) << count;
  }
  EXPECT_EQ(FormatDuration(90s), "1m30s");
  EXPECT_EQ(FormatDuration(0s), "0s");
  EXPECT_EQ(FormatDuration(-90s), "-1m30s");
  EXPECT_EQ(FormatDuration(Duration::min()).front(), '-');
}

TEST(ParseBytes, ReadsPowersOfTwoAndOfTen) {
  const std::pair<const char*, std::uint64_t> kCases[] = {
      {"0", 0},
      {"100", 100},
      {"1B", 1},
      {"4KiB", 4096},
      {"1kB", 1000},
      {"1KB", 1000},
      {"1MB", 1'000'000},
      {"2MiB", 2u << 20},
      {"1GB", 1'000'000'000},
      {"1GiB", 1u << 30},
      {"1TB", 1'000'000'000'000},
      {"1TiB", std::uint64_t{1} << 40},
      {"16777215TiB", std::uint64_t{16777215} << 40},
  };
  for (const auto& [text, count] : kCases) {
    Result<Bytes> read = ParseBytes(text);
    ASSERT_TRUE(read.has_value()) << text;
    EXPECT_EQ(read->count, count) << text;
    EXPECT_EQ(ParseBytes(FormatBytes(*read))->count, count) << text;
  }
  for (const char* text :
       {"", "B", "-1", "1.5MB", "1 MB", "1mb", "1K", "1KiBB", "1KiB1", "16777216TiB"}) {
    EXPECT_FALSE(ParseBytes(text).has_value()) << text;
  }
}

TEST(ParseRate, ReadsEventsOverTime) {
  EXPECT_EQ(*ParseRate("100/s"), (Rate{100, 1s}));
  EXPECT_EQ(*ParseRate("30/m"), (Rate{30, 1min}));
  EXPECT_EQ(*ParseRate("1000/h"), (Rate{1000, 1h}));
  EXPECT_EQ(*ParseRate("1/d"), (Rate{1, 24h}));
  EXPECT_EQ(*ParseRate("5/10s"), (Rate{5, 10s}));
  EXPECT_EQ(*ParseRate("5/1m30s"), (Rate{5, 90s}));
  for (const char* text : {"", "10", "10/", "/s", "10/0s", "0/s", "10/2d", "1000000001/s", "10/s/s",
                           "10 /s", "-1/s", "1.5/s", "10/ s", "10/S", "10/10"}) {
    EXPECT_FALSE(ParseRate(text).has_value()) << text;
  }
}

TEST(ParseInteger, ReadsDigitsOnly) {
  EXPECT_EQ(*ParseInteger("0"), 0u);
  EXPECT_EQ(*ParseInteger("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
  for (const char* text :
       {"", "18446744073709551616", "-1", "+1", "01", "1 ", "0x10", "1_000", "1e3"}) {
    EXPECT_FALSE(ParseInteger(text).has_value()) << text;
  }
}

TEST(ParseSocketAddress, ReadsListenForms) {
  Result<SocketAddress> any = ParseSocketAddress(":8080", true);
  ASSERT_TRUE(any.has_value());
  EXPECT_EQ(any->form, SocketAddress::Form::kIp);
  EXPECT_EQ(any->ip, IpAddress());
  EXPECT_EQ(any->port, 8080);
  EXPECT_EQ(any->text, ":8080");
  EXPECT_EQ(ParseSocketAddress("0.0.0.0:0", true)->port, 0);
  EXPECT_EQ(ParseSocketAddress("[::1]:8443", true)->ip, IpAddress::Parse("::1"));
  Result<SocketAddress> local = ParseSocketAddress("unix:/run/a b:1", true);
  ASSERT_TRUE(local.has_value());
  EXPECT_EQ(local->form, SocketAddress::Form::kUnix);
  EXPECT_EQ(local->name, "/run/a b:1");
}

TEST(ParseSocketAddress, ReadsServerForms) {
  Result<SocketAddress> name = ParseSocketAddress("my_app.internal.:3000", false);
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->form, SocketAddress::Form::kName);
  EXPECT_EQ(name->name, "my_app.internal.");
  EXPECT_EQ(ParseSocketAddress("10.0.0.5:3000", false)->form, SocketAddress::Form::kIp);
  EXPECT_EQ(ParseSocketAddress("[2001:db8::1]:3000", false)->form, SocketAddress::Form::kIp);
  EXPECT_EQ(ParseSocketAddress("unix:/s", false)->form, SocketAddress::Form::kUnix);
  for (const char* text : {"",          ":",          "app",   "app:",         "app:0",
                           "app:65536", "app:http",   ":3000", "10.0.0.256:1", "1:1",
                           "a b:1",     "[::1]",      "[]:1",  "[app]:1",      "::1:1",
                           "a/b:1",     "http://a:1", "unix:", "unix:s",       "-a:1",
                           "a..b:1",    "a:1:2"}) {
    EXPECT_FALSE(ParseSocketAddress(text, false).has_value()) << text;
  }
}

TEST(ReadBool, KnowsThreePairsOfWords) {
  for (const char* text : {"true", "on", "yes", "'on'"})
    EXPECT_EQ(ReadBool(Value(text).node()), true) << text;
  for (const char* text : {"false", "off", "no"})
    EXPECT_EQ(ReadBool(Value(text).node()), false) << text;
  for (const char* text : {"", "True", "1", "[on]", "{}"}) {
    Value value(text);
    EXPECT_EQ(ReadBool(value.node()), std::nullopt) << text;
    EXPECT_EQ(value.errors.size(), 1u) << text;
  }
}

TEST(ReadText, WantsAScalarWithSomethingInIt) {
  EXPECT_EQ(ReadText(Value("a b").node()), "a b");
  for (const char* text : {"", "''", "~", "[a]", "{a: b}"}) {
    Value value(text);
    EXPECT_EQ(ReadText(value.node()), std::nullopt) << text;
    EXPECT_EQ(value.errors.size(), 1u) << text;
  }
}

TEST(ReadPercent, WantsThePercentSign) {
  EXPECT_EQ(ReadPercent(Value("0%").node()), 0u);
  EXPECT_EQ(ReadPercent(Value("100%").node()), 100u);
  for (const char* text : {"101%", "-1%", "50", "0.5", "5%%", "%"}) {
    EXPECT_EQ(ReadPercent(Value(text).node()), std::nullopt) << text;
  }
}

TEST(MeantShare, IsInPercent) {
  const std::pair<const char*, const char*> kCases[] = {
      {"0.5", "50%"},  {"0.05", "5%"}, {"0.125", "12.5%"}, {"0.00125", "0.125%"},
      {"1.0", "100%"}, {"50", "50%"},  {"1.5", "1.5%"},    {"99.999", "99.999%"},
  };
  for (const auto& [found, meant] : kCases) {
    EXPECT_EQ(MeantShare(found, false), "; did you mean '" + std::string(meant) + "'?") << found;
  }
  EXPECT_EQ(MeantShare("0.5", true), "; did you mean '50%'?");
  EXPECT_EQ(MeantShare("0.125", true), "; shares are written in whole percent");
  for (const char* found : {"0.0", "0.000001", "100.5", "1.2345"}) {
    EXPECT_EQ(MeantShare(found, false), "; shares are written in percent") << found;
  }
  for (const char* found : {"", "x", "0", "101", "5 %", "0.5%", "99999999999999999999"}) {
    EXPECT_EQ(MeantShare(found, false), "") << found;
  }
}

TEST(IsName, AllowsSixtyFourLettersDigitsAndMarks) {
  for (const char* text : {"a", "9", "per-client", "A_b-9"}) EXPECT_TRUE(IsName(text)) << text;
  EXPECT_TRUE(IsName(std::string(64, 'a')));
  EXPECT_FALSE(IsName(std::string(65, 'a')));
  for (const char* text : {"", "-a", "_a", "a.b", "a b", "\xc3\xbc", "a/b"})
    EXPECT_FALSE(IsName(text)) << text;
}

TEST(IsHostName, FollowsTheDomainNameSystem) {
  std::string label(63, 'a');
  for (const std::string& text :
       {std::string("a"), std::string("a.b."), std::string("x-1_y.z"), label}) {
    EXPECT_TRUE(IsHostName(text)) << text;
  }
  for (const std::string& text :
       {std::string(), std::string("."), std::string("a..b"), std::string("-a"), std::string("a-"),
        std::string("a b"), std::string("a/b"), label + "a",
        label + "." + label + "." + label + "." + label}) {
    EXPECT_FALSE(IsHostName(text)) << text;
  }
}

}  // namespace
}  // namespace spillway
