// SPDX-License-Identifier: MIT
#include "proxy/local_ref.h"

#include <gtest/gtest.h>

#include <utility>

namespace spillway {
namespace {

struct Owned : LocallyOwned {
  explicit Owned(int* gone) : gone_(gone) {}
  ~Owned() { ++*gone_; }
  int* gone_;
};

TEST(LocalRef, EndsWhatItOwnsWithItsLastOwnerAndOnce) {
  int gone = 0;
  LocalRef<Owned> first(new Owned(&gone));
  {
    LocalRef<Owned> second = first;
    const LocalRef<Owned> third = std::move(second);
    EXPECT_FALSE(second);  // NOLINT(bugprone-use-after-move): that it is empty is what is asked
    EXPECT_EQ(third.get(), first.get());
    first = LocalRef<Owned>();
    EXPECT_FALSE(first);
    EXPECT_EQ(gone, 0);
    first = third;
  }
  EXPECT_EQ(gone, 0);
  LocalRef<Owned>& same = first;
  first = same;
  EXPECT_EQ(gone, 0);
  first = LocalRef(new Owned(&gone));
  EXPECT_EQ(gone, 1);
  first = {};
  EXPECT_EQ(gone, 2);
}

}  // namespace
}  // namespace spillway
