// SPDX-License-Identifier: MIT
#include "proxy/culprits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/log.h"

namespace spillway {
namespace {

using testing::HasSubstr;
using testing::Not;

using Routes = std::vector<CappedRoute>;

std::string Logged(const Routes& before, const Routes& now) {
  log::SetLevel(log::Level::kInfo);
  testing::internal::CaptureStderr();
  LogCulprits("app", before, now);
  return testing::internal::GetCapturedStderr();
}

const CappedRoute kHangs{"GET /report", 6, 2, true}, kShare{"GET /report", 9, 5, false};

TEST(Culprits, ARouteThatIsHeldBackIsLoggedWithItsReason) {
  EXPECT_THAT(Logged({}, {kHangs}),
              HasSubstr("warning: pool app: GET /report is held to 2 places: its requests hang\n"));
  EXPECT_THAT(Logged({}, {kShare}),
              HasSubstr("warning: pool app: GET /report is held to 5 places: it has far more than "
                        "its share of them while others wait\n"));
}

TEST(Culprits, WhatTheLogHasSaidItSaysOnceAndForAnotherReasonAnew) {
  const CappedRoute later{"GET /report", 1, 7, true};
  EXPECT_EQ(Logged({kHangs}, {later}), "");
  EXPECT_THAT(Logged({kHangs}, {kShare}), HasSubstr("is held to 5 places: it has far more"));
  EXPECT_THAT(Logged({kHangs}, {kShare}), Not(HasSubstr("no more")));
}

TEST(Culprits, ARouteThatIsLetGoIsLogged) {
  const CappedRoute other{"GET /maze", 6, 2, true};
  const std::string text = Logged({kHangs, other}, {other});
  EXPECT_THAT(text, HasSubstr("info: pool app: GET /report is held back no more\n"));
  EXPECT_THAT(text, Not(HasSubstr("maze")));
}

TEST(Culprits, WhatStrangersWroteIsEscaped) {
  const CappedRoute forged{"GET /\n", 6, 2, true};
  EXPECT_EQ(CulpritName(forged), "GET /\\x0a");
  EXPECT_THAT(Logged({}, {forged}), HasSubstr("GET /\\x0a is held"));
  EXPECT_THAT(Logged({forged}, {}), HasSubstr("GET /\\x0a is held back no more"));
}

}  // namespace
}  // namespace spillway
