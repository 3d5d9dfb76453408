// SPDX-License-Identifier: MIT
// Other people's texts, such as a terminal can be trusted with. Pure. Thread rule: any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace spillway {

// With '?' for control characters other than those in `kept` ("\t\n"), also for those of two bytes in
// UTF-8 (U+0080 to U+009F), and for the marks that turn the direction of text (U+202A to U+202E,
// U+2066 to U+2069).
std::string Printable(std::string_view text, std::string_view kept = {});

// With '?' for all but printable ASCII, so that it is UTF-8 wherever it is cut; no more than `most`
// bytes of it, and "..." for the rest.
std::string PrintableStart(std::string_view text, std::size_t most);

}  // namespace spillway
