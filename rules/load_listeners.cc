// SPDX-License-Identifier: MIT
// Where spillway listens: `listeners` (with TLS) and `admin`.
#include "rules/draft.h"

namespace spillway {
namespace {

// One certificate as the file gives it; a listener has one or a list of them.
struct TlsItem {
  TlsCertificate pair;
  std::optional<TlsVersion> min_version;
};

void ReadMinVersion(const Slot& slot, TlsItem* out) {
  if (auto choice = ReadChoice(slot.node, slot.type)) {
    out->min_version = static_cast<TlsVersion>(*choice);
  }
}

template <auto kFile>
void ReadPemPath(const Slot& slot, TlsItem* out) {
  SetPath<kFile>(slot, &out->pair);
}

constexpr KeyRow<TlsItem> kTlsRows[] = {
    {"certificate", "path", "", "PEM file with the certificate and those that vouch for it",
     &ReadPemPath<&TlsCertificate::certificate>},
    {"key", "path", "", "PEM file with the certificate's private key",
     &ReadPemPath<&TlsCertificate::key>},
    {"min_version", "1.2 | 1.3", "1.2", "the oldest version of TLS that is accepted",
     &ReadMinVersion},
};

void ReadTls(const Slot& slot, ListenerConfig* out) {
  TlsConfig tls;
  std::optional<TlsVersion> said;
  for (const yaml::Node& node : slot.node.Items()) {
    TlsItem item;
    ReadKeys(node, kTlsRows, slot.loader, &item);
    if (!node.is_map()) continue;
    RequireKey(node, "certificate", "the path of a PEM file");
    RequireKey(node, "key", "the path of a PEM file");
    if (said && item.min_version && item.min_version != said) {
      node.Get("min_version")
          .Fail("differs from the certificate above; a listener has one oldest version");
    }
    if (!said) said = item.min_version;
    tls.certificates.push_back(item.pair);
  }
  if (said) tls.min_version = *said;
  if (slot.node.Items().empty()) {
    slot.node.Fail("expected { certificate: path, key: path }, or a list of these");
  }
  out->tls = std::move(tls);
}

void ReadListenAddress(const Slot& slot, ListenerConfig* out) {
  if (auto address = ReadSocketAddress(slot.node, true)) out->address = *std::move(address);
}

void ReadHttp2(const Slot& slot, ListenerConfig* out) {
  out->http2 = ReadBool(slot.node);
}

constexpr KeyRow<ListenerConfig> kListenerRows[] = {
    {"address", ":port | ip:port | [ip]:port | unix:/path", ":8080",
     "where to accept clients; ':8080' is every address of both families", &ReadListenAddress},
    {"tls", "map or list of maps", "",
     "speak TLS with these certificates; the first answers unknown names", &ReadTls,
     &ListSection<kTlsRows>},
    {"proxy_protocol", "true | false", "false",
     "require a PROXY protocol header, v1 or v2, before each connection",
     &Set<&ListenerConfig::proxy_protocol>},
    {"http2", "true | false", "",
     "take HTTP/2 too: by ALPN with TLS, where it is the default; in the clear only from clients "
     "that begin with it",
     &ReadHttp2},
};

void ReadAdminAddress(const Slot& slot, AdminConfig* out) {
  if (auto address = ReadSocketAddress(slot.node, true)) out->address = *std::move(address);
}

constexpr KeyRow<AdminConfig> kAdminRows[] = {
    {"address", ":port | ip:port | [ip]:port | unix:/path", "127.0.0.1:9901",
     "where the admin endpoints are served", &ReadAdminAddress},
    {"token_file", "path", "",
     "file with the bearer token; needed unless the address is loopback or a unix socket",
     &SetPath<&AdminConfig::token_file>},
};

}  // namespace

bool SameListener(const SocketAddress& a, const SocketAddress& b) {
  if (a.form != b.form) return false;
  if (a.form == SocketAddress::Form::kUnix) return a.name == b.name;
  return a.port != 0 && a.port == b.port && a.ip == b.ip;  // port 0 is another one each time
}

void ReadListeners(const Slot& slot, Draft* draft) {
  if (!slot.node.is_list() || slot.node.Items().empty()) {
    slot.node.Fail("expected a list, such as [{ address: \":8080\" }]");
    return;
  }
  std::vector<ListenerConfig> listeners;
  for (const yaml::Node& node : slot.node.Items()) {
    std::size_t errors = node.diagnostics().size();
    ListenerConfig listener;
    ReadKeys(node, kListenerRows, slot.loader, &listener);
    if (node.is_map()) RequireKey(node, "address", "an address such as :8080");
    if (node.diagnostics().size() > errors) continue;
    for (const ListenerConfig& other : listeners) {
      if (SameListener(listener.address, other.address)) {
        node.Get("address").Fail("another listener has this address already");
        break;
      }
    }
    if (listener.tls) listener.tls->http2 = listener.speaks_http2();
    listeners.push_back(std::move(listener));
  }
  draft->config.listeners = std::move(listeners);
}

void ListListenerKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListItems<kListenerRows>(name, kinds);
}

void ReadAdmin(const Slot& slot, Draft* draft) {
  if (slot.node.text() == "off") {
    draft->config.admin.address.reset();
  } else if (slot.node.is_scalar()) {
    slot.node.Fail("expected { address: \"127.0.0.1:9901\" } or off, found " +
                   yaml::Quote(slot.node.text()));
  } else {
    ReadKeys(slot.node, kAdminRows, slot.loader, &draft->config.admin);
  }
}

void ListAdminKeys(const std::string& name, std::vector<Kind>* kinds) {
  ListSection<kAdminRows>(name, kinds);
}

}  // namespace spillway
