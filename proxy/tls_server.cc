// SPDX-License-Identifier: MIT
// TLS of the client side: contexts from certificate files. TLS 1.2 and 1.3, no renegotiation, no
// compression.
//
// Lifetime: a session holds a reference to its SSL_CTX, and the first SSL_CTX owns the table of
// names that its SNI callback reads. So sessions may outlive the TlsContext that a reload has
// dropped.
#include <fmt/format.h>

#include <map>
#include <vector>

#include "proxy/tls.h"
#include "proxy/tls_library.h"
#include "proxy/tls_names.h"
#include "proxy/tls_tickets.h"

namespace spillway {
namespace {

// Which SSL_CTX answers which name. Null is the listener's first context, which owns the table and so
// cannot be referred to by it.
struct NameTable {
  CertificateNames names;
  std::map<CertificateNames::Set, Owned<SSL_CTX>> contexts;
};

int ChooseProtocol(SSL*, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* offered, unsigned int size, void* http2) {
  static constexpr unsigned char kAll[] = "\x02h2\x08http/1.1";
  constexpr unsigned int kHttp2Bytes = 3;
  const unsigned int skip = http2 != nullptr ? 0 : kHttp2Bytes;
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kAll + skip, sizeof(kAll) - 1 - skip, offered,
                            size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int ChooseCertificate(SSL* ssl, int*, void* table) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const auto* known = static_cast<const NameTable*>(table);
  const CertificateNames::Set* set = known->names.Match(name);
  if (set == nullptr) return SSL_TLSEXT_ERR_NOACK;
  if (SSL_CTX* context = known->contexts.at(*set).get()) SSL_set_SSL_CTX(ssl, context);
  return SSL_TLSEXT_ERR_OK;
}

// Whom we ask for a certificate. One that is not good fails the handshake in either mode.
Result<void> AskClients(SSL_CTX* context, const ClientCertificates& wanted) {
  Owned<STACK_OF(X509_NAME)> names(SSL_load_client_CA_file(wanted.ca.c_str()));
  if (!names || SSL_CTX_load_verify_file(context, wanted.ca.c_str()) != 1) {
    return Fail(fmt::format("cannot read certificates '{}': {}", wanted.ca, TakeReason()));
  }
  SSL_CTX_set_client_CA_list(context, names.release());
  const bool required = wanted.mode == ClientCertificates::Mode::kRequired;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
  SSL_CTX_set_verify_depth(context, static_cast<int>(wanted.depth));
  return {};
}

// Resumption by tickets alone: nothing is stored here for clients that may never return. A session
// that is taken up again looks at no certificate, so where clients are asked for theirs there are
// none.
bool SetSessions(SSL_CTX* context, const TlsConfig& config,
                 std::shared_ptr<const TicketKeys> tickets) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  const std::string_view id = config.client_certificates ? "spillway clients" : "spillway";
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(id.data()),
                                 static_cast<unsigned int>(id.size()));
  SSL_CTX_set_timeout(
      context, std::chrono::duration_cast<std::chrono::seconds>(TicketKeys::kTicketLife).count());
  if (config.session_tickets && !config.client_certificates) {
    return tickets == nullptr || UseTickets(context, std::move(tickets));
  }
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  return SSL_CTX_set_num_tickets(context, 0) == 1;
}

// All contexts of a listener are alike but for the certificate: SNI exchanges only that.
Result<Owned<SSL_CTX>> NewContext(const TlsConfig& config,
                                  const std::shared_ptr<const TicketKeys>& tickets) {
  ERR_clear_error();
  Owned<SSL_CTX> owned = NewTlsContext(TLS_server_method(), config.min_version);
  SSL_CTX* context = owned.get();
  if (context == nullptr || !SetSessions(context, config, tickets)) {
    return Fail(fmt::format("cannot set up TLS: {}", TakeReason()));
  }
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  if (config.client_certificates) {
    Result<void> asked = AskClients(context, *config.client_certificates);
    if (!asked) return Fail(std::move(asked.error().message));
  }
  // The callback only asks whether there is an argument.
  SSL_CTX_set_alpn_select_cb(context, &ChooseProtocol, config.http2 ? context : nullptr);
  return owned;
}

