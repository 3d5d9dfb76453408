// SPDX-License-Identifier: MIT
#include "proxy/deadline_fields.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

namespace spillway {
namespace {

using Table = std::pair<std::string, std::optional<Duration>>;

std::optional<Duration> Read(Field field, std::string_view name, const std::string& value) {
  RequestHead head;
  head.headers.push_back({name, value});
  head.fields.push_back(field);
  return RequestTimeout(head);
}

TEST(DeadlineFields, ReadsTimesOfGrpc) {
  const Table kTable[] = {{"5S", 5s},           {"250m", 250ms},      {"10u", 10us},
                          {"7n", 7ns},          {"1H", 1h},           {"2H", std::nullopt},
                          {"3M", 3min},         {"", std::nullopt},   {"5", std::nullopt},
                          {"S", std::nullopt},  {"5s", std::nullopt}, {"123456789m", std::nullopt},
                          {"-1S", std::nullopt}};
  for (const auto& [text, time] : kTable) {
    EXPECT_EQ(Read(Field::kGrpcTimeout, "grpc-timeout", text), time) << text;
  }
}

TEST(DeadlineFields, ReadsPlainTimes) {
  const Table kTable[] = {{"10", 10s},
                          {"2.5", 2500ms},
                          {"2.5s", 2500ms},
                          {"300ms", 300ms},
                          {"0.001", 1ms},
                          {"3600", 1h},
                          {"3601", std::nullopt},
                          {"1.2345", std::nullopt},
                          {".5", std::nullopt},
                          {"5.", std::nullopt},
                          {"10m", std::nullopt},
                          {"1e3", std::nullopt},
                          {"99999999999999999999", std::nullopt}};
  for (const auto& [text, time] : kTable) {
    EXPECT_EQ(Read(Field::kXRequestTimeout, "x-request-timeout", text), time) << text;
  }
}

TEST(DeadlineFields, ReadsShares) {
  const std::pair<std::string, std::optional<double>> kTable[] = {{"0", 0},
                                                                  {"1", 1},
                                                                  {"0.92", 0.92},
                                                                  {"1.0", 1},
                                                                  {"0.999", 0.999},
                                                                  {"1.001", std::nullopt},
                                                                  {"-0.1", std::nullopt},
                                                                  {"nan", std::nullopt},
                                                                  {"", std::nullopt}};
  for (const auto& [text, share] : kTable) EXPECT_EQ(ParseShare(text), share) << text;
}

}  // namespace
}  // namespace spillway
