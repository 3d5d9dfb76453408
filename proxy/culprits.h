// SPDX-License-Identifier: MIT
// Routes that a pool's admission holds to a few places, as the log, metrics and the admin side tell of
// them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "spillway/admission.h"

namespace spillway {

std::string CulpritName(const CappedRoute& route);  // escaped: strangers wrote it
std::string_view CulpritReason(const CappedRoute& route);
// Of those that were held back in `before` and are in `now`: who is held that was not, or was for
// another reason, and who is no more.
void LogCulprits(std::string_view pool, const std::vector<CappedRoute>& before,
                 const std::vector<CappedRoute>& now);

}  // namespace spillway
