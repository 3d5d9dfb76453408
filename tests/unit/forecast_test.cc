// SPDX-License-Identifier: MIT
#include "proxy/forecast.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "allocations.h"

namespace spillway {
namespace {

using namespace std::chrono_literals;
using Effect = Foreseen::Effect;

class Forecasts : public ::testing::Test {
 protected:
  void Ask(const std::string& client, std::optional<Effect> effect, std::uint32_t toggle = 0,
           std::vector<HeaderField> headers = {}) {
    Request request;
    request.path = "/shop";
    request.headers = headers;
    request.client = IpAddress::Parse(client).value();
    forecast_.Count(now_);
    if (effect) forecast_.Note(request, {toggle, 0, *effect, true}, now_);
  }
  ForecastSum Sum(std::uint32_t toggle = 0) {
    ForecastSum sum;
    forecast_.AddTo(toggle, now_, &sum);
    return sum;
  }

  TimePoint now_{1000h};
  Forecast forecast_{2, "spillway-pass", 64};
};

TEST_F(Forecasts, CountsByEffectAndToggle) {
  EXPECT_EQ(Sum().requests, 0u);
  EXPECT_EQ(Sum().span, 0s);
  Ask("192.0.2.1", Effect::kDeny);
  Ask("192.0.2.1", Effect::kLimit);
  Ask("192.0.2.2", Effect::kChallenge);
  Ask("192.0.2.3", Effect::kAnswer);
  Ask("192.0.2.4", Effect::kPass);
  Ask("192.0.2.5", std::nullopt);
  Ask("192.0.2.6", Effect::kDeny, 1);
  now_ += 5s;
  const ForecastSum sum = Sum();
  EXPECT_EQ(sum.span, 5s);
  EXPECT_EQ(sum.requests, 7u);
  EXPECT_EQ(sum.refused(), 4u);
  EXPECT_EQ(sum.limit, 1u);
  EXPECT_NEAR(sum.clients.Estimate(), 3, 0.1);
  ASSERT_EQ(sum.paths.size(), 1u);
  EXPECT_EQ(sum.paths[0].name, "/shop");
  EXPECT_EQ(sum.paths[0].requests, 4u);
  EXPECT_EQ(Sum(1).refused(), 1u);
}

TEST_F(Forecasts, TellOfTheLastMinuteOnly) {
  for (int second = 0; second < 300; ++second, now_ += 1s) Ask("192.0.2.1", Effect::kDeny);
  now_ -= 1s;
  const ForecastSum sum = Sum();
  EXPECT_GE(sum.span, 50s);
  EXPECT_LE(sum.span, 60s);
  EXPECT_NEAR(static_cast<double>(sum.requests), std::chrono::duration<double>(sum.span).count(),
              1);
  EXPECT_EQ(sum.refused(), sum.requests);
  now_ += 1min;
  EXPECT_EQ(Sum().requests, 0u);
  EXPECT_EQ(Sum().refused(), 0u);
  EXPECT_EQ(Sum().clients.Estimate(), 0);
}

TEST_F(Forecasts, TakeAPrefixForOneClientAndAPassForNoCookie) {
  Ask("2001:db8::1", Effect::kDeny, 0, {{"Cookie", "spillway-pass=abc"}});
  Ask("2001:db8::2", Effect::kDeny, 0, {{"Cookie", "spillway-pass=abc; sid=1"}});
  Ask("2001:db8:0:0:ffff::1", Effect::kDeny, 0, {{"cookie", "spillway-passes=1"}});
  Ask("2001:db8:0:1::1", Effect::kDeny);
  EXPECT_NEAR(Sum().clients.Estimate(), 2, 0.1);
  EXPECT_EQ(Sum().with_cookie, 2u);
}

TEST_F(Forecasts, AreAddedUpOverWorkers) {
  Forecast other(2, "spillway-pass", 64);
  Ask("192.0.2.1", Effect::kDeny, 0, {{"User-Agent", "curl/8"}});
  other.Count(now_);
  Request request;
  request.path = "/shop";
  request.client = IpAddress::Parse("192.0.2.2").value();
  other.Note(request, {0, 0, Effect::kLimit, true}, now_);
  ForecastSum sum = Sum();
  other.AddTo(0, now_, &sum);
  EXPECT_EQ(sum.requests, 2u);
  EXPECT_EQ(sum.refused(), 2u);
  EXPECT_NEAR(sum.clients.Estimate(), 2, 0.1);
  ASSERT_EQ(sum.paths.size(), 1u);
  EXPECT_EQ(sum.paths[0].requests, 2u);
  EXPECT_EQ(sum.agents.size(), 2u);
}

TEST_F(Forecasts, TellOfAgentsByASampleWhereThereAreMany) {
  for (int i = 0; i < 10'240; ++i) Ask("192.0.2.1", Effect::kDeny, 0, {{"User-Agent", "curl/8"}});
  const ForecastSum sum = Sum();
  EXPECT_EQ(sum.refused(), 10'240u);
  ASSERT_EQ(sum.agents.size(), 1u);
  EXPECT_EQ(sum.agents[0].requests, 1024u + (10'240u - 1024u) / 16);
  EXPECT_EQ(sum.paths[0].requests, sum.agents[0].requests);
}

TEST_F(Forecasts, TakeNoMemoryForAnyNumberOfClientsAndPaths) {
  std::string path = "/" + std::string(99, 'x');
  const auto note = [&](int first, int last) {
    for (int i = first; i < last; ++i) {
      Request request;
      std::snprintf(&path[1], 16, "%015d", i);
      request.path = path;
      request.client = IpAddress::FromV4(static_cast<std::uint32_t>(i));
      forecast_.Note(request, {0, 0, Effect::kDeny, true}, now_);
    }
  };
  note(0, 1000);  // all places for paths are taken
  const std::uint64_t before = allocations.load();
  note(1000, 20'000);
  EXPECT_EQ(allocations.load(), before);
}

TEST_F(Forecasts, KeepPathsWithinTheirBound) {
  for (int i = 0; i < 5000; ++i) {
    Request request;
    const std::string path = "/" + std::to_string(i) + std::string(5000, 'x');
    request.path = path;
    request.client = IpAddress::Parse("192.0.2.1").value();
    forecast_.Note(request, {0, 0, Effect::kDeny, true}, now_);
  }
  EXPECT_LE(Sum().paths.size(), 32u);
  for (const auto& path : Sum().paths) EXPECT_LE(path.name.size(), 100u);
}

}  // namespace
}  // namespace spillway
