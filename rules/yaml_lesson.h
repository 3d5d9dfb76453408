// SPDX-License-Identifier: MIT
// What a YAML parser says, as a sentence that tells what to do about it.
#pragma once

#include <string>

#include "rules/yaml_tree.h"

namespace spillway::yaml {

struct Lesson {
  Place place;
  std::string message;
};

// `message` is yaml-cpp's, and was said of `at`. A sentence that is not known is passed on.
Lesson Explain(const Document::Impl& document, Place at, const std::string& message);

}  // namespace spillway::yaml
