// SPDX-License-Identifier: MIT
// The admin side's pages and verbs, without the HTTP server around them: a request value in, a
// reply value out. docs/reference.md describes each; GET never changes anything, and every change
// is logged with who.
#pragma once

#include <string>
#include <utility>

#include "proxy/admin_controls.h"
#include "proxy/admin_guard.h"

namespace spillway {

// Belongs to the control thread.
class AdminApi {
 public:
  // REQUIRES: server outlives it.
  AdminApi(AdminControls& server, AdminGuard guard);

  void SetGuard(AdminGuard guard) { guard_ = std::move(guard); }
  AdminReply Handle(const AdminRequest& request);

 private:
  AdminReply Route(const AdminRequest& request);
  AdminReply ExplainRefusal(const std::string& id);
  AdminReply FlipToggle(const AdminRequest& request, const std::string& name);

  AdminControls& server_;
  AdminGuard guard_;
};

// The status page for `/`: HTML that stands alone, without script.
std::string FormatStatusPage(const AdminControls& server);

}  // namespace spillway
