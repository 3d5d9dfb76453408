// SPDX-License-Identifier: MIT
// TLS to upstream servers: whom we trust, as whom we come, and the session kept from last time.
//
// A session is offered only by the context that verified its certificate: after a reload, which
// reads the files again, the first connection verifies again.
#include <fmt/format.h>

#include <utility>

#include "proxy/tls.h"
#include "proxy/tls_library.h"

namespace spillway {
namespace {

// OpenSSL has a session for the next time. 1: it is ours now.
int OnNewSession(SSL* ssl, SSL_SESSION* session) {
  auto* slot = static_cast<TlsSessionSlot*>(SSL_get_app_data(ssl));
  if (slot == nullptr) return 0;
  slot->Keep(SSL_get_SSL_CTX(ssl), session);
  return 1;
}

// "h2,http/1.1" as it goes over the wire: each name with its length before it.
std::string WireProtocols(std::string_view names) {
  std::string wire;
  while (!names.empty()) {
    const std::string_view name = names.substr(0, names.find(','));
    wire += static_cast<char>(name.size());
    wire += name;
    names.remove_prefix(std::min(names.size(), name.size() + 1));
  }
  return wire;
}

Result<void> Trust(SSL_CTX* context, const UpstreamTlsConfig& config) {
  if (!config.verify) return {};
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (config.ca.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) == 1) return {};
    return Fail(fmt::format("cannot use the system's certificates: {}", TakeReason()));
  }
  if (SSL_CTX_load_verify_file(context, config.ca.c_str()) == 1) return {};
  return Fail(fmt::format("cannot read certificates '{}': {}", config.ca, TakeReason()));
}

}  // namespace

// ---- TlsSessionSlot

TlsSessionSlot::~TlsSessionSlot() {
  Swap(nullptr, nullptr);
}

void TlsSessionSlot::Swap(SSL_CTX* context, SSL_SESSION* session) {
  {
    const std::lock_guard lock(mutex_);
    std::swap(session_, session);
    std::swap(made_by_, context);
  }
  SSL_SESSION_free(session);  // both take null
  SSL_CTX_free(context);
}

void TlsSessionSlot::Keep(SSL_CTX* context, SSL_SESSION* session) {
  SSL_CTX_up_ref(context);
  Swap(context, session);
}

void TlsSessionSlot::Offer(SSL* ssl) {
  const std::lock_guard lock(mutex_);
  if (session_ == nullptr || made_by_ != SSL_get_SSL_CTX(ssl)) return;
  if (SSL_SESSION_is_resumable(session_) == 1) SSL_set_session(ssl, session_);
}

void TlsSessionSlot::Forget() {
  Swap(nullptr, nullptr);
}

// ---- TlsClientContext

struct TlsClientContext::Impl {
  Owned<SSL_CTX> context;
  bool verify = true;
};

TlsClientContext::TlsClientContext() : impl_(std::make_unique<Impl>()) {}
TlsClientContext::~TlsClientContext() = default;

Result<std::shared_ptr<const TlsClientContext>> TlsClientContext::Create(
    const UpstreamTlsConfig& config, std::string_view protocols) {
  ERR_clear_error();
  Owned<SSL_CTX> owned = NewTlsContext(TLS_client_method(), config.min_version);
  SSL_CTX* const context = owned.get();
  const std::string wire = WireProtocols(protocols);
  // Not 1 but 0 is success here.
  if (context == nullptr ||
      SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(wire.data()),
                              static_cast<unsigned int>(wire.size())) != 0) {
    return Fail(fmt::format("cannot set up TLS: {}", TakeReason()));
  }
  if (Result<void> trusted = Trust(context, config); !trusted) {
    return Fail(std::move(trusted.error().message));
  }
  if (!config.certificate.empty()) {
    Result<void> used = UseCertificate(context, config.certificate);
    if (used) used = UseKey(context, config.key, config.certificate);
    if (!used) return Fail(std::move(used.error().message));
  }
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, &OnNewSession);
  std::shared_ptr<TlsClientContext> made(new TlsClientContext());
  made->impl_->context = std::move(owned);
  made->impl_->verify = config.verify;
  return std::shared_ptr<const TlsClientContext>(std::move(made));
}

SSL* TlsClientContext::NewSession(int fd, const TlsPeer& peer) const {
  SSL* ssl = SSL_new(impl_->context.get());
  if (ssl == nullptr || SSL_set_fd(ssl, fd) != 1) {
    SSL_free(ssl);
    return nullptr;
  }
  SSL_set_connect_state(ssl);
  const std::string name(peer.name);
  X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  // Only names are asked for (RFC 6066 3), but an address in the certificate is compared too.
  bool ready = name.empty() || X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) == 1;
  if (!ready) {
    ready = X509_VERIFY_PARAM_set1_host(wanted, name.c_str(), name.size()) == 1 &&
            SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
  }
  if (!ready || (impl_->verify && name.empty())) {  // a name that is not compared is no name
    SSL_free(ssl);
    return nullptr;
  }
  if (peer.session != nullptr) {
    SSL_set_app_data(ssl, peer.session);
    peer.session->Offer(ssl);
  }
  ERR_clear_error();
  return ssl;
}

}  // namespace spillway
