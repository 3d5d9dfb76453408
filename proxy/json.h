// SPDX-License-Identifier: MIT
// JSON for the admin side, the state file and the schema: the door of nlohmann's library. Nothing throws: what
// does not parse is a discarded value, and text that is not UTF-8 is written with replacement
// characters.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace spillway {

using Json = nlohmann::ordered_json;  // keeps the order of keys, so that answers read well

// Nothing when `text` is not JSON.
inline std::optional<Json> ParseJson(std::string_view text) {
  Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

inline std::string DumpJson(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// The text at `key`, or empty when it is missing or something else.
inline std::string TextAt(const Json& json, const char* key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace spillway
