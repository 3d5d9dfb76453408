// SPDX-License-Identifier: MIT
// Files that others open later, tried while it is known where they are named.
//
// Whether a certificate can be read is known only to those who read certificates. They are asked
// through FileSource, so that what they say stands among all other errors, each with its place.
#include "rules/draft.h"

namespace spillway {
namespace {

// Where a path was said: in a variable, or else at a node.
struct Said {
  std::string variable;
  yaml::Node node;
};

Diagnostic About(const Said& said, std::string message) {
  if (said.variable.empty()) return said.node.About(std::move(message));
  Diagnostic about;
  about.path = said.variable;
  about.message = std::move(message);
  return about;
}

Said Find(const Environment& environment, const char* variable, const yaml::Node& node) {
  const auto found = environment.find(variable);
  return found == environment.end() || found->second.empty() ? Said{"", node} : Said{variable, {}};
}

void TryAt(FileUse use, const yaml::Node& node, const Loader& loader) {
  if (node.text().empty()) return;
  const Result<void> tried = loader.Try(use, loader.Resolve(node.text()));
  if (!tried) node.Fail(tried.error().message);
}

// A response that is over is no error: a renewal that failed must not keep anybody from serving.
void TryOcsp(const yaml::Node& node, const Loader& loader, const std::string& certificate,
             Diagnostics* warnings) {
  const std::string path = loader.Resolve(node.text());
  if (const auto tried = loader.Try(FileUse::kOcsp, path, certificate); !tried) {
    node.Fail(tried.error().message);
  } else if (const auto fresh = loader.Try(FileUse::kOcspTime, path, certificate); !fresh) {
    warnings->push_back(node.About("warning: " + fresh.error().message + "; it is not shown"));
  }
}

// One that no client is ever shown is no error either, but not what anybody wants. `before` are those
// that stand before it in its list.
void TryNames(const yaml::Node& node, const Loader& loader, const std::string& before,
              Diagnostics* warnings) {
  const auto tried = loader.Try(FileUse::kCertificate, loader.Resolve(node.text()), before);
  if (!tried) warnings->push_back(node.About("warning: " + tried.error().message));
}

void TryCertificates(const yaml::Node& tls, const Loader& loader, Diagnostics* warnings) {
  std::string before;
  for (const yaml::Node& item : tls.Items()) {
    if (!item.is_map()) continue;
    const yaml::Node certificate = item.Get("certificate"), key = item.Get("key");
    std::string beside;
    if (!certificate.text().empty()) {
      beside = loader.Resolve(certificate.text());
      const Result<void> tried = loader.Try(FileUse::kCertificate, beside);
      if (!tried) certificate.Fail(tried.error().message);
      if (tried && !before.empty()) TryNames(certificate, loader, before, warnings);
      before += beside + "\n";
      if (!tried) beside.clear();  // one error: whether the key matches cannot be known
    }
    const yaml::Node ocsp = item.Get("ocsp");
    if (!ocsp.text().empty() && !beside.empty()) TryOcsp(ocsp, loader, beside, warnings);
    for (const yaml::Node& path : item.Get("ticket_keys").Items()) {
      TryAt(FileUse::kTicketKey, path, loader);
    }
    const yaml::Node clients = item.Get("client_certificates");
    if (clients.is_map()) TryAt(FileUse::kAuthorities, clients.Get("ca"), loader);
    if (key.text().empty()) continue;
    const Result<void> tried = loader.Try(FileUse::kKey, loader.Resolve(key.text()), beside);
    if (!tried) key.Fail(tried.error().message);
  }
}

}  // namespace

void TryNamedFiles(const Environment& environment, Loader& loader, Draft* draft,
                   Diagnostics* diagnostics) {
  const Config& config = draft->config;
  const yaml::Node& root = draft->root;
  const auto attempt = [&](FileUse use, const std::string& path, const Said& said) {
    if (path.empty()) return;
    if (const Result<void> tried = loader.Try(use, path); !tried) {
      diagnostics->push_back(About(said, tried.error().message));
    }
  };
  const yaml::Node listeners = root.Get("listeners");
  if (!draft->listeners_from_environment && listeners.is_list()) {
    loader.Enter(config.file);
    for (const yaml::Node& listener : listeners.Items()) {
      if (!listener.is_map()) continue;
      TryCertificates(listener.Get("tls"), loader, &draft->config.warnings);
    }
  }
  loader.Enter(config.file);
  for (const auto& [name, pool] : root.Get("pools").Entries()) {
    const yaml::Node tls = pool.is_map() ? pool.Get("tls") : yaml::Node();
    if (!tls.is_map()) continue;
    TryAt(FileUse::kAuthorities, tls.Get("ca"), loader);
    if (!tls.Get("certificate").text().empty()) {
      TryCertificates(tls, loader, &draft->config.warnings);
    }
  }
  const AccessLogConfig& log = config.access_log;
  if (log.format != AccessLogConfig::Format::kOff && log.path != "-") {
    attempt(FileUse::kAppended, log.path, {"", root.Get("access_log").Get("path")});
  }
  if (config.admin.address) {
    attempt(FileUse::kToken, config.admin.token_file,
            Find(environment, "SPILLWAY_ADMIN_TOKEN_FILE", root.Get("admin").Get("token_file")));
  }
  const yaml::Node geo = root.Get("geo");
  attempt(FileUse::kGeo, config.geo.country_file, {"", geo.Get("country_file")});
  attempt(FileUse::kGeo, config.geo.asn_file, {"", geo.Get("asn_file")});
  attempt(FileUse::kChallengeKey, config.challenge.key_file,
          Find(environment, "SPILLWAY_CHALLENGE_KEY_FILE", root.Get("challenge").Get("key_file")));
  if (config.state_file.empty()) return;
  if (const auto tried = loader.Try(FileUse::kWrittenAnew, config.state_file); !tried) {
    draft->config.warnings.push_back(
        About(Find(environment, "SPILLWAY_STATE_FILE", root.Get("state_file")),
              "warning: " + tried.error().message + "; toggles will not be remembered"));
  }
}

}  // namespace spillway
