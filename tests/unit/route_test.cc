// SPDX-License-Identifier: MIT
#include "spillway/route.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace spillway {
namespace {

TEST(Route, FoldsIds) {
  const std::pair<std::string, std::string> kTable[] = {
      {"/", "/"},
      {"/shop", "/shop"},
      {"/shop/", "/shop/"},
      {"/order/1234/items", "/order/:id/items"},
      {"/order/9/items", "/order/:id/items"},
      {"/user/0b7f1c2a-9d51-4e0f-8a2b-112233445566", "/user/:id"},
      {"/blob/deadbeef01", "/blob/:id"},
      {"/decade/facade", "/decade/facade"},
      {"/img/img0042.jpg", "/img/img0.jpg"},
      {"/v2/list", "/v0/list"},
      {"/a/b/c/d/e", "/a/b/c/d/e"},
      {"/a/b/c/d/e/f/g", "/a/b/c/d/e/*"},
      {"/t/" + std::string(33, 'x'), "/t/:id"},
  };
  for (const auto& [path, route] : kTable) {
    std::string told;
    AppendRoute(path, &told);
    EXPECT_EQ(told, route) << path;
  }
}

TEST(Route, HashTellsRoutesApartAndNotIds) {
  const std::uint64_t order = HashRoute("GET", "/order/17", 7).route;
  EXPECT_EQ(order, HashRoute("GET", "/order/18", 7).route);
  EXPECT_NE(order, HashRoute("POST", "/order/17", 7).route);
  EXPECT_NE(order, HashRoute("GET", "/orders/17", 7).route);
  EXPECT_NE(order, HashRoute("GET", "/order/17", 8).route);
}

TEST(Route, AFamilyHasTheFirstSegmentAndTheNumberOfThem) {
  const auto family = [](std::string_view path, std::string_view method = "GET") {
    return HashRoute(method, path, 7).family;
  };
  EXPECT_EQ(family("/product/blue-shirt"), family("/product/red-hat"));
  EXPECT_EQ(family("/blue-shirt"), family("/red-hat"));
  EXPECT_EQ(family("/2024/05/first"), family("/2025/06/second"));
  EXPECT_NE(family("/product/blue-shirt"), family("/page/blue-shirt"));
  EXPECT_NE(family("/product/blue-shirt"), family("/product/blue-shirt/reviews"));
  EXPECT_NE(family("/product"), family("/product/blue-shirt"));
  EXPECT_NE(family("/red-hat"), family("/red-hat", "POST"));
  EXPECT_NE(family("/red-hat"), HashRoute("GET", "/red-hat", 7).route);
}

TEST(Route, HashOfLongPathsIsBounded) {
  std::string path;
  for (int i = 0; i < 2000; ++i) path += "/segment" + std::string(20, 'y');
  EXPECT_EQ(HashRoute("GET", path, 7).route, HashRoute("GET", path + "/more", 7).route);
}

}  // namespace
}  // namespace spillway
