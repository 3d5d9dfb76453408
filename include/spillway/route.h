// SPDX-License-Identifier: MIT
// Which page of the app a request is for, whatever the ids in its path: "/order/1234/items" and
// "/order/9/items" are one route. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace spillway {

inline constexpr int kMostRouteSegments = 5;

// Of a path, its first segments with ids folded: "/order/:id/items". A segment is an id when it is
// all digits, a UUID, hexadecimal of 8 digits and more, or longer than 32 bytes; of a name that ends
// in digits ("img0042.jpg") only the digits are folded. What comes after the fifth segment is "*".
// `path` is normalised, as Request::path.
void AppendRoute(std::string_view path, std::string* out);

// The same as a number, with the method; neither is ever 0. Allocates nothing.
struct RouteHash {
  std::uint64_t route = 0;
  // Of all routes with as many segments (kMostRouteSegments and more are alike) that begin with the same
  // one: "/product/blue-shirt" and "/product/red-hat". Names in paths are as many as ids, and no rule tells
  // them from pages.
  std::uint64_t family = 0;
};
RouteHash HashRoute(std::string_view method, std::string_view path, std::uint64_t seed);

}  // namespace spillway
