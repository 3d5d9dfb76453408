// SPDX-License-Identifier: MIT
// What the files behind the door of OpenSSL's libssl have in common: owners of its objects, its
// reasons as sentences, and the settings that both sides of TLS begin with. For proxy/tls*.cc only.
#pragma once

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "spillway/config.h"
#include "spillway/result.h"

namespace spillway {

struct TlsFree {
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(EVP_CIPHER* p) const { EVP_CIPHER_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(GENERAL_NAMES* p) const { GENERAL_NAMES_free(p); }
  void operator()(ASN1_GENERALIZEDTIME* p) const { ASN1_GENERALIZEDTIME_free(p); }
  void operator()(OCSP_RESPONSE* p) const { OCSP_RESPONSE_free(p); }
  void operator()(OCSP_BASICRESP* p) const { OCSP_BASICRESP_free(p); }
  void operator()(STACK_OF(X509_NAME) * p) const { sk_X509_NAME_pop_free(p, &X509_NAME_free); }
};
template <typename T>
using Owned = std::unique_ptr<T, TlsFree>;

// Values of ours that live and die with a context: one of each type.
template <typename T>
int AttachmentSlot() {
  static const int slot = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr,
      [](void*, void* held, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<T*>(held); });
  return slot;
}
// Null without memory.
template <typename T>
T* Attach(SSL_CTX* context, std::unique_ptr<T> value) {
  if (SSL_CTX_set_ex_data(context, AttachmentSlot<T>(), value.get()) != 1) return nullptr;
  return value.release();
}
template <typename T>
T* Attached(const SSL_CTX* context) {
  return static_cast<T*>(SSL_CTX_get_ex_data(context, AttachmentSlot<T>()));
}

// What OpenSSL, or the system under it, says first; the queue is empty afterwards.
std::string TakeReason();

Result<Owned<EVP_PKEY>> ReadKey(const std::string& path);
// The certificate and those that vouch for it, and its key, put into `context`.
Result<void> UseCertificate(SSL_CTX* context, const std::string& path);
Result<void> UseKey(SSL_CTX* context, const std::string& key, const std::string& certificate);

// The OCSP response in the file, to be shown with the certificate that `context` has already
// (proxy/tls_ocsp.cc).
Result<void> UseOcsp(SSL_CTX* context, const std::string& path);
// What `from` shows with its certificate, if anything, `to` shows with that one too. False without
// memory.
bool ShareOcsp(const SSL_CTX* from, SSL_CTX* to);

// TLS 1.2 or later with the suites and groups of both sides; null without memory.
Owned<SSL_CTX> NewTlsContext(const SSL_METHOD* method, TlsVersion min_version);

}  // namespace spillway
