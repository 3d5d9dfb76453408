// SPDX-License-Identifier: MIT
// Base64 with the URL alphabet and without padding (RFC 4648 5). Strict: one text for each value.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace spillway {

std::string EncodeBase64Url(std::string_view bytes);
std::optional<std::string> DecodeBase64Url(std::string_view text);

}  // namespace spillway
