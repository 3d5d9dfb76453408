// SPDX-License-Identifier: MIT
#include "rules/header_index.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace spillway {
namespace {

// How often the name stands among the places that the index gives for it.
std::size_t Count(HeaderIndex& index, const std::vector<HeaderField>& headers,
                  std::string_view name) {
  const HeaderIndex::Places places = index.Find(headers, name);
  std::size_t count = 0;
  for (std::size_t i = places.first; i < places.end; ++i) {
    if (EqualsIgnoreCase(headers.at(i).name, name)) ++count;
  }
  return count;
}

const std::vector<HeaderField> kHeaders = {
    {"Host", "a"}, {"X-Forwarded-For", "b"}, {"cookie", "c"}, {"COOKIE", "d"}, {"User-Agent", "e"},
    {"", "f"},     {"Referer", "g"},         {"Cookie", "h"},
};

TEST(HeaderIndex, FindsEveryFieldOfANameInAnyCase) {
  HeaderIndex index;
  index.Reset();
  EXPECT_EQ(Count(index, kHeaders, "cookie"), 3u);
  EXPECT_EQ(Count(index, kHeaders, "user-agent"), 1u);
  EXPECT_EQ(Count(index, kHeaders, ""), 1u);
  EXPECT_EQ(Count(index, kHeaders, "x-none"), 0u);
}

TEST(HeaderIndex, FindsNamesThatNobodyExpectedAllTheSame) {
  HeaderNames expected;
  expected.Add("referer");
  for (const char* unexpected : {"user-agent", "x-forwarded-for", "cookie", "host", ""}) {
    HeaderIndex index;
    index.Reset(expected);
    EXPECT_EQ(Count(index, kHeaders, "referer"), 1u);
    EXPECT_EQ(Count(index, kHeaders, unexpected), std::string(unexpected) == "cookie" ? 3u : 1u)
        << unexpected;
    EXPECT_EQ(Count(index, kHeaders, "referer"), 1u);
  }
}

TEST(HeaderIndex, ForgetsTheRequestBefore) {
  HeaderIndex index;
  index.Reset();
  EXPECT_EQ(Count(index, kHeaders, "cookie"), 3u);
  index.Reset();
  EXPECT_EQ(Count(index, {{"Accept", "a"}}, "cookie"), 0u);
}

TEST(HeaderIndex, TellsNamesOfAnySizeApart) {
  std::vector<std::string> names;
  for (std::size_t size = 0; size < 200; ++size) names.push_back(std::string(size, 'n'));
  std::vector<HeaderField> headers;
  for (const std::string& name : names) headers.push_back({name, ""});
  HeaderIndex index;
  index.Reset(HeaderNames());
  for (const std::string& name : names) EXPECT_EQ(Count(index, headers, name), 1u) << name;
}

}  // namespace
}  // namespace spillway
