// SPDX-License-Identifier: MIT
// Reading the Cookie field, cookie by cookie. Pure.
#pragma once

#include <optional>
#include <string_view>

namespace spillway {

// Takes cookies off the front of a Cookie field's value up to the first of this name, and returns
// its value; nothing, and an empty rest, when there is none.
std::optional<std::string_view> TakeCookie(std::string_view* rest, std::string_view name);

}  // namespace spillway
