// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "spillway/challenge.h"

namespace spillway {
namespace {

TEST(FindCookie, FindsTheFirstOfThatExactName) {
  struct Row {
    const char* header;
    const char* value;
  };
  for (const Row& row : {
           Row{"a=1", "1"},
           Row{"b=2; a=1", "1"},
           Row{"b=2;a=1", "1"},
           Row{"a=1; a=2", "1"},
           Row{" a = 1 ; b=2", "1"},
           Row{"a=", ""},
           Row{"a=x=y==", "x=y=="},
           Row{"a=\"q\"", "\"q\""},
           Row{";;a=1;;", "1"},
           Row{"junk; a=1", "1"},
           Row{"\ta=1\t", "1"},
       }) {
    const auto value = FindCookie(row.header, "a");
    ASSERT_TRUE(value) << row.header;
    EXPECT_EQ(*value, row.value) << row.header;
  }
  for (const char* header : {"", "a", "A=1", "aa=1", "b=a=1", "=1", "b=1; ab=2", "; ;", "a b=1"}) {
    EXPECT_FALSE(FindCookie(header, "a")) << header;
  }
}

}  // namespace
}  // namespace spillway
