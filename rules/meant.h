// SPDX-License-Identifier: MIT
// Sentences about what is not legal, and what was meant by it. Pure. Thread rule: any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules/yaml.h"

namespace spillway {

// What was meant by something that is no share: of "0.5" and of "50" it is 50%. `whole`: only whole
// percents are taken.
std::string MeantShare(std::string_view text, bool whole);
// "unknown key 'paht'; expected one of path, host (did you mean 'path'?)". Of `legal` only what `map`
// does not have yet is offered: nobody means the same key twice.
std::string UnknownIn(const yaml::Node& map, std::string_view what, std::string_view found,
                      std::vector<std::string> legal);
// "unknown toggle 'surg'; expected surge (did you mean 'surge'?)": `what` is a thing that the file names
// under a section called so.
std::string UnknownName(std::string_view what, std::string_view found,
                        const std::vector<std::string>& known);

}  // namespace spillway
