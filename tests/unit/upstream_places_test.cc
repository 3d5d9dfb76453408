// SPDX-License-Identifier: MIT
#include "proxy/upstream_places.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <optional>
#include <vector>

namespace spillway {
namespace {

const IpAddress kLoopback = IpAddress::FromV4(0x7f000001);

class UpstreamPlacesTest : public testing::Test {
 protected:
  auto Connect() { return places_.Connect(server_); }

  Fd listener_ = Listen(KernelAddress::FromIp(kLoopback, 0), false).value();
  KernelAddress server_ = LocalAddress(listener_.get());
  UpstreamPlaces places_;
};

TEST_F(UpstreamPlacesTest, AreAsManyAsWereAllowedLast) {
  places_.Allow(2);
  auto one = Connect(), two = Connect();
  ASSERT_TRUE(one && two);
  EXPECT_EQ(Connect().error(), EMFILE);
  places_.Allow(3);
  auto three = Connect();
  EXPECT_TRUE(three);
  places_.Allow(1);
  EXPECT_FALSE(Connect());  // those that are taken stay so
}

TEST_F(UpstreamPlacesTest, ComeBackWithTheConnectionAndWhenItCouldNotBegin) {
  places_.Allow(1);
  {
    auto one = Connect();
    ASSERT_TRUE(one);
    const UpstreamPlaces::Socket moved = std::move(*one);
    EXPECT_FALSE(Connect());
  }
  const auto missing = KernelAddress::FromUnixPath("/nonexistent/socket").value();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(places_.Connect(missing).error(), ENOENT);
  EXPECT_TRUE(Connect());
}

TEST_F(UpstreamPlacesTest, AreSaidToBeScarceOnceUntilAllHaveHeardIt) {
  std::vector<std::shared_ptr<void>> heard;
  int told = 0;
  places_.OnScarce([&](const std::shared_ptr<void>& each) {
    ++told;
    heard = {each, each};
  });
  places_.Allow(16);
  std::vector<UpstreamPlaces::Socket> taken;
  for (int i = 0; i < 14; ++i) taken.push_back(std::move(*Connect()));
  EXPECT_EQ(told, 0);
  taken.push_back(std::move(*Connect()));
  EXPECT_EQ(told, 1);
  heard.pop_back();
  taken.push_back(std::move(*Connect()));
  EXPECT_EQ(told, 1);
  heard.pop_back();
  EXPECT_FALSE(Connect());
  EXPECT_EQ(told, 2);
}

}  // namespace
}  // namespace spillway
