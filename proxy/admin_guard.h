// SPDX-License-Identifier: MIT
// Who may talk to the admin side: a bearer token, and the walls against pages that a browser of the
// operator has open (cross-site requests, DNS rebinding). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway {

struct AdminRequest {
  std::string method;  // "GET"
  std::string path;    // "/api/v1/status", still percent-encoded
  std::string query;   // without '?'
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string peer;  // "127.0.0.1", or "unix"

  std::optional<std::string_view> Header(std::string_view name) const;  // the first
};

struct AdminReply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

// How the admin address is reached, which decides which walls it needs.
enum class AdminPlace { kUnix, kLoopback, kElsewhere };

struct AdminGuard {
  AdminPlace place = AdminPlace::kLoopback;
  std::string token;  // empty: none is needed

  // The refusal, or nothing when the request may pass:
  // - on loopback, Host is an IP literal or localhost: other names may be rebound to us (400);
  // - Origin, when sent, names the same host as Host (403);
  // - a POST does not come from another site's page (Sec-Fetch-Site), nor, without a token, as a
  // form (403);
  // - the token, except for /livez, /readyz and /ready (401).
  std::optional<AdminReply> Refuse(const AdminRequest& request) const;
};

AdminReply AdminError(int status, std::string_view message);  // {"error": message}

}  // namespace spillway
