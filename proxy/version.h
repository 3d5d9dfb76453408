// SPDX-License-Identifier: MIT
// Which spillway this is. The number stands in CMakeLists.txt alone.
#pragma once

#include <string_view>

namespace spillway {

std::string_view Version();  // "0.1.0"

}  // namespace spillway
