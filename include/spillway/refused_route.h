// SPDX-License-Identifier: MIT
// What a server refuses (a status of 400 to 499) is one route, whatever was asked for: a page that is not
// there costs what a refusal costs. Who asks for many such would else teach how long the pages take that are.
#pragma once

#include "spillway/route.h"

namespace spillway {

// Of a ticket's ask, before Admission::FirstByte. No path has it, but by a chance of one in 2^64.
inline constexpr RouteHash kRefusedRoute{4, 4};

}  // namespace spillway
