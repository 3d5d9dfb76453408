// SPDX-License-Identifier: MIT
#include "proxy/admin_guard.h"

#include <algorithm>

#include "proxy/json.h"
#include "spillway/address.h"
#include "spillway/mac.h"
#include "spillway/request.h"

namespace spillway {
namespace {

// "127.0.0.1:9901" without its port, "[::1]:9901" without port and brackets.
std::string_view HostOf(std::string_view host_and_port) {
  if (host_and_port.starts_with('[')) {
    const std::size_t end = host_and_port.find(']');
    return end == std::string_view::npos ? "" : host_and_port.substr(1, end - 1);
  }
  return host_and_port.substr(0, host_and_port.find(':'));
}

bool IsLocalName(std::string_view host_and_port) {
  const std::string_view host = HostOf(host_and_port);
  return IpAddress::Parse(host).has_value() || EqualsIgnoreCase(host, "localhost");
}

// Origin is "scheme://host[:port]" or "null".
bool SameOrigin(std::string_view origin, std::string_view host) {
  const std::size_t scheme = origin.find("://");
  return scheme != std::string_view::npos && EqualsIgnoreCase(origin.substr(scheme + 3), host);
}

// What a form on any page can send without asking the browser's permission first.
bool IsFormType(std::string_view content_type) {
  const std::string_view type = content_type.substr(0, content_type.find_first_of("; \t"));
  return EqualsIgnoreCase(type, "application/x-www-form-urlencoded") ||
         EqualsIgnoreCase(type, "multipart/form-data") || EqualsIgnoreCase(type, "text/plain");
}

bool IsProbe(std::string_view path) {
  return path == "/livez" || path == "/readyz" || path == "/ready";
}

}  // namespace

std::optional<std::string_view> AdminRequest::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (EqualsIgnoreCase(key, name)) return value;
  }
  return std::nullopt;
}

AdminReply AdminError(int status, std::string_view message) {
  AdminReply reply;
  reply.status = status;
  Json json;
  json["error"] = message;
  reply.body = DumpJson(json) + "\n";
  return reply;
}

std::optional<AdminReply> AdminGuard::Refuse(const AdminRequest& request) const {
  const std::string_view host = request.Header("Host").value_or("");
  if (place == AdminPlace::kLoopback && !IsLocalName(host)) {
    return AdminError(400, "the Host field must be an IP address or localhost here");
  }
  if (const auto origin = request.Header("Origin"); origin && !SameOrigin(*origin, host)) {
    return AdminError(403, "requests from other origins are refused");
  }
  if (request.method != "GET" && request.method != "HEAD") {
    const std::string_view site = request.Header("Sec-Fetch-Site").value_or("none");
    if (!EqualsIgnoreCase(site, "none") && !EqualsIgnoreCase(site, "same-origin")) {
      return AdminError(403, "requests from other sites are refused");
    }
    const auto type = request.Header("Content-Type");
    if (token.empty() && type && IsFormType(*type)) {
      return AdminError(403, "without a token, send application/json rather than a form");
    }
  }
  if (token.empty() || IsProbe(request.path)) return std::nullopt;
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view given = request.Header("Authorization").value_or("");
  if (given.size() > kScheme.size() && EqualsIgnoreCase(given.substr(0, kScheme.size()), kScheme) &&
      EqualInConstantTime(given.substr(kScheme.size()), token)) {
    return std::nullopt;
  }
  AdminReply reply = AdminError(401, "a bearer token is needed");
  reply.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"spillway\"");
  return reply;
}

}  // namespace spillway