Result<Owned<SSL_CTX>> LoadContext(const TlsCertificate& files, const TlsConfig& config,
                                   const std::shared_ptr<const TicketKeys>& tickets) {
  auto context = NewContext(config, tickets);
  if (!context) return context;
  Result<void> used = UseCertificate(context->get(), files.certificate);
  if (used) used = UseKey(context->get(), files.key, files.certificate);
  if (used && !files.ocsp.empty()) used = UseOcsp(context->get(), files.ocsp);
  if (!used) return Fail(std::move(used.error().message));
  return context;
}

// The context that shows any of these certificates, each loaded in a context of its own: that one,
// where it is one alone.
Result<Owned<SSL_CTX>> JoinContexts(const CertificateNames::Set& set,
                                    const std::vector<Owned<SSL_CTX>>& loaded,
                                    const TlsConfig& config,
                                    const std::shared_ptr<const TicketKeys>& tickets) {
  if (set.size() == 1) {
    SSL_CTX_up_ref(loaded[set.front()].get());
    return Owned<SSL_CTX>(loaded[set.front()].get());
  }
  auto joined = NewContext(config, tickets);
  for (const std::size_t place : set) {
    if (!joined) break;
    SSL_CTX* const from = loaded[place].get();
    STACK_OF(X509)* chain = nullptr;
    SSL_CTX_get0_chain_certs(from, &chain);
    const bool used = SSL_CTX_use_cert_and_key(joined->get(), SSL_CTX_get0_certificate(from),
                                               SSL_CTX_get0_privatekey(from), chain, 0) == 1;
    if (!used || !ShareOcsp(from, joined->get())) {
      return Fail(fmt::format("cannot set up TLS: {}", TakeReason()));
    }
  }
  return joined;
}

}  // namespace

struct TlsContext::Impl {
  Owned<SSL_CTX> first;
};

TlsContext::TlsContext() : impl_(std::make_unique<Impl>()) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<const TlsContext>> TlsContext::Create(
    const TlsConfig& config, std::shared_ptr<const TicketKeys> tickets) {
  if (!config.ticket_keys.empty()) {
    auto read = TicketKeys::FromFiles(config.ticket_keys);
    if (!read) return Fail(std::move(read.error().message));
    tickets = std::move(*read);
  }
  std::vector<Owned<SSL_CTX>> loaded;
  auto made_table = std::make_unique<NameTable>();
  for (const TlsCertificate& files : config.certificates) {
    auto context = LoadContext(files, config, tickets);
    if (!context) return tl::unexpected(std::move(context.error()));
    made_table->names.Add(CertificateClaim::Of(SSL_CTX_get0_certificate(context->get())));
    loaded.push_back(std::move(*context));
  }
  if (loaded.empty()) return Fail("no certificate is configured");

  const CertificateNames::Set ours = made_table->names.Default();
  auto joined = JoinContexts(ours, loaded, config, tickets);
  if (!joined) return tl::unexpected(std::move(joined.error()));
  made_table->contexts[ours] = nullptr;
  for (const CertificateNames::Set* set : made_table->names.Sets()) {
    if (made_table->contexts.count(*set) != 0) continue;
    auto context = JoinContexts(*set, loaded, config, tickets);
    if (!context) return tl::unexpected(std::move(context.error()));
    made_table->contexts[*set] = std::move(*context);
  }
  SSL_CTX* const first = joined->get();
  NameTable* const table = Attach(first, std::move(made_table));
  if (table == nullptr) return Fail("cannot set up TLS");
  SSL_CTX_set_tlsext_servername_callback(first, &ChooseCertificate);
  SSL_CTX_set_tlsext_servername_arg(first, table);

  std::shared_ptr<TlsContext> made(new TlsContext());
  made->impl_->first = std::move(*joined);
  return std::shared_ptr<const TlsContext>(std::move(made));
}

SSL* TlsContext::NewSession(int fd) const {
  SSL* ssl = SSL_new(impl_->first.get());
  if (ssl == nullptr || SSL_set_fd(ssl, fd) != 1) {
    SSL_free(ssl);
    return nullptr;
  }
  SSL_set_accept_state(ssl);
  return ssl;
}

}  // namespace spillway
