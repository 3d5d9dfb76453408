// SPDX-License-Identifier: MIT
#include "rules/address_set.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace spillway {
namespace {

std::set<std::uint32_t> Found(const AddressSet& set, const IpAddress& address) {
  std::set<std::uint32_t> tests;
  set.Find(address, [&](std::uint32_t test) { tests.insert(test); });
  return tests;
}

TEST(AddressSet, FindsEveryRangeAroundAnAddress) {
  AddressSet set;
  set.Add(IpRange::Parse("10.0.0.0/8").value(), 1);
  set.Add(IpRange::Parse("10.1.0.0/16").value(), 2);
  set.Add(IpRange::Parse("10.1.2.3").value(), 3);
  set.Add(IpRange::Parse("10.1.2.3").value(), 4);
  set.Add(IpRange::Parse("2001:db8::/32").value(), 5);
  set.Add(IpRange::Parse("0.0.0.0/0").value(), 6);
  set.Build();
  using Tests = std::set<std::uint32_t>;
  EXPECT_EQ(Found(set, IpAddress::Parse("10.1.2.3").value()), (Tests{1, 2, 3, 4, 6}));
  EXPECT_EQ(Found(set, IpAddress::Parse("10.1.2.4").value()), (Tests{1, 2, 6}));
  EXPECT_EQ(Found(set, IpAddress::Parse("10.200.0.0").value()), (Tests{1, 6}));
  EXPECT_EQ(Found(set, IpAddress::Parse("11.0.0.0").value()), (Tests{6}));
  EXPECT_EQ(Found(set, IpAddress::Parse("2001:db8:ffff::1").value()), (Tests{5}));
  EXPECT_EQ(Found(set, IpAddress::Parse("2001:db7::").value()), (Tests{}));
}

TEST(AddressSet, HoldsNothingWhenEmpty) {
  AddressSet set;
  set.Build();
  EXPECT_TRUE(Found(set, IpAddress()).empty());
}

TEST(AddressSet, AgreesWithAskingEachRange) {
  std::mt19937_64 chance(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<IpRange> ranges;
    AddressSet set;
    for (std::uint32_t i = 0; i < 60; ++i) {
      const int bits = static_cast<int>(chance() % 33);
      const auto number = static_cast<std::uint32_t>(chance() & 0xff0000ff);
      ranges.push_back({IpAddress::FromV4(number).Masked(bits, 128), 96 + bits});
      set.Add(ranges.back(), i);
    }
    set.Build();
    for (int i = 0; i < 100; ++i) {
      const IpAddress address =
          IpAddress::FromV4(static_cast<std::uint32_t>(chance() & 0xff0000ff));
      std::set<std::uint32_t> expected;
      for (std::uint32_t r = 0; r < ranges.size(); ++r) {
        if (ranges[r].Contains(address)) expected.insert(r);
      }
      ASSERT_EQ(Found(set, address), expected) << address.ToString();
    }
  }
}

}  // namespace
}  // namespace spillway
