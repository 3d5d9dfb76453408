// SPDX-License-Identifier: MIT
#include "spillway/diagnostics.h"

#include <gtest/gtest.h>

namespace spillway {
namespace {

TEST(Format, ShowsPlacePathLessonLineAndMarker) {
  Diagnostic error{"examples/shop.yaml",
                   14,
                   15,
                   3,
                   "rules[2].match.method",
                   "unknown method 'GTE'; expected one of GET, HEAD (did you mean 'GET'?)",
                   "      method: GTE"};
  EXPECT_EQ(
      Format(error),
      "examples/shop.yaml:14:15: rules[2].match.method: unknown method 'GTE'; expected one of "
      "GET, HEAD (did you mean 'GET'?)\n"
      "  14 |       method: GTE\n"
      "     |               ^~~\n");
}

TEST(Format, LeavesOutWhatIsNotKnown) {
  Diagnostic error;
  error.message = "m";
  EXPECT_EQ(Format(error), "m\n");
  error.path = "SPILLWAY_PORT";
  EXPECT_EQ(Format(error), "SPILLWAY_PORT: m\n");
  error.file = "f";
  EXPECT_EQ(Format(error), "f: SPILLWAY_PORT: m\n");
  error.line = 1;
  error.column = 1;
  EXPECT_EQ(Format(error), "f:1:1: SPILLWAY_PORT: m\n");
}

TEST(Format, PutsTheMarkerUnderTheValueThroughTabsAndWideBytes) {
  EXPECT_EQ(Format(Diagnostic{"f", 1, 8, 4, "", "m", "\tk: \xc3\xbc: v\xc3\xbcx z"}),
            "f:1:8: m\n"
            "  1 | \tk: \xc3\xbc: v\xc3\xbcx z\n"
            "    | \t     ^~~\n");
}

TEST(Format, NeverMarksBeyondTheLine) {
  EXPECT_EQ(Format(Diagnostic{"f", 1, 3, 100, "", "m", "abcd"}),
            "f:1:3: m\n  1 | abcd\n    |   ^~\n");
  EXPECT_EQ(Format(Diagnostic{"f", 1, 7, 1, "", "m", "abcd"}),
            "f:1:7: m\n  1 | abcd\n    |       ^\n");
}

TEST(Format, PassesNoControlCharacterToATerminal) {
  std::string text = Format(Diagnostic{"f\x1b", 1, 1, 1, "p\x07", "m\x1b[2J", "\x1b]0;x\x7f"});
  EXPECT_EQ(text.find_first_of("\x1b\x07\x7f"), std::string::npos);
  EXPECT_EQ(Format(Diagnostic{"f", 1, 8, 1, "", "m\nn", "\ta: b\xc2\x9b c\xe2\x80\xae d"}),
            "f:1:8: m\nn\n"
            "  1 | \ta: b? c? d\n"
            "    | \t     ^\n")
      << "those of UTF-8, and marks that turn the direction of text";
}

TEST(Format, OrdersByFileLineAndColumn) {
  Diagnostics errors = {{"b", 1, 1, 1, "", "4", ""},
                        {"a", 10, 1, 1, "", "3", ""},
                        {"a", 2, 9, 1, "", "2", ""},
                        {"a", 2, 3, 1, "", "1", ""},
                        {"", 0, 0, 1, "", "0", ""}};
  EXPECT_EQ(Format(errors), "0\na:2:3: 1\na:2:9: 2\na:10:1: 3\nb:1:1: 4\n");
}

}  // namespace
}  // namespace spillway
