// SPDX-License-Identifier: MIT
// What is admitted and has no slot: requests that are still coming, streams, slow readers.
#include "tests/unit/admission_fixture.h"

namespace spillway {
namespace {

using State = AdmissionTicket::State;

TEST_F(AdmissionTest, ARequestThatIsStillComingIsNotCountedUntilItIsHere) {
  AdmissionConfig config;
  config.limit = AdmissionConfig::Limit::kFixed;
  config.fixed = 1;
  Begin(config);
  AdmissionTicket& upload = Ask();
  ASSERT_EQ(upload.state, State::kAdmitted);
  admission_->AwaitRequest(&upload, now_);
  EXPECT_EQ(View().in_flight, 0U);
  AdmissionTicket& next = Ask();
  EXPECT_EQ(next.state, State::kAdmitted);
  admission_->RequestDone(&upload, now_);
  EXPECT_EQ(View().in_flight, 2U);  // whatever the limit
  EXPECT_EQ(Ask().state, State::kQueued);
  Answer(next, 10ms);
  EXPECT_TRUE(Told().empty());  // one is still too many
  Answer(upload, 10ms);
  EXPECT_EQ(Told().size(), 1U);
}

TEST_F(AdmissionTest, OnlySoManyRequestsMayBeComingAndNoneBeyondThemKeepsASlot) {
  Begin(Fixed(1));
  std::vector<AdmissionTicket*> uploads;
  for (std::uint32_t i = 0; i < Admission::kMostComing; ++i) {
    uploads.push_back(&Ask());
    admission_->AwaitRequest(uploads.back(), now_);
  }
  AdmissionTicket& more = Ask();
  admission_->AwaitRequest(&more, now_);
  EXPECT_EQ(more.state, State::kShed);
  EXPECT_EQ(View().in_flight, 0U);
  EXPECT_EQ(Ask().state, State::kAdmitted);
  for (AdmissionTicket* one : uploads) admission_->Leave(one, AdmissionEnd::kUnmeasured, now_);
  EXPECT_EQ(View().in_flight, 1U);
}

TEST_F(AdmissionTest, OneClientsSlowUploadsLeaveRoomForAnothersUpload) {
  Begin(Fixed(10));
  const auto upload = [this](std::uint64_t client) {
    AdmissionTicket& one = Ask(TrafficClass::kCritical, client);
    admission_->AwaitRequest(&one, now_);
    return one.state;
  };
  for (std::uint32_t i = 0; i < Admission::kMostComing * 10 / 2; ++i) {
    EXPECT_EQ(upload(5), State::kAdmitted) << i;
  }
  EXPECT_EQ(upload(5), State::kShed);
  EXPECT_EQ(upload(6), State::kAdmitted);
}

TEST_F(AdmissionTest, AtTheDoorItIsKnownWhetherAnUploadMayStillCome) {
  Begin(Fixed(1));
  for (std::uint32_t i = 0; i < Admission::kMostComing; ++i) {
    AdmissionTicket& upload = Ask();
    EXPECT_FALSE(upload.no_upload) << i;
    admission_->AwaitRequest(&upload, now_);
  }
  EXPECT_TRUE(Ask().no_upload);
}

TEST_F(AdmissionTest, OfWhatMattersTwiceAsManyMayBeComing) {
  Begin(Fixed(1));
  for (std::uint32_t i = 0; i < 2 * Admission::kMostComing; ++i) {
    AdmissionTicket& order = Ask(TrafficClass::kCriticalPlus);
    admission_->AwaitRequest(&order, now_);
    EXPECT_EQ(order.state, State::kAdmitted) << i;
  }
  AdmissionTicket& more = Ask(TrafficClass::kCriticalPlus);
  admission_->AwaitRequest(&more, now_);
  EXPECT_EQ(more.state, State::kShed);
}

TEST_F(AdmissionTest, WhatStandsApartWhileItsRequestIsComingIsNeverCounted) {
  Begin(Fixed(1));
  AdmissionTicket& stream = Ask();
  admission_->AwaitRequest(&stream, now_);
  admission_->StandApart(&stream, now_);
  admission_->RequestDone(&stream, now_);
  EXPECT_EQ(View().in_flight, 0U);
  EXPECT_EQ(View().apart, 1U);
  EXPECT_EQ(Ask().state, State::kAdmitted);
  admission_->Leave(&stream, AdmissionEnd::kAnswered, now_);
  EXPECT_EQ(View().in_flight, 1U);
  EXPECT_EQ(View().apart, 0U);
}

TEST_F(AdmissionTest, WhatStandsApartDoesNotHoldItsRouteBack) {
  Begin(Fixed(10));
  for (int i = 0; i < 40; ++i) {
    AdmissionTicket& reader = Ask();
    admission_->FirstByte(&reader, 10ms, now_);
    admission_->StandApart(&reader, now_);
  }
  for (int i = 0; i < 12; ++i) Ask(TrafficClass::kCritical, 0, 8);
  for (int i = 0; i < 50; ++i) {
    now_ += 100ms;
    EXPECT_TRUE(Told().empty() || i > 0);
  }
  EXPECT_TRUE(View().capped.empty());
  EXPECT_EQ(View().apart, 40U);
}

}  // namespace
}  // namespace spillway
