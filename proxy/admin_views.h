// SPDX-License-Identifier: MIT
// The running server as JSON, one function for each page of the admin API. Secrets never appear: a
// key or a token is named by its file. Fields may be added to these objects, never renamed or
// removed.
#pragma once

#include "proxy/admin_controls.h"
#include "proxy/json.h"

namespace spillway {

Json ViewStatus(const AdminControls& server);
Json ViewReload(const ReloadStatus& reload);
Json ViewConfig(const AdminControls& server);
Json ViewRules(const AdminControls& server);
Json ViewToggle(const AdminControls& server, const ToggleStatus& toggle);
Json ViewToggles(const AdminControls& server);
Json ViewLimits(const AdminControls& server);  // walks the limits' tables
Json ViewPools(const AdminControls& server);

}  // namespace spillway
