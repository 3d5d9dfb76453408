// SPDX-License-Identifier: MIT
#include "proxy/pool_admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/log.h"
#include "tests/unit/crowd_at_a_pool.h"

namespace spillway {
namespace {

using testing::HasSubstr;
using testing::Not;

AdmissionConfig Slots(std::uint32_t slots) {
  AdmissionConfig config;
  config.limit = AdmissionConfig::Limit::kFixed;
  config.fixed = slots;
  config.queue = {10'000, 60s};
  return config;
}

// --- what a permit says, and when the pool hears of it ---

// How long the pool takes an answer to take; 0: it has not heard of one.
double Heard(const CrowdAtAPool& crowd) {
  return std::chrono::duration<double, std::milli>(crowd.View().baseline).count();
}

TEST(Permit, TheFirstByteIsToldBySettleAndNotBefore) {
  CrowdAtAPool crowd(Slots(2));
  Permit& permit = crowd.Ask();
  permit.FirstByte(80ms, 200);
  EXPECT_EQ(Heard(crowd), 0);
  permit.Settle();
  EXPECT_NEAR(Heard(crowd), 80, 0.1);
  EXPECT_EQ(crowd.View().in_flight, 1U);
}

TEST(Permit, TheFirstByteIsToldWithWhatComesNext) {
  for (const auto next : {+[](Permit* permit) { permit->Leave(AdmissionEnd::kAnswered); },
                          +[](Permit* permit) { permit->StandApart(); }}) {
    CrowdAtAPool crowd(Slots(2));
    Permit& permit = crowd.Ask();
    permit.FirstByte(80ms, 200);
    next(&permit);
    EXPECT_NEAR(Heard(crowd), 80, 0.1);
    EXPECT_EQ(crowd.View().in_flight, 0U);
  }
}

TEST(Permit, TheFirstByteOfAnErrorIsNoMeasure) {
  CrowdAtAPool crowd(Slots(2));
  Permit& permit = crowd.Ask();
  permit.FirstByte(1ms, 500);
  permit.Settle();
  EXPECT_EQ(Heard(crowd), 0);
}

TEST(Permit, OneThatIsNotAdmittedHasNoFirstByte) {
  CrowdAtAPool crowd(Slots(1));
  crowd.Ask();
  Permit& second = crowd.Ask();
  ASSERT_EQ(second.state(), AdmissionTicket::State::kQueued);
  second.FirstByte(80ms, 200);
  second.Settle();
  second.Leave(AdmissionEnd::kUnmeasured);
  EXPECT_EQ(Heard(crowd), 0);
  EXPECT_EQ(crowd.View().queued[1], 0U);
}

// --- culprits ---

TEST(PoolAdmission, ARouteThatIsHeldToItsShareUnderPressureIsLogged) {
  log::SetLevel(log::Level::kInfo);
  CrowdAtAPool crowd(Slots(20));
  crowd.AskForReports(16);
  testing::internal::CaptureStderr();
  crowd.Press();
  for (int i = 0; i < 40; ++i) crowd.Pass(100ms);
  const std::string text = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(crowd.View().pressed);
  EXPECT_THAT(text, HasSubstr("pool app: GET /report is held to "));
  EXPECT_THAT(text, HasSubstr(" places: it has far more than its share of them while others wait"));
  EXPECT_THAT(text, Not(HasSubstr("/page")));
}

}  // namespace
}  // namespace spillway
