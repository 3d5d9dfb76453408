// SPDX-License-Identifier: MIT
// Configurations as texts, loaded from memory.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "config_files.h"

namespace spillway {

inline const char* const kTwoLines =
    "version: 1\npools: { app: { servers: [\"127.0.0.1:3000\"] } }\n";

inline tl::expected<Config, Diagnostics> LoadText(const std::string& text,
                                                  const Environment& environment = {}) {
  return LoadConfig("f.yaml",
                    MemoryFiles({{"f.yaml", text}, {"page.html", "<p>"}, {"list", "a\n"}}),
                    environment);
}

inline Config Loaded(const tl::expected<Config, Diagnostics>& result) {
  if (result) return *result;
  ADD_FAILURE() << Format(result.error());
  return {};
}

inline std::string Errors(const tl::expected<Config, Diagnostics>& result) {
  return result ? std::string() : Format(result.error());
}

}  // namespace spillway
