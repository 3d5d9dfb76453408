// SPDX-License-Identifier: MIT
// What is foreseen of a toggle, as JSON for the admin side.
#pragma once

#include "proxy/admin_controls.h"
#include "proxy/json.h"

namespace spillway {

// What switching it on would do now; null for one that is on.
Json ViewForecast(const AdminControls& server, const ToggleStatus& toggle);

}  // namespace spillway
