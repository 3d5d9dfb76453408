// SPDX-License-Identifier: MIT
// SPILLWAY_* variables: enough for the two-line case without a file, and over the file's scalars
// with one.
//
// Each value is made a one-line YAML document, so that the parse functions of the file read it and
// say the same of it; the variable's name takes the place of file and line.
#include <algorithm>

#include "rules/draft.h"

namespace spillway {
namespace {

constexpr std::string_view kPrefix = "SPILLWAY_";

void ReadListen(const Slot& slot, Draft* draft) {
  draft->listeners_from_environment = true;
  draft->config.listeners.clear();
  std::vector<std::string> texts = SplitCommas(slot.node.text());
  if (texts.empty()) slot.node.Fail("no address; expected at least one, such as :8080");
  for (const std::string& text : texts) {
    Result<SocketAddress> address = ParseSocketAddress(text, true);
    if (!address) {
      slot.node.Fail(address.error().message);
      continue;
    }
    ListenerConfig listener;
    listener.address = *std::move(address);
    for (const ListenerConfig& other : draft->config.listeners) {
      if (SameListener(listener.address, other.address)) {
        slot.node.Fail(yaml::Quote(text) + " stands here twice");
      }
    }
    draft->config.listeners.push_back(std::move(listener));
  }
}

void ReadPort(const Slot& slot, Draft* draft) {
  auto port = ReadInteger(slot.node, 1, 65535);
  if (!port || draft->listeners_from_environment) return;
  draft->listeners_from_environment = true;
  ListenerConfig listener;
  listener.address.port = static_cast<std::uint16_t>(*port);
  listener.address.text = ":" + std::to_string(*port);
  draft->config.listeners = {listener};
}

void ReadUpstream(const Slot& slot, Draft* draft) {
  draft->servers_from_environment = true;
  std::vector<ServerConfig> servers;
  std::vector<std::string> texts = SplitCommas(slot.node.text());
  if (texts.empty()) slot.node.Fail("no server; expected at least one, such as 127.0.0.1:3000");
  for (const std::string& text : texts) {
    Result<SocketAddress> address = ParseSocketAddress(text, false);
    auto same = [&](const ServerConfig& other) { return other.address.text == text; };
    if (!address) {
      slot.node.Fail(address.error().message);
    } else if (std::any_of(servers.begin(), servers.end(), same)) {
      slot.node.Fail(yaml::Quote(text) + " stands here twice");
    } else {
      servers.push_back({*std::move(address)});
    }
  }
  if (draft->config.pools.empty()) draft->config.pools.emplace_back().name = "app";
  draft->config.pools.front().servers = std::move(servers);
}

void ReadAdminAddress(const Slot& slot, Draft* draft) {
  draft->admin_from_environment = true;
  if (slot.node.text() == "off") {
    draft->config.admin.address.reset();
  } else if (auto address = ReadSocketAddress(slot.node, true)) {
    draft->config.admin.address = *std::move(address);
  }
}

void ReadTrusted(const Slot& slot, Draft* draft) {
  draft->config.clients.trusted_proxies = ReadRanges(slot.node, SplitCommas(slot.node.text()));
}

void ReadLogFormat(const Slot& slot, Draft* draft) {
  ReadValue(slot, &draft->config.access_log.format);
}

void ReadTokenFile(const Slot& slot, Draft* draft) {
  SetPath<&AdminConfig::token_file>(slot, &draft->config.admin);
}

void ReadKeyFile(const Slot& slot, Draft* draft) {
  SetPath<&ChallengeConfig::key_file>(slot, &draft->config.challenge);
}

void ReadStateFile(const Slot& slot, Draft* draft) {
  SetPath<&Config::state_file>(slot, &draft->config);
}

constexpr KeyRow<Draft> kRows[] = {
    {"SPILLWAY_LISTEN", "comma list of listen addresses", ":8080",
     "where to accept clients; replaces all listeners of the file", &ReadListen},
    {"SPILLWAY_PORT", "integer 1..65535", "",
     "accept clients on this port of all addresses; SPILLWAY_LISTEN goes before it", &ReadPort},
    {"SPILLWAY_UPSTREAM", "comma list of server addresses", "",
     "the servers of the first pool, which without a file is called app", &ReadUpstream},
    {"SPILLWAY_ADMIN", "listen address | off", "127.0.0.1:9901",
     "where the admin endpoints are served", &ReadAdminAddress},
    {"SPILLWAY_ADMIN_TOKEN_FILE", "path", "", "file with the admin endpoints' bearer token",
     &ReadTokenFile},
    {"SPILLWAY_CHALLENGE_KEY_FILE", "path", "", "file with the secret of challenges", &ReadKeyFile},
    {"SPILLWAY_TRUSTED_PROXIES", "comma list of address ranges", "",
     "proxies whose forwarding headers are believed", &ReadTrusted},
    {"SPILLWAY_WORKERS", "auto | integer 1..256", "auto",
     "event loops; auto: the CPUs that may be used", &ReadWorkers},
    {"SPILLWAY_LOG_LEVEL", "debug | info | warning | error", "info",
     "the least important message that is logged", &ReadLogLevel},
    {"SPILLWAY_ACCESS_LOG", "off | json | combined", "json", "how a request is written down",
     &ReadLogFormat},
    {"SPILLWAY_STATE_FILE", "path", "", "where the toggles' state outlives a restart",
     &ReadStateFile},
};

// Kubernetes gives every container the addresses of the Services around it. A Service called
// "spillway" or "spillway-x" makes SPILLWAY_SERVICE_HOST, SPILLWAY_PORT=tcp://10.0.0.1:80,
// SPILLWAY_X_PORT_80_TCP and so on.
bool IsServiceLink(std::string_view name, std::string_view value) {
  if (name.ends_with("_SERVICE_HOST") || name.find("_SERVICE_PORT") != std::string_view::npos)
    return true;
  bool address = value.starts_with("tcp://") || value.starts_with("udp://");
  if (address && name.ends_with("_PORT")) return true;
  std::size_t port = name.find("_PORT_");
  if (port == std::string_view::npos) return false;
  std::string_view rest = name.substr(port + 6);
  std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  rest.remove_prefix(digits);
  return digits > 0 && (rest.starts_with("_TCP") || rest.starts_with("_UDP"));
}

std::string SingleQuoted(std::string_view text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

void ReadVariable(const std::string& name, const std::string& value, Loader& loader, Draft* draft,
                  Diagnostics* errors) {
  const KeyRow<Draft>* found = nullptr;
  std::vector<std::string> legal;
  for (const KeyRow<Draft>& row : kRows) {
    legal.emplace_back(row.name);
    if (row.name == name) found = &row;
  }
  if (found == nullptr) {
    errors->emplace_back().message =
        "unknown variable " + yaml::Quote(name) + yaml::ExpectedOneOf(name, legal);
    return;
  }
  // A newline would be folded to a space, and hidden in what the error quotes.
  if (value.find_first_of("\r\n") != std::string::npos) {
    errors->emplace_back().message = "the value has more than one line";
    return;
  }
  yaml::Document document("", SingleQuoted(value), errors);
  if (document.root().is_scalar()) found->parse({document.root(), found->type, loader}, draft);
}

}  // namespace

std::vector<std::string> SplitCommas(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    std::size_t begin = part.find_first_not_of(" \t");
    if (begin == std::string_view::npos) continue;
    parts.emplace_back(part.substr(begin, part.find_last_not_of(" \t") + 1 - begin));
  }
  return parts;
}

void ApplyEnvironment(const Environment& environment, Loader& loader, Draft* draft,
                      Diagnostics* diagnostics) {
  loader.Enter("");
  for (const auto& [name, value] : environment) {
    // SPILLWAY_CONFIG is the command line's. An empty value is how compose files leave a variable
    // out.
    bool ours = name.starts_with(kPrefix) && name != "SPILLWAY_CONFIG";
    if (!ours || value.empty() || IsServiceLink(name, value)) continue;
    Diagnostics errors;
    ReadVariable(name, value, loader, draft, &errors);
    for (const Diagnostic& error : errors) {
      Diagnostic about;
      about.path = name;
      about.message = error.message;
      diagnostics->push_back(std::move(about));
    }
  }
}

void ListEnvironment(std::vector<Kind>* kinds) {
  for (const KeyRow<Draft>& row : kRows) {
    kinds->push_back({"environment", std::string(row.name), std::string(row.type),
                      std::string(row.fallback), std::string(row.text)});
  }
}

}  // namespace spillway
