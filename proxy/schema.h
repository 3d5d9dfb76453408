// SPDX-License-Identifier: MIT
// The JSON Schema (draft 2020-12) of the configuration, for editors and for checks before a file is
// anywhere near a spillway. Made from ListKinds() and ListShapes() alone, so it knows what the
// loader knows. It refuses nothing that the loader takes; the loader knows more: what is referred
// to, and the ranges of durations and sizes.
#pragma once

#include <vector>

#include "proxy/json.h"
#include "spillway/config.h"

namespace spillway {

enum class SchemaOf { kFile, kIncludedFile };

// What the type column says and this does not understand is left open, with a "$comment" that
// begins with "unknown".
Json MakeSchema(const std::vector<Kind>& kinds, const std::vector<Shape>& shapes, SchemaOf what);

}  // namespace spillway
