// SPDX-License-Identifier: MIT
// Where spillway listens: `listeners` (with TLS) and `admin`.
#include "rules/draft.h"

namespace spillway {
namespace {

constexpr std::string_view kOcspPath = "the path of an OCSP response (DER)";

constexpr KeyRow<ClientCertificates> kClientCertificateRows[] = {
    {"ca", "path", "", "PEM file with the certificates that may vouch for clients",
     &SetPath<&ClientCertificates::ca, kPemPath>, nullptr, kPemPath},
    {"mode", "required | optional", "required",
     "whether a client may come without; one that is not good is refused in any case",
     &Set<&ClientCertificates::mode>},
    {"depth", "integer 0..10", "3", "certificates between a client's and one of `ca`, at most",
     &Set<&ClientCertificates::depth>},
};

// One certificate as the file gives it; a listener has one or a list of them. What a listener has
// but one of may stand at any of them.
struct TlsItem {
  TlsCertificate pair;
  std::optional<TlsVersion> min_version;
  std::optional<bool> session_tickets;
  std::optional<std::vector<std::string>> ticket_keys;
  std::optional<ClientCertificates> client_certificates;
};

void ReadMinVersion(const Slot& slot, TlsItem* out) {
  if (auto choice = ReadChoice(slot.node, slot.type)) {
    out->min_version = static_cast<TlsVersion>(*choice);
  }
}

template <auto kFile, const auto& kWhat>
void ReadPairPath(const Slot& slot, TlsItem* out) {
  SetPath<kFile, kWhat>(slot, &out->pair);
}

void ReadSessionTickets(const Slot& slot, TlsItem* out) {
  out->session_tickets = ReadBool(slot.node);
}

constexpr std::string_view kTicketKeyPath = "the path of a file of 80 random bytes";

void ReadTicketKeys(const Slot& slot, TlsItem* out) {
  std::vector<std::string> paths;
  for (const yaml::Node& node : slot.node.Items()) {
    if (auto path = ReadPath({node, slot.type, slot.loader}, kTicketKeyPath)) {
      paths.push_back(*std::move(path));
    }
  }
  if (slot.node.Items().empty()) {
    slot.node.Fail(
        "expected the path of a file, or a list of these; leave ticket_keys out to have "
        "none");
    return;
  }
  out->ticket_keys = std::move(paths);
}

void ReadClientCertificates(const Slot& slot, TlsItem* out) {
  ClientCertificates wanted;
  ReadKeys(slot.node, kClientCertificateRows, slot.loader, &wanted, "{ ca: clients.pem }");
  out->client_certificates = std::move(wanted);
}

constexpr KeyRow<TlsItem> kTlsRows[] = {
    {"certificate", "path", "", "PEM file with the certificate and those that vouch for it",
     &ReadPairPath<&TlsCertificate::certificate, kPemPath>, nullptr, kPemPath},
    {"key", "path", "", "PEM file with the certificate's private key",
     &ReadPairPath<&TlsCertificate::key, kPemPath>, nullptr, kPemPath},
    {"ocsp", "path", "", "DER file with an OCSP response about the certificate, shown to clients",
     &ReadPairPath<&TlsCertificate::ocsp, kOcspPath>},
    {"min_version", "1.2 | 1.3", "1.2", "the oldest version of TLS that is accepted",
     &ReadMinVersion},
    {"session_tickets", "true | false", "true",
     "let clients take up a session again; not where client_certificates are asked for",
     &ReadSessionTickets},
    {"ticket_keys", "path, or list of these", "",
     "files of 80 random bytes, of which the first encrypts tickets and all decrypt them; without "
     "them keys that the process makes and changes by itself",
     &ReadTicketKeys},
    {"client_certificates", "map", "", "ask clients for a certificate of their own",
     &ReadClientCertificates, &ListSection<kClientCertificateRows>},
};

// What one certificate of a listener says of the listener joins what others said.
template <typename T>
void Join(const yaml::Node& node, std::string_view key, const char* what,
          const std::optional<T>& item, std::optional<T>* said) {
  if (*said && item && item != *said) {
    node.Get(key).Fail(std::string("differs from the certificate above; a listener has one ") +
                       what);
  }
  if (!*said) *said = item;
}

void CheckTickets(const yaml::Node& tls, const TlsItem& said) {
  const auto fail = [&](std::string_view key, const std::string& why) {
    for (const yaml::Node& node : tls.Items()) {
      if (node.is_map() && !node.Get(key).missing()) return node.Get(key).Fail(why);
    }
  };
  if (said.ticket_keys && said.session_tickets == false) {
    fail("ticket_keys",
         "no tickets are made, since session_tickets is false; leave one of the two out");
  }
  if (!said.client_certificates) return;
  const auto no_tickets = [&](const std::string& key) {
    fail(key,
         "no tickets are made where client certificates are asked for: each is to be looked "
         "at; leave " +
             key + " out");
  };
  if (said.session_tickets == true) no_tickets("session_tickets");
  if (said.ticket_keys) no_tickets("ticket_keys");
}

void ReadTls(const Slot& slot, ListenerConfig* out) {
  TlsConfig tls;
  TlsItem said;
  for (const yaml::Node& node : slot.node.Items()) {
    TlsItem item;
    ReadKeys(node, kTlsRows, slot.loader, &item, "{ certificate: a.crt, key: a.key }");
    if (!node.is_map()) continue;
    Join(node, "min_version", "oldest version", item.min_version, &said.min_version);
    Join(node, "session_tickets", "answer to this", item.session_tickets, &said.session_tickets);
    Join(node, "ticket_keys", "list of these", item.ticket_keys, &said.ticket_keys);
    Join(node, "client_certificates", "rule for clients", item.client_certificates,
         &said.client_certificates);
    tls.certificates.push_back(item.pair);
  }
  CheckTickets(slot.node, said);
  tls.min_version = said.min_version.value_or(tls.min_version);
  tls.session_tickets = said.session_tickets.value_or(!said.client_certificates);
  tls.ticket_keys = std::move(said.ticket_keys).value_or(tls.ticket_keys);
  tls.client_certificates = std::move(said.client_certificates);
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
    {"address", "listen address", ":8080",
     "where to accept clients; ':8080' is every address of both families", &ReadListenAddress,
     nullptr, "an address such as :8080"},
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
    {"address", "listen address", "127.0.0.1:9901", "where the admin endpoints are served",
     &ReadAdminAddress},
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

bool SharesPlace(const SocketAddress& a, const SocketAddress& b) {
  if (SameListener(a, b)) return true;
  if (a.form != SocketAddress::Form::kIp || b.form != a.form || a.port == 0 || a.port != b.port) {
    return false;
  }
  // [::] is every address of both families, 0.0.0.0 every one of IPv4.
  const auto takes = [](const IpAddress& wide, const IpAddress& one) {
    return wide == IpAddress() || (wide == IpAddress::FromV4(0) && one.is_v4());
  };
  return takes(a.ip, b.ip) || takes(b.ip, a.ip);
}

void ReadListeners(const Slot& slot, Draft* draft) {
  if (!slot.node.is_list() || slot.node.Items().empty()) {
    slot.node.Fail("expected a list, such as [{ address: \":8080\" }], found " +
                   (slot.node.is_list() ? "one with nothing in it" : Found(slot.node)));
    return;
  }
  std::vector<ListenerConfig> listeners;
  for (const yaml::Node& node : slot.node.Items()) {
    std::size_t errors = node.diagnostics().size();
    ListenerConfig listener;
    ReadKeys(node, kListenerRows, slot.loader, &listener, "{ address: \":8080\" }");
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
